"""A client of our realtime API: the vendor's own SDK; every frame is judged by its types."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI

from gateway.audio.converter import convert_once
from gateway.audio.format import NARROWBAND, AudioFormat
from tests.support.realtime_frames import fault
from tests.support.speech import speak

PCM24 = AudioFormat(24000)
PIECE_S = 0.04


class RealtimeClient:
    """One session; `events` holds all that came, in order."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.close_code: int | None = None
        self._news = asyncio.Event()

    async def read(self) -> None:
        """Take frames until the connection is closed."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                event = json.loads(await self.connection.recv_bytes())
                assert not fault(event), f"{fault(event)}\n{event}"
                self.events.append(event)
                self.times.append(loop.time())
                self._news.set()
        except Exception as error:
            received = getattr(error, "rcvd", None)
            if received is None:
                raise
            self.close_code = received.code
        finally:
            self._news.set()

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        await self.connection.send({"type": kind, **fields})

    async def wait(
        self, kind: str, *, since: int = 0, count: int = 1, timeout_s: float = 20.0,
        where: Callable[[dict[str, Any]], bool] = lambda _: True,
    ) -> dict[str, Any]:  # fmt: skip
        """Wait for the event of this number of a kind, from a place in `events` on."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    found = [e for e in self.events[since:] if e["type"] == kind and where(e)]
                    if len(found) >= count:
                        return found[count - 1]
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            seen = [e["type"] for e in self.events[since:] if "audio.delta" not in e["type"]]
            raise AssertionError(f"no {kind} within {timeout_s:g} s; came: {seen}") from None

    async def hear(self, pcm: bytes, fmt: AudioFormat = PCM24, pace: float = 1.0) -> None:
        """Append audio in pieces of 40 ms, at real time; pace 0 = at once."""
        loop = asyncio.get_running_loop()
        size = round(PIECE_S * fmt.sample_rate_hz) * fmt.sample_bytes
        begun_s = loop.time()
        for number, start in enumerate(range(0, len(pcm), size)):
            audio = base64.b64encode(pcm[start : start + size]).decode()
            await self.send("input_audio_buffer.append", audio=audio)
            if pace:
                due_s = begun_s + (number + 1) * PIECE_S / pace
                await asyncio.sleep(max(0.0, due_s - loop.time()))

    async def say(self, text: str, silence_s: float = 1.5, fmt: AudioFormat = PCM24) -> None:
        """Say a sentence and be silent then."""
        await self.hear(spoken(text, fmt, silence_s), fmt)

    def kinds(self, since: int = 0) -> list[str]:
        """Types of the events, each run of the same one once."""
        found: list[str] = []
        for event in self.events[since:]:
            if not found or found[-1] != event["type"]:
                found.append(event["type"])
        return found

    def audio_s(self, response_id: str, fmt: AudioFormat = PCM24) -> float:
        """Return how much audio came with a response."""
        audio = b"".join(
            base64.b64decode(e["delta"])
            for e in self.events
            if e["type"] == "response.output_audio.delta" and e["response_id"] == response_id
        )
        return fmt.seconds(audio)


def spoken(text: str, fmt: AudioFormat = PCM24, silence_s: float = 0.0) -> bytes:
    """Render a sentence in a format."""
    silence = bytes(2 * round(silence_s * NARROWBAND.sample_rate_hz))
    return convert_once(speak(text) + silence, NARROWBAND, fmt)


@asynccontextmanager
async def realtime_client(
    http_port: int, model: str = "", key: str = "x", *, wait: bool = True, **extra: Any
) -> AsyncIterator[RealtimeClient]:
    """Open a session with the vendor's SDK; only its base URL is ours."""
    sdk = AsyncOpenAI(api_key=key, base_url=f"http://127.0.0.1:{http_port}/v1")
    async with sdk.realtime.connect(model=model, **extra) as connection:
        client = RealtimeClient(connection)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(client.read())
            if wait:
                await client.wait("conversation.created")
            yield client
            reading.cancel()
