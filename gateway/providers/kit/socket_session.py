"""One conversation with a speech-to-speech engine over a WebSocket: what all such sessions do.

A subclass of `MessageSession` is a vendor's protocol: it understands messages as events, and puts
messages together.  No method waits, and none raises: what goes wrong comes out of the iteration.
`SocketSession` is one for protocols of JSON events, each of a `type`, that know no ids of replies.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderError, ProviderProtocolError, ProviderTimeout
from gateway.providers.contracts import AssistantMessage, Message, ToolResult, UserMessage
from gateway.providers.kit import rules
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.engine_history import GO_ON, note, words_of_user
from gateway.providers.kit.fields import BrokenAudioError, Fields, StrangeEventError
from gateway.providers.kit.link import Link
from gateway.providers.kit.websocket import Socket
from gateway.providers.speech_to_speech import (
    EngineNotice,
    EngineUsage,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SpeechEvent,
    TurnOwner,
)

Handler = Callable[[Fields], Iterable[SpeechEvent]]
"""Yields what an event means.

Raises ProviderError when the session is over, StrangeEventError when a field is missing or of
another type: that event is reported and skipped.
"""
_SHOWN_CHARACTERS = 300


def nothing(_: Fields) -> Iterable[SpeechEvent]:
    """Handle an event that means nothing to a call."""
    return ()


class MessageSession(ABC):
    """What every session over a WebSocket does.  Loop thread only."""

    turns: TurnOwner = "engine"
    may_hang_up = False
    """The engine ends a conversation on purpose by closing normally: then the iteration ends."""

    def __init__(
        self,
        socket: Socket,
        endpoint: Endpoint,
        formats: tuple[AudioFormat, AudioFormat],
        early: Iterable[str | bytes] = (),
    ) -> None:
        """Begin.

        Args:
            socket: on which the engine has accepted the session.
            endpoint: that it leads to, for errors.
            formats: what the engine takes and what it sends.
            early: messages that came while it was accepting.
        """
        self.input_format, self.output_format = formats
        self._socket = socket
        self._endpoint = endpoint
        self._early = deque(early)
        self._own: deque[SpeechEvent] = deque()
        self._waiting: asyncio.Timeout | None = None
        self._time = asyncio.get_running_loop().time
        self._began_s = self._time()
        self._due_s: float | None = None
        """When `_overdue` is to be asked, by the clock of the loop."""

    async def __aiter__(self) -> AsyncIterator[SpeechEvent]:
        """Yield what happens (see `SpeechSession`)."""
        while True:
            while self._own:
                yield self._own.popleft()
            try:
                message = await self._next()
            except TimeoutError:
                if self._due_s is not None and self._time() >= self._due_s:
                    self._due_s = None
                    for event in self._overdue():
                        yield event
                continue
            except _OverError:
                return
            for event in self._understood(message):
                yield event

    def pause(self) -> None:  # noqa: B027
        """Do nothing: the connection stays open without audio."""

    def begin_turn(self, ago_ms: int) -> None:  # noqa: B027
        """Do nothing: the engine gets the caller's audio anyhow."""

    def commit(self) -> None:  # noqa: B027
        """Do nothing: the engine ends turns, or has none."""

    @abstractmethod
    def _understood(self, message: str | bytes) -> Iterable[SpeechEvent]:
        """Yield what a message means.  Raises ProviderError: the session is over."""

    def _overdue(self) -> Iterable[SpeechEvent]:
        """Yield what follows from nothing having come until `_due_s`."""
        return ()

    def _send(self, message: Mapping[str, object] | bytes) -> None:
        """Queue a message; a failure comes out of the iteration."""
        self._socket.post(message if isinstance(message, bytes) else json.dumps(message))

    def _notice(self, text: str) -> None:
        """Report something of our own at once."""
        self._own.append(self._noticed(text))
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self._time())

    def _noticed(self, text: str) -> EngineNotice:
        return EngineNotice(self._harmless(text))

    def _error(self, kind: type[ProviderError], problem: str) -> ProviderError:
        return self._endpoint.error(kind, self._harmless(problem))

    def _harmless(self, text: str) -> str:
        shown = " ".join(text.split())[:_SHOWN_CHARACTERS]
        return rules.without_secrets(shown, self._endpoint.secrets)

    async def _next(self) -> str | bytes:
        """Return the next message.

        Raises:
            TimeoutError: `_due_s` has come, or something of our own is to be reported.
            _OverError: the engine has hung up.
        """
        if self._early:
            return self._early.popleft()
        try:
            async with asyncio.timeout_at(self._due_s) as self._waiting:
                return await self._socket.receive()
        except ProviderError as error:
            if self.may_hang_up and self._socket.close_code == 1000:
                raise _OverError from error
            raise
        finally:
            self._waiting = None


class _OverError(Exception):
    """The engine has ended the session normally."""


class SocketSession(MessageSession):
    """A protocol of JSON events by `type`, with one reply at a time: a table of handlers."""

    def __init__(
        self,
        socket: Socket,
        endpoint: Endpoint,
        formats: tuple[AudioFormat, AudioFormat],
        early: Iterable[str | bytes] = (),
    ) -> None:
        """Begin (see `MessageSession`)."""
        super().__init__(socket, endpoint, formats, early)
        self._reply = Reply()
        self._handlers = self._handled()

    def cut(self, reply_id: str, heard_ms: int) -> None:
        """Drop the rest of a reply; the protocol has no message for it."""
        self._reply.cut(reply_id)

    def tell(self, messages: Sequence[Message], *, answer: bool) -> None:
        """Add to the engine's history (see `SpeechSession`)."""
        results = [m for m in messages if isinstance(m, ToolResult) and not m.is_running]
        for result in results:
            self._answer_call(result)
        said = [m for m in messages if not isinstance(m, ToolResult)]
        if not answer:
            self._note_all(said)
        elif said or not results:
            self._note_all([m for m in said if isinstance(m, AssistantMessage)])
            texts = [words_of_user(m) for m in said if isinstance(m, UserMessage)]
            self._ask("\n".join(texts) or GO_ON)

    @abstractmethod
    def _handled(self) -> dict[str, Handler]:
        """Return what handles each `type` of event; others are unknown."""

    @abstractmethod
    def _answer_call(self, result: ToolResult) -> None:
        """Send what a function has returned; the engine goes on by itself."""

    @abstractmethod
    def _note(self, text: str) -> None:
        """Add to the history without an answer."""

    @abstractmethod
    def _ask(self, text: str) -> None:
        """Add what the caller has typed or an operator tells; the engine answers it."""

    def _sound(self, audio: bytes) -> Iterable[SpeechEvent]:
        """Handle binary audio; without it in the protocol, binary is an error."""
        problem = f"text was expected, {len(audio)} bytes came: {audio[:40]!r}"
        raise self._error(ProviderProtocolError, problem)

    def _note_all(self, messages: Sequence[Message]) -> None:
        if text := note(messages):
            self._note(text)

    def usage(self) -> EngineUsage:
        """Return the seconds of the connection: such engines are paid by the minute."""
        return EngineUsage(audio_s=round(self._time() - self._began_s, 3))

    def _understood(self, message: str | bytes) -> Iterator[SpeechEvent]:
        if isinstance(message, bytes):
            yield from self._sound(message)
            return
        event = Fields(self._socket.parsed(message))
        kind = event.optional_text("type")
        handler = self._handlers.get(kind)
        if handler is None:
            text = self._harmless(f"unknown event {kind!r}")
            yield EngineNotice(text, is_unknown_event=True)
            return
        try:
            yield from handler(event)
        except BrokenAudioError as error:
            raise self._error(ProviderProtocolError, str(error)) from None
        except StrangeEventError as error:
            yield self._noticed(f"the event {kind!r} was skipped: {error}")


class Reply:
    """The reply that an engine is delivering, for protocols that deliver one at a time.  Pure."""

    def __init__(self) -> None:
        self.id = ""
        """Empty = none."""
        self.is_cut = False
        """The gateway has stopped it: what still comes of it is dropped."""
        self._count = 0
        self._has_text = False

    def begin(self) -> Iterator[SpeechEvent]:
        """Begin one unless one is being delivered."""
        if not self.id:
            self._count += 1
            self.id, self.is_cut, self._has_text = f"reply-{self._count}", False, False
            yield ReplyStarted(self.id)

    def says(self, text: str) -> Iterator[SpeechEvent]:
        """Add a sentence to it, apart from what was said before; begin it if there is none."""
        yield from self.begin()
        yield ReplyText(self.id, f" {text}" if self._has_text else text)
        self._has_text = True

    def end(self, *, interrupted: bool = False) -> Iterator[SpeechEvent]:
        """End it, if there is one."""
        if self.id:
            yield ReplyEnded(self.id, "interrupted" if interrupted or self.is_cut else "complete")
            self.id, self.is_cut = "", False

    def cut(self, reply_id: str) -> None:
        """Drop what still comes of it, if it is the one that is meant."""
        if reply_id and reply_id == self.id:
            self.is_cut = True


async def agreed(
    socket: Link,
    endpoint: Endpoint,
    within_s: float,
    is_agreed: Callable[[Fields], bool],
    fields: Callable[[str | bytes], Fields] | None = None,
) -> list[str | bytes]:
    """Wait until the engine has accepted a session.

    Args:
        socket: just opened.
        endpoint: that it leads to.
        within_s: how long it may take, everything together.
        is_agreed: judges each message; raises ProviderError for a refusal.
        fields: reads a message; None = it is JSON.

    Returns:
        Messages that came before the accepting one and are not part of the agreement.

    Raises:
        ProviderError: it was refused, took too long, or was not understood.
    """
    early: list[str | bytes] = []
    try:
        async with asyncio.timeout(within_s):
            while True:
                message = await socket.receive()
                found = Fields(socket.parsed(message)) if fields is None else fields(message)
                if is_agreed(found):
                    return early
                early.append(message)
    except TimeoutError as error:
        problem = f"the session was not accepted within {within_s:g} s"
        raise endpoint.error(ProviderTimeout, problem) from error
    except StrangeEventError as error:
        problem = f"the answer to the session's settings was not understood: {error}"
        raise endpoint.error(ProviderProtocolError, problem) from error
