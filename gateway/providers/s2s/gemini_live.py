"""Gemini Live (`BidiGenerateContent`): it hears and speaks over one WebSocket.

The client is our own: google-genai refuses `ws://`, waits in every call that sends, and brings
23 MB with an HTTP client and credentials of its own; tests use its types as the oracle.

The caller's audio is PCM of 16 kHz, replies are PCM of 24 kHz.  The API can neither be told to stop
a reply nor how much of it was heard: it interrupts itself when it hears the caller.  With
`turns = "gateway"` its detection is off, and the audio stands between `activityStart` and
`activityEnd`; what is said between two turns is not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderError, ProviderRejected, ProviderTimeout
from gateway.providers.contracts import Message, ToolResult
from gateway.providers.kit.advice import Advice, missing_key, unknown_voice, without_effect
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.socket_session import MessageSession
from gateway.providers.kit.websocket import Socket, connected
from gateway.providers.s2s import _gemini_messages as messages_of
from gateway.providers.s2s._gemini_events import OUTPUT, Reader, check
from gateway.providers.s2s._gemini_fields import SessionError
from gateway.providers.s2s._gemini_messages import AudioMessages, Settings
from gateway.providers.speech_to_speech import (
    Eagerness,
    Opening,
    SpeechEvent,
    SpeechSession,
    SpeechToSpeech,
    TurnOwner,
)

__all__ = ["SUMMARY", "Settings", "create", "probe"]

SUMMARY = "Gemini Live: Google's speech-to-speech models, by the Gemini API."

NAME = "gemini_live"
_PATH = "/ws/google.ai.generativelanguage.{}.GenerativeService.BidiGenerateContent"
_RESUME_WITHIN_S = 15.0
"""A session that ended longer ago does not go on: others may have led the call since then."""
_KEPT_S = 3.0
"""Caller audio that is kept between two turns where the gateway owns them."""
_BEFORE_CUT_MS = 1000
"""Of that, what belongs to a turn that begins by cutting a reply."""
_CLOSES: dict[int, type[ProviderError]] = {1007: ProviderRejected, 1008: ProviderRejected}
"""A bad key, field or value (1007); an unknown model, voice or handle (1008)."""


class GeminiSession(MessageSession):
    """Satisfies `SpeechSession`."""

    def __init__(
        self,
        settings: Settings,
        opening: Opening,
        link: Socket,
        endpoint: Endpoint,
        unread: Sequence[str | bytes] = (),
    ) -> None:
        """Begin on a connection whose setup was accepted.

        Args:
            settings: of the engine.
            opening: what the session begins with.
            link: the connection.
            endpoint: of the connection, for errors.
            unread: messages that came before the acceptance.
        """
        formats = AudioFormat(settings.input_rate_hz), OUTPUT
        super().__init__(link, endpoint, formats, unread)
        self.turns = settings.turns
        self.instructions = opening.instructions
        self.reader = Reader(
            engine_owns_turns=settings.turns == "engine",
            waits_for_tools=not settings.async_tools,
        )
        self._settings = settings
        self._audio = AudioMessages(settings.input_rate_hz)
        self._kept = bytearray()
        self._most_kept = int(self.input_format.frame_bytes * _KEPT_S * 50)
        self._is_active = False
        """An activity has begun, where the gateway owns turns."""
        self._is_paused = True
        self._held: list[Message] = []

    def push(self, audio: bytes) -> None:
        """Send caller audio; between two turns of the gateway's, keep it."""
        self.reader.hear(self.input_format.seconds(audio) * 1000)
        self._is_paused = False
        if self.turns == "gateway" and not self._is_active:
            self._kept += audio
            del self._kept[: -self._most_kept]
            return
        self._socket.post(self._audio.build(audio))

    def pause(self) -> None:
        """Report to the server's detection that nothing follows for a while."""
        if self.turns == "engine" and not self._is_paused:
            self._socket.post(messages_of.AUDIO_STREAM_END)
        self._is_paused = True

    def begin_turn(self, ago_ms: int) -> None:
        """Begin the caller's activity, which interrupts the model; what was kept belongs to it."""
        if self.turns == "gateway" and not self._is_active:
            self._is_active = True
            self._socket.post(messages_of.ACTIVITY_START)
            size = int(ago_ms / 20) * self.input_format.frame_bytes
            if kept := self._kept[-size:] if size else b"":
                self._socket.post(self._audio.build(bytes(kept)))
            self._kept.clear()

    def commit(self) -> None:
        """End the caller's activity: the model answers."""
        if self.turns == "gateway":
            self.begin_turn(int(_KEPT_S * 1000))
            self._socket.post(messages_of.ACTIVITY_END)
            self._is_active = False
            self.reader.ask()

    def cut(self, reply_id: str, heard_ms: int) -> None:
        """Drop the rest of a reply; where the gateway owns turns, an activity ends it there, too.

        The API takes no position: what was heard it takes from its own clock.
        """
        if self.reader.cut(reply_id):
            self.begin_turn(_BEFORE_CUT_MS)

    def tell(self, messages: Sequence[Message], *, answer: bool) -> None:
        """Answer calls and add texts; a text that asks for no reply waits for the end of one."""
        results = []
        for message in messages:
            if isinstance(message, ToolResult) and message.call_id in self.reader.pending:
                if self._settings.async_tools or not message.is_running:
                    results.append((self.reader.pending[message.call_id], message))
                if not message.is_running:
                    del self.reader.pending[message.call_id]
            elif not isinstance(message, ToolResult) or self.reader.misses(message.call_id):
                self._held.append(message)
        if results:
            is_async = self._settings.async_tools
            self._socket.post(messages_of.tool_response(results, is_async=is_async, answer=answer))
        elif answer or not self.reader.is_generating:
            self._send_held(answer=answer)
        if answer:
            self.reader.ask()

    def instruct(self, instructions: str) -> None:
        """Replace the instructions by a `contextUpdate`."""
        self.instructions = instructions
        self._socket.post(messages_of.instructions_update(instructions))

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Report that this is set with the connection."""
        self._notice(
            f"eagerness {eagerness} was left out: Gemini Live takes end_sensitivity and silence_ms"
            " when it is connected to, and no change of them"
        )

    def report(self, text: str) -> None:
        """Yield a notice."""
        self._notice(text)

    def _understood(self, message: str | bytes) -> Iterator[SpeechEvent]:
        try:
            yield from self.reader.read(self._socket.parsed(message))
        except SessionError as error:
            raise self._endpoint.error(error.kind, error.problem) from None
        if self._held and not self.reader.is_generating:
            self._send_held(answer=False)

    def _send_held(self, *, answer: bool) -> None:
        for message in messages_of.texts(self._settings, self._held, answer=answer):
            self._socket.post(message)
        self._held.clear()


class _Last:
    """The latest session of a call: with its handle the next one goes on."""

    def __init__(self, session: GeminiSession, opening: Opening) -> None:
        self.ended_s: float | None = None
        self._session = session
        self._tools = opening.tools

    def is_old(self, now_s: float) -> bool:
        """Return whether another engine may have led the call since it ended."""
        return self.ended_s is not None and now_s - self.ended_s > _RESUME_WITHIN_S

    def handle_for(self, opening: Opening) -> str | None:
        """Return the handle if the next session is one with the same instructions and tools."""
        is_same = self._session.instructions == opening.instructions
        if not is_same or list(self._tools) != list(opening.tools):
            return None
        return self._session.reader.handle or None


class GeminiLive:
    """Satisfies `SpeechToSpeech`."""

    takes_tools = True

    def __init__(self, settings: Settings) -> None:
        self.turns: TurnOwner = settings.turns
        self._settings = settings
        self._endpoint = Endpoint(
            NAME,
            settings.base_url.rstrip("/") + _PATH.format(settings.api_version),
            headers={"x-goog-api-key": settings.api_key},
            connect_timeout_s=settings.connect_timeout_s,
            close_codes=_CLOSES,
        )
        self._last: dict[str, _Last] = {}
        """By call."""

    async def warm_up(self) -> None:
        """Open a session and end it: nothing is generated.  Raises ProviderError."""
        async with self._accepted(Opening("", ""), None):
            pass

    @asynccontextmanager
    async def connect(self, opening: Opening) -> AsyncGenerator[SpeechSession, None]:
        """Open a session; a call whose last one ended just now goes on with it.

        Raises:
            ProviderError: no connection, or the setup was refused.
        """
        now_s = asyncio.get_running_loop().time()
        self._last = {key: last for key, last in self._last.items() if not last.is_old(now_s)}
        last = self._last.get(opening.call_id)
        async with AsyncExitStack() as stack:
            session = await self._begun(stack, opening, last.handle_for(opening) if last else None)
            self._last[opening.call_id] = last = _Last(session, opening)
            try:
                yield session
            finally:
                last.ended_s = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Forget the sessions that could go on."""
        self._last.clear()

    async def _begun(
        self, stack: AsyncExitStack, opening: Opening, handle: str | None
    ) -> GeminiSession:
        """Open the session that the handle names, or a new one if the server refuses that."""
        refusal = ""
        if handle is not None:
            try:
                session = await stack.enter_async_context(self._accepted(opening, handle))
            except ProviderRejected as error:
                refusal = error.problem
            else:
                session.report("the session goes on by its handle; the history was not sent again")
                return session
        session = await stack.enter_async_context(self._accepted(opening, None))
        if refusal:
            session.report(f"the last session cannot go on, a new one was begun: {refusal}")
        return session

    @asynccontextmanager
    async def _accepted(
        self, opening: Opening, handle: str | None
    ) -> AsyncGenerator[GeminiSession, None]:
        async with connected(self._endpoint) as link:
            link.post(messages_of.setup(self._settings, opening, handle))
            unread = await self._until_accepted(link)
            settings, resumed = self._settings, handle is not None
            for message in messages_of.first_messages(settings, opening, resumed=resumed):
                link.post(message)
            session = GeminiSession(settings, opening, link, self._endpoint, unread)
            if opening.greeting:
                session.reader.ask()
            yield session

    async def _until_accepted(self, link: Socket) -> list[str | bytes]:
        """Wait for the acceptance of the setup; return what came before it.

        Raises:
            ProviderError: the setup was refused, or nothing came in time.
        """
        unread: list[str | bytes] = []
        wanted_s = self._settings.connect_timeout_s
        try:
            async with asyncio.timeout(wanted_s):
                while True:
                    received = await link.receive()
                    message = link.parsed(received)
                    if "setupComplete" in message or "setup_complete" in message:
                        return unread
                    check(message)
                    unread.append(received)
        except TimeoutError:
            problem = f"the setup was not accepted within {wanted_s:g} s"
            raise self._endpoint.error(ProviderTimeout, problem) from None
        except SessionError as error:
            raise self._endpoint.error(error.kind, error.problem) from None


def create(settings: Settings) -> SpeechToSpeech:
    """Make the engine; nothing is connected to."""
    return GeminiLive(settings)


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    yield from unknown_voice(settings.voice, messages_of.VOICES)
    if settings.turns == "gateway":
        yield from without_effect(settings, messages_of.DETECTION, 'with turns = "gateway"')


def languages(settings: Settings) -> tuple[str, ...]:
    """Return the language that it is told to speak; empty = the instructions decide."""
    code = settings.language_code.partition("-")[0].lower()
    return (code,) if code else ()


def probe() -> str:
    """Return an empty string: nothing is needed but a key."""
    return ""
