"""Voices behind a WebSocket: one connection for a call, one sentence after the other on it.

A vendor is a `VoiceProtocol`, its messages; everything else is here.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from gateway.audio.format import AudioFormat
from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.contracts import Delivery, Spoken, TtsSession
from gateway.providers.kit import rules
from gateway.providers.kit.alignment import Follower
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields, StrangeEventError
from gateway.providers.kit.websocket import Socket, connected

Message = Mapping[str, object] | str | bytes
"""What is sent: JSON, text or binary."""
_MOST_DRAINING = 2
"""Sentences that were cut off and may still be arriving; with more, another connection is made."""

_NORMAL = frozenset({1000, 1005})
"""Codes with which a vendor closes a connection that has done its work; 1005 = none was sent."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a message of the vendor's means."""

    context: str = ""
    """The sentence that it belongs to; empty = the one that is being said."""
    pieces: tuple[Spoken, ...] = ()
    """Sound, and words as the vendor reports them."""
    is_over: bool = False
    """Nothing more comes of the sentence."""
    error: ProviderError | None = None


class VoiceProtocol(ABC):
    """A vendor's messages on one connection.  Pure."""

    most_characters = 1000
    """Of one message; longer texts are sent in several."""
    takes_beginnings = False
    """A sentence may come in parts: it speaks the first ones before it has the last."""
    ends_by_closing = False
    """A connection says one sentence: the vendor closes it when that is over."""
    ends_what_is_cut = False
    """The end of a sentence is reported for one that was cut off, too."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Start.

        Args:
            endpoint: that it leads to; makes errors without secrets.
        """
        self.endpoint = endpoint

    @abstractmethod
    def say(
        self, context: str, parts: list[str], *, begins: bool = True, ends: bool = True
    ) -> Iterable[Message]:
        """Return what lets a sentence be said.

        Args:
            context: names it on this connection.
            parts: of its text, none longer than `most_characters`, to be put together as they are.
            begins: it is the first that is said of it.
            ends: nothing more will be said of it.  Always, where it takes no beginnings.
        """

    def cut(self, context: str) -> Iterable[Message] | None:
        """Return what stops a sentence; None = only the end of the connection does."""
        return None

    def read(self, event: Fields) -> Heard | None:
        """Return what a JSON message means; None = nothing.  Raises StrangeEventError."""
        problem = "text came, where the protocol has only sound"
        raise self.endpoint.error(ProviderProtocolError, problem)

    def sound(self, audio: bytes) -> Heard | None:
        """Return what a binary message means."""
        problem = f"{len(audio)} bytes came, where the protocol has only text"
        raise self.endpoint.error(ProviderProtocolError, problem)

    def refusal(self, code: object, words: str, context: str = "") -> Heard:
        """Return the error that a vendor's code (a status of HTTP or a name) and words mean."""
        status = code if isinstance(code, int) and 400 <= code < 600 else 400
        kind = rules.kind_of_limit(f"{code} {words}") or rules.kind_of_status(status, words)
        told = " ".join(f"error {code}: {words}".split())
        return Heard(context, is_over=True, error=self.endpoint.error(kind, told[:300]))


class SocketVoice:
    """Satisfies `TextToSpeech` for a vendor behind a WebSocket."""

    def __init__(
        self,
        endpoint: Endpoint,
        output_format: AudioFormat,
        protocol: Callable[[Endpoint], VoiceProtocol],
        *,
        timeout_s: float,
        streams_text: bool = True,
        language: str = "",
        cache_bytes: int = 0,
    ) -> None:
        """Prepare.

        Args:
            endpoint: of the vendor; nothing is connected yet.
            output_format: of its sound.
            protocol: makes what speaks for one connection.
            timeout_s: how long the vendor may send nothing of a sentence that is wanted.
            streams_text: begin sentences that are still being written, where the vendor can.
            language: of the voice, where settings choose one.
            cache_bytes: speech that is kept for the next time the same text is said.
        """
        self.output_format = output_format
        self.delivery = Delivery(cache_bytes=cache_bytes)
        self.language = language
        self.takes_beginnings = streams_text and protocol(endpoint).takes_beginnings
        self._endpoint = endpoint
        self._protocol = protocol
        self._timeout_s = timeout_s

    async def warm_up(self) -> None:
        """Connect, which shows whether the key is known; costs nothing.  Raises ProviderError."""
        async with connected(self._endpoint):
            pass

    @asynccontextmanager
    async def open_session(self, call_id: str) -> AsyncGenerator[TtsSession, None]:
        """Connect for one call.  Raises ProviderError."""
        async with connected(self._endpoint) as socket:
            yield VoiceConnection(socket, self._protocol(self._endpoint), self._timeout_s)

    async def speak(self, text: str) -> AsyncGenerator[Spoken, None]:
        """Yield the speech of one sentence on a connection of its own.  Raises ProviderError."""
        if not cleaned(text):
            return
        async with connected(self._endpoint) as socket:
            session = VoiceConnection(socket, self._protocol(self._endpoint), self._timeout_s)
            async with aclosing(session.speak(text)) as pieces:
                async for piece in pieces:
                    yield piece

    async def close(self) -> None:
        """Do nothing: every connection has an owner."""


class VoiceConnection:
    """Satisfies `TtsSession`."""

    def __init__(self, socket: Socket, protocol: VoiceProtocol, timeout_s: float) -> None:
        self._socket = socket
        self._protocol = protocol
        self._timeout_s = timeout_s
        self._sentences = 0
        self._draining: set[str] = set()
        self._is_spoilt = False
        self._limit: asyncio.Timeout | None = None

    @property
    def is_usable(self) -> bool:
        """False once it can say nothing more."""
        return (
            self._socket.is_open and not self._is_spoilt and len(self._draining) <= _MOST_DRAINING
        )

    async def speak(self, text: str) -> AsyncGenerator[Spoken, None]:
        """Yield the speech of one sentence.  Raises ProviderError."""
        said = cleaned(text)
        if said:
            async with aclosing(self._spoken(said, None)) as pieces:
                async for piece in pieces:
                    yield piece

    async def speak_begun(
        self, text: str, rest: asyncio.Future[str]
    ) -> AsyncGenerator[Spoken, None]:
        """Yield the speech of a sentence that is still being written.  Raises ProviderError."""
        async with aclosing(self._spoken(f"{cleaned(text)} ", rest)) as pieces:
            async for piece in pieces:
                yield piece

    async def _spoken(
        self, said: str, rest: asyncio.Future[str] | None
    ) -> AsyncGenerator[Spoken, None]:
        self._sentences += 1
        context = f"s{self._sentences}"
        words = Follower(said)
        is_over = False
        go_on = partial(self._go_on, context, words)
        try:
            parts = list(parts_of(said, self._protocol.most_characters))
            self._send(self._protocol.say(context, parts, ends=rest is None))
            if rest is not None:
                rest.add_done_callback(go_on)
            async with aclosing(self._heard(context, rest)) as messages:
                async for heard in messages:
                    is_over = heard.is_over
                    if heard.error is not None:
                        raise heard.error
                    for piece in _in_text(heard.pieces, words):
                        yield piece
            if unreported := words.rest():
                yield Spoken(b"", unreported)
        except ProviderError:
            self._is_spoilt = True
            raise
        finally:
            if rest is not None:
                rest.remove_done_callback(go_on)
            if not is_over:
                self._cut(context)

    def _go_on(self, context: str, words: Follower, rest: asyncio.Future[str]) -> None:
        """Send the rest of a sentence; from now on the vendor may not be silent."""
        if rest.cancelled():
            return
        said = " ".join(_visible(rest.result()).split())
        words.add(said)
        parts = list(parts_of(said, self._protocol.most_characters))
        with suppress(ProviderError):  # the iteration meets it, too
            self._send(self._protocol.say(context, parts, begins=False))
        if self._limit is not None and not self._limit.expired():  # it waits for a message
            self._limit.reschedule(asyncio.get_running_loop().time() + self._timeout_s)

    async def _heard(
        self, context: str, rest: asyncio.Future[str] | None
    ) -> AsyncGenerator[Heard, None]:
        """Yield what comes of a sentence until it is over; skip what was cut off before."""
        endpoint, time = self._protocol.endpoint, asyncio.get_running_loop().time
        due_s = time() + self._timeout_s
        while True:
            is_known = rest is None or rest.done()
            try:
                async with asyncio.timeout_at(due_s if is_known else None) as self._limit:
                    message = await self._socket.receive()
            except ProviderUnavailable:
                if is_known and self._is_end:
                    yield Heard(context, is_over=True)
                    return
                raise
            except TimeoutError as error:
                problem = f"no speech came within {self._timeout_s:g} s"
                raise endpoint.error(ProviderTimeout, problem) from error
            finally:
                self._limit = None
            heard = self._read(message)
            if heard is None:
                continue
            if heard.context not in {"", context}:
                if heard.is_over:
                    self._draining.discard(heard.context)
                continue
            yield heard
            if heard.is_over:
                return
            due_s = time() + self._timeout_s

    @property
    def _is_end(self) -> bool:
        """True when the vendor has closed the connection as it does behind a sentence."""
        return self._protocol.ends_by_closing and self._socket.close_code in _NORMAL

    def _read(self, message: str | bytes) -> Heard | None:
        if isinstance(message, bytes):
            return self._protocol.sound(message)
        try:
            return self._protocol.read(Fields(self._socket.parsed(message)))
        except StrangeEventError as error:
            problem = f"a message was not understood: {error}"
            raise self._protocol.endpoint.error(ProviderProtocolError, problem) from None

    def _send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if isinstance(message, Mapping):
                self._socket.send_json(message)
            else:
                self._socket.send(message)

    def _cut(self, context: str) -> None:
        """Stop the rest of a sentence, and the vendor's meter with it."""
        stopping = None if self._is_spoilt else self._protocol.cut(context)
        if stopping is None:
            self._is_spoilt = True
            return
        with suppress(ProviderError):  # the connection is lost: that stops it, too
            self._send(stopping)
        if self._protocol.ends_what_is_cut:
            self._draining.add(context)


def _in_text(pieces: Iterable[Spoken], words: Follower) -> Iterator[Spoken]:
    """Yield pieces with the words of the text that was given instead of the vendor's."""
    for piece in pieces:
        found = words.take(piece.text)
        if piece.pcm or found:
            yield Spoken(piece.pcm, found, piece.at_ms)


def cleaned(text: str) -> str:
    """Return a text without control and invisible characters; empty when it has no sound."""
    said = " ".join(_visible(text).split())
    return said if any(map(str.isalnum, said)) else ""


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def parts_of(text: str, most: int) -> Iterator[str]:
    """Cut a text between words into parts of a length that a vendor takes, blanks kept."""
    while len(text) > most:
        end = text.rfind(" ", 0, most) + 1 or most
        yield text[:end]
        text = text[end:]
    yield text
