"""A stand-in for a speech-to-speech engine: OpenAI's realtime dialect in mu-law, with known times.

    python -m gateway.load.engine_double --port 9001 --silence-ms 300 --first-audio-ms 300

It understands nothing: sound begins a turn and stops a reply, silence ends the turn, and the answer
is the next of a few sentences.  Source of the events: OpenAI's realtime reference.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gateway.load.speech import LINES
from gateway.probe.g711 import decode, encode
from gateway.probe.voices import render

_LOUD_FROM = 1000
"""Absolute value of a sample, of 32,768."""
_LOUD = bytes(abs(int(sample)) >= _LOUD_FROM for sample in decode(bytes(range(256)), "PCMU"))
"""By mu-law code: 1 = loud."""
_SPEECH_SHARE = 0.1
_STARTS_AFTER_MS = 60
_BYTES_PER_MS = 8
_PART_MS, _PART_EVERY_S = 200, 0.05
"""Audio is sent four times as fast as it is played, as real engines do."""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One that can be given."""

    text: str
    audio: bytes
    """Mu-law, 8 kHz."""


@dataclass(frozen=True, slots=True)
class Times:
    """What a caller has to wait for."""

    silence_ms: float
    """After the caller's last sound, until the turn is over."""
    first_audio_ms: float
    """From there to the first audio of the answer."""


class Conversation:
    """One session: hears, and answers by itself."""

    def __init__(
        self,
        connection: ServerConnection,
        answers: Sequence[Answer],
        times: Times,
        group: asyncio.TaskGroup,
    ) -> None:
        self._connection = connection
        self._group = group
        self._answers = itertools.cycle(answers)
        self._times = times
        self._numbers = itertools.count(1)
        self._position_ms = 0.0
        self._loud_ms = 0.0
        self._quiet_ms = 0.0
        self._turn = ""
        """Item id of the turn that the caller speaks in."""
        self._reply: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until the client leaves."""
        await self._send("session.created", session={"type": "realtime"})
        try:
            with suppress(ConnectionClosed):
                async for message in self._connection:
                    await self._read(json.loads(message))
        finally:
            if self._reply is not None:
                self._reply.cancel("client_cancelled")

    async def _read(self, event: Event) -> None:
        match event["type"]:
            case "input_audio_buffer.append":
                await self._hear(base64.b64decode(event["audio"]))
            case "session.update":
                await self._send("session.updated", session=event["session"])
            case "conversation.item.create":
                item = {"id": f"item_{next(self._numbers)}"} | event["item"]
                await self._send("conversation.item.added", item=item, previous_item_id=None)
            case "conversation.item.truncate":
                known = {key: event[key] for key in ("item_id", "content_index", "audio_end_ms")}
                await self._send("conversation.item.truncated", **known)
            case "response.create":
                await self._answer(0.0)
            case "response.cancel":
                await self._stop_reply("client_cancelled")

    async def _hear(self, audio: bytes) -> None:
        length_ms = len(audio) / _BYTES_PER_MS
        self._position_ms += length_ms
        if audio.translate(_LOUD).count(1) >= _SPEECH_SHARE * len(audio):
            self._loud_ms, self._quiet_ms = self._loud_ms + length_ms, 0.0
            if not self._turn and self._loud_ms >= _STARTS_AFTER_MS:
                await self._caller_starts()
            return
        self._loud_ms, self._quiet_ms = 0.0, self._quiet_ms + length_ms
        if self._turn and self._quiet_ms >= self._times.silence_ms:
            await self._caller_ends()

    async def _caller_starts(self) -> None:
        self._turn = f"item_{next(self._numbers)}"
        start_ms = max(0, round(self._position_ms - self._loud_ms))
        await self._send(
            "input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._turn
        )
        await self._stop_reply("turn_detected")

    async def _caller_ends(self) -> None:
        turn, self._turn = self._turn, ""
        end_ms = round(self._position_ms)
        await self._send("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=turn)
        await self._send("input_audio_buffer.committed", item_id=turn, previous_item_id=None)
        await self._send(
            "conversation.item.input_audio_transcription.completed",
            item_id=turn, content_index=0, transcript="Something was said.",
            usage={"type": "duration", "seconds": 1.0},
        )  # fmt: skip
        await self._answer(self._times.first_audio_ms / 1000)

    async def _answer(self, after_s: float) -> None:
        await self._stop_reply("client_cancelled")
        self._reply = self._group.create_task(self._speak(next(self._answers), after_s))

    async def _speak(self, answer: Answer, after_s: float) -> None:
        due_s = asyncio.get_running_loop().time() + after_s
        reply, item = f"resp_{next(self._numbers)}", f"item_{next(self._numbers)}"
        place = {"response_id": reply, "item_id": item, "output_index": 0, "content_index": 0}
        status, details = "completed", Event()
        try:
            await self._send("response.created", response=_response(reply, "in_progress"))
            await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))
            await self._send("response.output_audio_transcript.delta", **place, delta=answer.text)
            size = _PART_MS * _BYTES_PER_MS
            for at in range(0, len(answer.audio), size):
                coded = base64.b64encode(answer.audio[at : at + size]).decode()
                await self._send("response.output_audio.delta", **place, delta=coded)
                await asyncio.sleep(_PART_EVERY_S)
        except asyncio.CancelledError as cancelled:
            status = "cancelled"
            details = {"status_details": {"type": status, "reason": str(cancelled)}}
            raise
        finally:
            await self._send("response.done", response=_response(reply, status, **details))

    async def _stop_reply(self, reason: str) -> None:
        reply, self._reply = self._reply, None
        if reply is not None and not reply.done():
            reply.cancel(reason)
            await asyncio.wait([reply])

    async def _send(self, kind: str, **fields: object) -> None:
        event = {"type": kind, "event_id": f"event_{next(self._numbers)}", **fields}
        with suppress(ConnectionClosed):  # which `run` notices
            await self._connection.send(json.dumps(event))


def _response(reply_id: str, status: str, **more: object) -> Event:
    return {"id": reply_id, "object": "realtime.response", "status": status, "output": [], **more}


async def render_answers() -> list[Answer]:
    """Render what is said: raises ProviderUnavailable where libflite is missing."""
    return [Answer(line, encode(await render(line, "rms"), "PCMU")) for line in LINES]


async def serve_engine(port: int, times: Times) -> None:
    """Serve on 127.0.0.1 until cancelled."""
    answers = await render_answers()

    async def session(connection: ServerConnection) -> None:
        async with asyncio.TaskGroup() as group:
            await Conversation(connection, answers, times, group).run()

    async with serve(session, "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.load.engine_double", description=__doc__
    )
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--silence-ms", type=float, default=300.0)
    parser.add_argument("--first-audio-ms", type=float, default=300.0)
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve_engine(given.port, Times(given.silence_ms, given.first_audio_ms)))


if __name__ == "__main__":
    main()
