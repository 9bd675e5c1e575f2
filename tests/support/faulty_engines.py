"""Speech and recognition behind sockets that fail as networks and servers do.

`VoiceServer` speaks (OpenAI's `/v1/audio/speech`); `FaultyPath` stands between the gateway and its
own recognizer.  Both are told at any moment what to do from now on.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from gateway.probe import voices
from tests.support import faults
from tests.support.faults import GARBAGE, Fault


class _Connections:
    """Whoever is connected; none of them outlives the server."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            await self.serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # start_server would log what is but the end of a connection
        finally:
            self._tasks.discard(task)
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await self._server.wait_closed()


class VoiceServer(_Connections):
    """Speaks with a real voice at 24 kHz, well or not: `faults` says how, by model."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, str] = {}
        """`Fault` by model; a model that is not here is well."""
        self.port = 0
        self._known: dict[str, bytes] = {}

    async def __aenter__(self) -> VoiceServer:
        self._server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await self._answer(reader, writer):
            pass

    async def _spoken(self, text: str) -> bytes:
        if text not in self._known:
            samples = await voices.render(text)
            self._known[text] = samples.repeat(3).astype("<i2").tobytes()
        return self._known[text]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        fault = self.faults.get(body["model"], "")
        if fault == Fault.GARBAGE:
            writer.write(GARBAGE)
            return False
        if fault == Fault.DOWN:
            writer.write(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
            return True
        await asyncio.sleep(faults.SLOW_S if fault == Fault.SLOW else 0)
        pcm = await self._spoken(body["input"])
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(pcm)}\r\n\r\n".encode())
        broken_off = fault in (Fault.STALL, Fault.CLOSE)
        writer.write(pcm[: len(pcm) // 2] if broken_off else pcm)
        await writer.drain()
        if fault == Fault.STALL:
            await reader.read()
        return not broken_off


class FaultyPath(_Connections):
    """A Unix socket before a recognizer's; `fault` says what becomes of the answers."""

    def __init__(self, socket: Path) -> None:
        super().__init__()
        self.socket = socket
        self.behind: Path | None = None
        """Where the recognizer is, once that is known."""
        self.fault: str = Fault.NONE
        """SLOW, STALL, GARBAGE or CLOSE."""

    async def __aenter__(self) -> FaultyPath:
        self._server = await asyncio.start_unix_server(self.accept, self.socket)
        return self

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.behind is None:  # noqa: ASYNC110 (set from another thread)
            await asyncio.sleep(0.05)
        back, forth = await asyncio.open_unix_connection(self.behind)
        asking = asyncio.ensure_future(self._ask(reader, forth, writer))
        answering = asyncio.ensure_future(self._answer(back, writer))
        try:
            await asyncio.wait([asking, answering], return_when="FIRST_COMPLETED")
        finally:
            for task in (asking, answering):
                task.cancel()
            forth.close()

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(1 << 16):
            if self.fault == Fault.CLOSE:
                return
            if self.fault == Fault.GARBAGE:
                writer.write(GARBAGE)
            forth.write(data)

    async def _answer(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await back.read(1 << 16):
            if self.fault == Fault.STALL:
                continue
            await asyncio.sleep(faults.SLOW_S if self.fault == Fault.SLOW else 0)
            writer.write(data)
