"""Doubles of vendors' recognizers: a WebSocket server on 127.0.0.1 that really recognizes sound.

It knows two kinds of speech: tones, each of which is a word (`spoken`), and, where a `script` is
given, any speech at all: the n-th utterance says the n-th text.  Everything is decided by the audio
that was received, so that a test needs no clock.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from gateway.audio.converter import convert_once
from gateway.audio.format import AudioFormat, Encoding
from tests.support.faults import GARBAGE, Fault

KEY = "sk-secret+key/1"
TONES_HZ = {"one": 400, "two": 600, "three": 800, "four": 1000, "five": 1200, "six": 1400}
_FRAME_S = 0.02
_LOUD = 500
_WORD_FRAMES = 3
"""Shorter sounds are no words."""
_SCRIPT_WORD_FRAMES = 10
"""Of a text of the script a word is understood every 200 ms."""


def spoken(words: Sequence[str], rate_hz: int = 8000) -> bytes:
    """Return words as tones of 160 ms with 100 ms between them, s16."""
    parts = [np.zeros(rate_hz // 5)]
    for word in words:
        at = np.arange(int(rate_hz * 0.16)) / rate_hz
        parts += [8000 * np.sin(2 * np.pi * TONES_HZ[word] * at), np.zeros(rate_hz // 10)]
    return np.concatenate(parts).astype("<i2").tobytes()


class Ear:
    """What a recognizer makes of audio: words, and where turns start and end.  Pure."""

    def __init__(self, script: list[str] | None) -> None:
        self._script = script
        self._rest = b""
        self.frames = 0
        self.turn = -1
        self.start_frame = 0
        self.quiet_frames = 0
        self.in_turn = self.was_eager = False
        self.eager_frames: int | None = 15
        self.end_frames: int | None = 25
        """Quiet that ends a turn; None = only `finish` does."""
        self._settled: list[str] = []
        self._tone: list[int] = []
        self._loud = 0

    @property
    def at_s(self) -> float:
        """How much was heard."""
        return round(self.frames * _FRAME_S, 3)

    @property
    def start_s(self) -> float:
        return round(self.start_frame * _FRAME_S, 3)

    @property
    def text(self) -> str:
        """Of the turn so far."""
        if self._script is None:
            return " ".join(self._settled)
        words = self._script[0].split() if self._script else []
        count = len(words) if self.quiet_frames else self._loud // _SCRIPT_WORD_FRAMES
        return " ".join(words[:count])

    def hear(self, pcm: bytes, rate_hz: int) -> Iterator[str]:
        """Accept s16; yield `start`, `word`, `eager`, `resumed`, `end`."""
        step = 2 * int(rate_hz * _FRAME_S)
        self._rest += pcm
        while len(self._rest) >= step:
            frame, self._rest = self._rest[:step], self._rest[step:]
            yield from self._frame(np.frombuffer(frame, "<i2").astype(int), rate_hz)

    def finish(self) -> str:
        """End the turn in progress, if there is one; return its text."""
        self._word()
        text = self.text
        if self._script and self.in_turn:
            text = self._script.pop(0)
        self.in_turn = self.was_eager = False
        self._settled, self._loud = [], 0
        return text

    def _frame(self, frame: Any, rate_hz: int) -> Iterator[str]:
        self.frames += 1
        if abs(frame).max() < _LOUD:
            if self._word():
                yield "word"
            self.quiet_frames += 1
            if self.in_turn and self.quiet_frames == self.eager_frames:
                self.was_eager = True
                yield "eager"
            if self.in_turn and self.quiet_frames == self.end_frames:
                yield "end"
            return
        self._loud += 1
        crossings = int(np.count_nonzero(np.diff(np.signbit(frame))))
        self._tone.append(crossings)
        self.quiet_frames = 0
        if self.was_eager:
            self.was_eager = False
            yield "resumed"
        if not self.in_turn and len(self._tone) >= _WORD_FRAMES:
            self.in_turn = True
            self.turn += 1
            self.start_frame = self.frames - len(self._tone)
            yield "start"
        elif self._script and self._loud % _SCRIPT_WORD_FRAMES == 0:
            yield "word"

    def _word(self) -> bool:
        tone, self._tone = self._tone, []
        if len(tone) < _WORD_FRAMES or self._script is not None:
            return False
        found_hz = float(np.median(tone)) / 2 / _FRAME_S
        self._settled.append(min(TONES_HZ, key=lambda word: abs(TONES_HZ[word] - found_hz)))
        return True


class RecognizerPeer(ABC):
    """A vendor's side of one connection."""

    def __init__(self, double: RecognizerDouble, connection: ServerConnection, path: str) -> None:
        self.double = double
        self.connection = connection
        self.path = urlsplit(path).path
        self.query = parse_qsl(urlsplit(path).query, keep_blank_values=True)
        self.asked = dict(self.query)
        self.ear = Ear(double.script)
        self.format = AudioFormat(8000)
        """Of the audio that is received: a double sets it from the query or the first message."""
        self.audio = bytearray()
        """As it was received, encoded."""
        self.frames: list[str | bytes] = []
        self.answers = 0

    async def welcome(self) -> None:  # noqa: B027
        """Send what the server sends first."""

    @abstractmethod
    async def read(self, frame: str | bytes) -> None:
        """Accept a frame of the client; `refuse` what is wrong."""

    @abstractmethod
    async def tell(self, what: str) -> None:
        """Report what the ear has found."""

    @abstractmethod
    async def error(self, problem: str) -> None:
        """Send the error for `quota`, `format` or `broken`."""

    @abstractmethod
    def checked(self, event: dict[str, Any]) -> None:
        """Raise if an event is not the vendor's, by its types."""

    async def send_event(self, event: dict[str, Any]) -> None:
        """Send an event of the protocol, or do the fault of the moment instead."""
        self.checked(event)
        if self.answers and await self._misbehave():
            return
        self.answers += 1
        await self.connection.send(self.encoded(event))

    def encoded(self, event: dict[str, Any]) -> str | bytes:
        """Return an event as it is sent."""
        return json.dumps(event)

    async def hear(self, audio: bytes) -> None:
        """Accept audio in `format`."""
        self.audio += audio
        self.double.changes()
        pcm = convert_once(audio, self.format, AudioFormat(self.format.sample_rate_hz))
        for what in self.ear.hear(pcm, self.format.sample_rate_hz):
            if what == self.double.break_at:
                self.double.break_at = ""
                self.connection.transport.abort()
                return
            await self.tell(what)

    def refuse(self, problem: str) -> None:
        self.double.problems.append(problem)

    async def _misbehave(self) -> bool:
        match self.double.fault:
            case Fault.STALL:
                return True
            case Fault.GARBAGE:
                await self.connection.send(GARBAGE)
            case Fault.CLOSE:
                self.double.faults_left -= 1
                if self.double.faults_left <= 0:
                    self.double.fault = Fault.NONE
                self.connection.transport.abort()
            case _:
                return False
        return True


class RecognizerDouble:
    """The server; set `fault` (or `status`) at any moment."""

    PEER: ClassVar[type[RecognizerPeer]]
    SUBPROTOCOLS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, script: list[str] | None = None) -> None:
        self.script = script
        """Texts of utterances to come, of all connections together; None = tones are words."""
        self.languages: list[str] = []
        """That it detects, where it is asked to, the dominant one first."""
        self.fault = Fault.NONE
        self.faults_left = 1
        """How often `CLOSE` happens."""
        self.break_at = ""
        """What the ear is to find (`Ear.hear`) when the connection breaks, once."""
        self.status: HTTPStatus | None = None
        """Refuse connections with it, `body` and `headers`."""
        self.body = ""
        self.headers: dict[str, str] = {}
        self.attempts = 0
        self.problems: list[str] = []
        self.peers: list[RecognizerPeer] = []
        self._open: set[ServerConnection] = set()
        self._changed = asyncio.Event()
        self._port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    def settings(self) -> dict[str, Any]:
        return {"base_url": self.url, "api_key": KEY}

    @abstractmethod
    def knows(self, request: Request) -> bool:
        """Return whether path and key are right."""

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def changes(self) -> None:
        self._changed.set()

    async def hears(self, count: int) -> None:
        """Wait until the latest connection has brought this number of bytes of audio."""
        while len(self.peers[-1].audio) < count:
            self._changed.clear()
            await self._changed.wait()

    async def all_gone(self) -> None:
        while self._open:
            self._changed.clear()
            await self._changed.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RecognizerDouble]:
        protocols = [Subprotocol(name) for name in self.SUBPROTOCOLS] or None
        server = await serve(
            self._converse, "127.0.0.1", 0, process_request=self._judge, close_timeout=0.2,
            ping_interval=None, compression=None, subprotocols=protocols,
        )  # fmt: skip
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    @asynccontextmanager
    async def as_server(self) -> AsyncIterator[dict[str, Any]]:
        """Run, and give the settings that lead here; what the client did wrong fails the test."""
        async with self.running():
            yield self.settings()
        assert self.problems == []

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.attempts += 1
        if self.status is not None:
            response = connection.respond(self.status, self.body)
            for name, value in self.headers.items():
                response.headers[name] = value
            return response
        if self.fault is Fault.DOWN:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "down\n")
        if self.fault is Fault.REFUSED or not self.knows(request):
            return connection.respond(HTTPStatus.UNAUTHORIZED, f"unknown key {KEY}\n")
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        assert connection.request
        self._open.add(connection)
        peer = self.PEER(self, connection, connection.request.path)
        self.peers.append(peer)
        try:
            await peer.welcome()
            async for frame in connection:
                peer.frames.append(frame)
                await peer.read(frame)
        except ConnectionClosed:
            pass
        except Exception as problem:
            self.problems.append(f"{type(problem).__name__}: {problem}")
            raise
        finally:
            self._open.discard(connection)
            self.changes()


def format_of(encoding: str, rate_hz: object, names: dict[str, Encoding]) -> AudioFormat:
    """Return the format of a vendor's name for an encoding."""
    return AudioFormat(int(str(rate_hz)), encoding=names[encoding])
