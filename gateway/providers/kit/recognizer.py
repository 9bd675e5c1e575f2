"""A recognizer behind a WebSocket: what all of them do; a vendor is a `Dialect` and an `Endpoint`.

A call has one connection.  It recognizes turn after turn (`stream`), each with the audio of that
turn only, or everything (`listen`), where the vendor finds the turns.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from functools import partial
from typing import Any, Protocol

import structlog

from gateway.audio.format import WIDEBAND, AudioFormat
from gateway.errors import ProviderError, ProviderUnavailable
from gateway.providers.contracts import Expect, Transcript, TurnMark
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields, StrangeEventError
from gateway.providers.kit.link import Link
from gateway.providers.kit.recognizer_stream import OLD_S, RecognizerStream, Words
from gateway.providers.kit.socket_session import agreed
from gateway.providers.kit.websocket import connected

log = structlog.get_logger(__name__)

_PIECE_S = 0.25
"""Longer audio, such as that from before a turn was noticed, is sent in pieces."""
_IDLE_PIECE_S = 0.02
_ANSWERS = 8
"""The slowest of as many is how long the vendor takes to answer a flush."""
_SLOW_S = 1.0
"""Assumed before the first answer."""


class Dialect(ABC):
    """A vendor's protocol on one connection."""

    has_welcome = False
    """The server accepts the session by a message (`is_welcome`)."""
    answers_flush = True
    """It answers `flush` in any case, also where it has heard no words."""
    silence_every_s: float | None = None
    """How often silence is sent while no audio is, to a vendor without another keep-alive."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def begin(self) -> Iterable[str | bytes]:
        """Return the first messages."""
        return ()

    def is_welcome(self, event: Fields) -> bool:
        """Return whether a message accepts the session.  Raises ProviderError for a refusal."""
        return bool(event)

    def audio(self, audio: bytes) -> str | bytes:
        """Return the message for some audio; empty = it is sent later, with more."""
        return audio

    def event(self, link: Link, message: str | bytes) -> Fields:
        """Return the fields of a message.  Raises ProviderProtocolError."""
        return Fields(link.parsed(message))

    @abstractmethod
    def flush(self) -> Iterable[str | bytes]:
        """Return what asks for the final words of all audio so far."""

    @abstractmethod
    def understood(self, event: Fields) -> Iterable[Words]:
        """Yield what a message means.

        Raises ProviderError when the connection is of no use any more, StrangeEventError when a
        field is missing: that message is skipped.
        """


class Vendor(Protocol):
    """How to reach a vendor, with the settings of an agent."""

    name: str
    """Of the provider."""
    hears_turns: bool
    encodings: frozenset[str]
    """Those of `AudioFormat` that it takes."""
    narrow: AudioFormat
    wide: AudioFormat
    """Linear formats for lines of the telephone band and of more."""
    accept_within_s: float
    """How long accepting a session may take."""

    def endpoint(self, audio: AudioFormat, *, listens: bool) -> Endpoint:
        """Return where to connect for audio of a format; `listens` = the vendor finds turns."""

    def dialect(self, endpoint: Endpoint, audio: AudioFormat, *, listens: bool) -> Dialect:
        """Return the protocol of a new connection."""


Connect = Callable[[Endpoint], AbstractAsyncContextManager[Link]]


class SocketRecognizer:
    """Satisfies `contracts.SpeechToText`."""

    def __init__(self, vendor: Vendor, connect: Connect = connected) -> None:
        """Prepare; nothing is connected yet.

        Args:
            vendor: with the settings of an agent.
            connect: opens a connection, where it is no WebSocket.
        """
        self.input_format = vendor.narrow
        self.hears_turns = vendor.hears_turns
        self._vendor = vendor
        self._connect = connect
        self._listens = False

    def for_line(self, line_format: AudioFormat) -> SocketRecognizer:
        """Return it for the encoding and band of a line, as far as the vendor takes them."""
        is_wide = line_format.sample_rate_hz >= WIDEBAND.sample_rate_hz
        found = self._vendor.wide if is_wide else self._vendor.narrow
        if not is_wide and line_format.encoding in self._vendor.encodings:
            found = line_format
        if found == self.input_format:
            return self
        other = copy(self)
        other.input_format = found
        return other

    def listening(self) -> SocketRecognizer:
        """Return the same, whose sessions have `listen`."""
        other = copy(self)
        other._listens = True  # noqa: SLF001 - a copy
        return other

    async def warm_up(self) -> None:
        """Connect and leave: address, key, model.  Raises ProviderError."""
        async with self._session():
            pass

    @asynccontextmanager
    async def open_session(self, call_id: str) -> AsyncGenerator[RecognizerSession, None]:
        """Connect for one call.  Raises ProviderError."""
        async with self._session() as session:
            yield session

    @asynccontextmanager
    async def stream(self, expect: Expect) -> AsyncGenerator[RecognizerStream[Transcript], None]:
        """Recognize one turn on a connection of its own.  Raises ProviderError."""
        async with self._session() as session, session.stream(expect) as stream:
            yield stream

    async def close(self) -> None:
        """Do nothing: a connection ends with its session."""

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[RecognizerSession, None]:
        audio, listens = self.input_format, self._listens
        endpoint = self._vendor.endpoint(audio, listens=listens)
        dialect = self._vendor.dialect(endpoint, audio, listens=listens)
        async with self._connect(endpoint) as link:
            for message in dialect.begin():
                link.post(message)
            if dialect.has_welcome:
                fields = partial(dialect.event, link)
                within_s = self._vendor.accept_within_s
                await agreed(link, endpoint, within_s, dialect.is_welcome, fields)
            session = RecognizerSession(link, dialect, audio)
            try:
                yield session
            finally:
                await session.close()


class RecognizerSession:
    """One connection.  Satisfies `contracts.SttSession`.  Loop thread only."""

    def __init__(self, socket: Link, dialect: Dialect, audio: AudioFormat) -> None:
        self._socket = socket
        self._dialect = dialect
        self._audio = audio
        self._stream: RecognizerStream[Any] | None = None
        self._failure: ProviderError | None = None
        self._sent_samples = 0
        self._unanswered: deque[float] = deque()
        """When the vendor was asked to flush, for each flush that it has not answered yet."""
        self._answers_s: deque[float] = deque(maxlen=_ANSWERS)
        """How long its latest answers have taken."""
        self._loop = asyncio.get_running_loop()
        self._idle: asyncio.TimerHandle | None = None
        self._reader = self._loop.create_task(self._read())
        self._await_silence()

    @property
    def is_usable(self) -> bool:
        """False once the connection is lost."""
        return self._failure is None and self._socket.is_open

    @asynccontextmanager
    async def stream(self, expect: Expect) -> AsyncGenerator[RecognizerStream[Transcript], None]:
        """Recognize one turn.  Raises ProviderError."""
        async with self._opened(self._new(expect, listens=False)) as stream:
            yield stream

    @asynccontextmanager
    async def listen(self) -> AsyncGenerator[RecognizerStream[Transcript | TurnMark], None]:
        """Recognize everything.  Raises ProviderError."""
        async with self._opened(self._new(Expect(), listens=True)) as stream:
            yield stream

    async def close(self) -> None:
        """Read no more.  Raises what has gone wrong in reading, if that is no ProviderError."""
        if self._idle is not None:
            self._idle.cancel()
        self._reader.cancel()
        await asyncio.wait({self._reader})
        if not self._reader.cancelled() and (error := self._reader.exception()) is not None:
            raise error

    def _new(self, expect: Expect, *, listens: bool) -> RecognizerStream[Any]:
        return RecognizerStream(
            self._send,
            self._flush,
            self._audio,
            expect,
            begins=self._sent_samples,
            owed=self._owed(),
            answers_in_s=None if self._dialect.answers_flush else self._usual_answer_s,
            listens=listens,
        )

    @asynccontextmanager
    async def _opened(self, stream: RecognizerStream[Any]) -> AsyncIterator[RecognizerStream[Any]]:
        if self._failure is not None:
            raise self._failure
        self._stream = stream
        try:
            yield stream
        finally:
            self._stream = None
            if stream.close():
                self._flush()  # what it still finds does not belong to the next turn

    def _send(self, audio: bytes) -> None:
        step = round(_PIECE_S * self._audio.sample_rate_hz) * self._audio.sample_bytes
        for at in range(0, len(audio), step):
            if message := self._dialect.audio(audio[at : at + step]):
                self._socket.post(message)
        self._sent_samples += len(audio) // self._audio.sample_bytes
        self._await_silence()

    def _flush(self) -> None:
        for message in self._dialect.flush():
            self._socket.post(message)
        self._unanswered.append(self._loop.time())

    def _owed(self) -> int:
        """Return how many answers of the turn before may still come: some vendors owe none."""
        while self._unanswered and self._loop.time() - self._unanswered[0] >= OLD_S:
            self._unanswered.popleft()
        return len(self._unanswered)

    def _usual_answer_s(self) -> float:
        return max(self._answers_s, default=_SLOW_S)

    def _await_silence(self) -> None:
        every_s = self._dialect.silence_every_s
        if self._idle is not None:
            self._idle.cancel()
        if every_s is not None and self.is_usable:
            self._idle = self._loop.call_later(every_s, self._send_silence)

    def _send_silence(self) -> None:
        count = round(_IDLE_PIECE_S * self._audio.sample_rate_hz)
        self._send(_SILENCE[self._audio.encoding] * (count * self._audio.sample_bytes))

    async def _read(self) -> None:
        problem: ProviderError = self._dialect.endpoint.error(
            ProviderUnavailable, "the connection is no longer read"
        )
        try:
            while True:
                self._take(await self._socket.receive())
        except ProviderError as error:
            problem = error
        finally:
            self._failure = problem
            if self._stream is not None:
                self._stream.fail(problem)

    def _take(self, message: str | bytes) -> None:
        event = self._dialect.event(self._socket, message)
        try:
            for words in self._dialect.understood(event):
                if words.wants_flush:
                    self._flush()
                if words.is_flushed and self._unanswered:
                    self._answers_s.append(self._loop.time() - self._unanswered.popleft())
                if self._stream is not None:
                    self._stream.take(words)
        except StrangeEventError as error:
            name = self._dialect.endpoint.provider
            log.warning("recognizer_message_skipped", provider=name, problem=str(error))


_SILENCE = {"s16": b"\x00", "pcmu": b"\xff", "pcma": b"\xd5"}
"""Of each encoding, one byte (ITU-T G.711: the smallest positive level)."""
