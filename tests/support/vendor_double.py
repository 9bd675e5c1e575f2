"""A vendor behind a WebSocket on 127.0.0.1, with faults on request.

Speaks the protocol of the example in docs/add-a-provider.md: `{"say": TEXT}` is answered by binary
audio and then `{"done": TEXT}`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from http import HTTPStatus

import numpy as np
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.support.faults import GARBAGE, Fault

RATE_HZ = 24_000
KEY = "sk-secret+key/1"
_TONE_S = 0.05
"""Of sound for each character, in chunks of 20 ms."""


class VendorDouble:
    """Set `fault` (or `status`, `close_with`) at any moment; it holds from the next request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.fault = Fault.NONE
        self.status: HTTPStatus | None = None
        """Refuse connections with it."""
        self.body = f"no: {KEY}\n"
        """Sent with `status`."""
        self.headers: dict[str, str] = {}
        """Sent with `status`."""
        self.refusals = 0
        """How many connections are refused with `status`; 0 = all."""
        self.close_with = (1011, "out of order")
        self.slow_s = 0.2
        self.reads = True
        """False = it takes nothing from the network."""
        self.attempts = 0
        self._open: set[ServerConnection] = set()
        self.gone = asyncio.Event()
        """A connection has ended."""
        self.answers: list[str | bytes] = []
        """What it sends instead of speech."""
        self.received: list[str | bytes] = []
        self.paths: list[str] = []
        self._server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server
        scheme, host = ("wss", "localhost") if self.tls else ("ws", "127.0.0.1")
        return f"{scheme}://{host}:{self._server.sockets[0].getsockname()[1]}/speak"

    @property
    def open_connections(self) -> int:
        return len(self._open)

    async def all_gone(self) -> None:
        """Read again, and wait until every client has left."""
        for connection in self._open:
            connection.transport.resume_reading()  # type: ignore[attr-defined]
        while self._open:
            self.gone.clear()
            await self.gone.wait()

    def drop_all(self) -> None:
        """Lose every connection, as a network does.  From any thread."""

        def drop() -> None:
            for connection in self._open:
                connection.transport.abort()

        assert self._server
        self._server.get_loop().call_soon_threadsafe(drop)

    async def __aenter__(self) -> VendorDouble:
        self._server = await serve(
            self._converse, "127.0.0.1", 0, process_request=self._judge, close_timeout=0.2,
            ping_interval=None, compression=None, ssl=self.tls,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        await self._server.wait_closed()

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.attempts += 1
        self.paths.append(request.path)
        if self.status is not None and (not self.refusals or self.attempts <= self.refusals):
            response = connection.respond(self.status, self.body)
            for name, value in self.headers.items():
                response.headers[name] = value
            return response
        if self.fault is Fault.DOWN:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "down\n")
        if self.fault is Fault.REFUSED or not self.knows(request):
            return connection.respond(HTTPStatus.UNAUTHORIZED, f"unknown key {KEY}\n")
        return None

    def knows(self, request: Request) -> bool:
        """Return whether a request for a connection brings the right key."""
        return request.headers.get("Authorization") == f"Bearer {KEY}"

    async def _converse(self, connection: ServerConnection) -> None:
        self._open.add(connection)
        if not self.reads:
            connection.transport.pause_reading()  # type: ignore[attr-defined]
        try:
            async for message in connection:
                self.received.append(message)
                if isinstance(message, str) and "say" in message:
                    await self._say(connection, str(json.loads(message)["say"]))
        except ConnectionClosed:
            pass
        finally:
            self._open.discard(connection)
            self.gone.set()

    async def _say(self, connection: ServerConnection, text: str) -> None:
        if self.fault is Fault.SLOW:
            await asyncio.sleep(self.slow_s)
        for message in self.answers:
            await connection.send(message)
        chunks = [] if self.answers else tone(text)
        is_cut = self.fault in {Fault.STALL, Fault.CLOSE, Fault.GARBAGE}
        for chunk in chunks[: len(chunks) // 2] if is_cut else chunks:
            await connection.send(chunk)
        match self.fault:
            case Fault.CLOSE:
                await connection.close(*self.close_with)
            case Fault.GARBAGE:
                await connection.send(GARBAGE.decode(errors="replace"))
            case Fault.STALL:
                await connection.wait_closed()
            case _:
                await connection.send(json.dumps({"done": text}))


def sine(rate_hz: int, first: int, count: int) -> bytes:
    """Return samples of 440 Hz at -20 dBFS, s16, from the `first` on."""
    at = np.arange(first, first + count)
    return (4600 * np.sin(2 * np.pi * 440 / rate_hz * at)).astype("<i2").tobytes()


def tone(text: str) -> Sequence[bytes]:
    """Return a tone of 440 Hz, -20 dBFS, as long as `text` would be."""
    pcm = sine(RATE_HZ, 0, int(len(text) * _TONE_S * RATE_HZ))
    step = RATE_HZ // 50 * 2
    return [pcm[at : at + step] for at in range(0, len(pcm), step)]
