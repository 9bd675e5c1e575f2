"""SpeechLink: the session with a speech-to-speech engine during one conversation.

One task owns the session and reads it.  A session that is lost is opened once more with the history
so far; the caller's audio and what is reported to the engine meanwhile waits for the next session.
One that expires is replaced before that: it is heard until the next one is open.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import structlog

from gateway.audio.converter import Converter
from gateway.call import events
from gateway.call.live_call import LiveCall
from gateway.conversation.quiet_audio import QuietAudio
from gateway.conversation.session_user import SessionUser
from gateway.conversation.speech_usage import SpeechUsage
from gateway.errors import ProviderError, ProviderRejected, ProviderTimeout
from gateway.providers.contracts import Message, ToolResult, UserMessage
from gateway.providers.speech_to_speech import (
    Eagerness,
    EngineUsage,
    Opening,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    SessionExpires,
    SpeechEvent,
    SpeechSession,
    SpeechToSpeech,
    ToolAsked,
)
from gateway.turn.events import milliseconds, samples

log = structlog.get_logger(__name__)

_CONNECT_S = 5.0
"""A caller waits no longer than this for a session."""
_LASTS_S = 30.0
"""A session that was lost after this time may be opened again; sooner, only once."""
_KEPT_FRAMES = 500
"""10 s of the caller's audio are kept while there is no session."""
_EXPIRY_MARGIN_S = 3.0
"""A session is replaced at the latest this long before it expires."""
_CHANGES_WITHIN_S = 20.0
"""A session with other settings is opened after this time even if there is no silence."""
_EXPIRES_SOON_S = 60.0
"""From this long before that on, it is replaced as soon as neither side speaks."""

Call = Callable[[SpeechSession], None]


class SpeechLink:
    """Keeps a conversation connected with an engine.  Loop thread only; no method waits."""

    def __init__(
        self, call: LiveCall, engine: SpeechToSpeech, usage: SpeechUsage, user: SessionUser
    ) -> None:
        """Begin to connect.

        Args:
            call: owns the task.
            engine: what to connect with.
            usage: counts sessions and what they cost.
            user: of the sessions.
        """
        self._call = call
        self._engine = engine
        self._user = user
        self._usage = usage
        self._sounding = ""
        """The reply whose first audio is in the events."""
        self._counted: SpeechSession | None = None
        """Whose usage is counted."""
        self._session: SpeechSession | None = None
        self._known_calls: set[str] = set()
        """Ids of tool calls that the session has made, or that it began with."""
        self._waiting: list[Call] = []
        """For the next session."""
        self._asks = False
        """The next session is to answer what it begins with."""
        self._audio: deque[bytes] = deque(maxlen=_KEPT_FRAMES)
        self._kept_until = 0
        """Audio time up to which they reach."""
        self._sent: deque[tuple[int, float]] = deque(maxlen=_KEPT_FRAMES)
        """(audio time up to which it was sent, by the clock of the loop when), oldest first."""
        self._quiet = QuietAudio()
        self._converter: Converter | None = None
        self._ends_at: int | None = None
        """The same as the engine has it, also where it is to be replaced sooner."""
        self._expires_at: int | None = None
        """Audio time by which the session must have been replaced; None = it is not known."""
        self._wanted: SpeechToSpeech | None = None
        """What the next session is opened with, where it is not this engine."""
        self._is_connecting = False
        """The history that the next session begins with is on its way."""
        self._limit: asyncio.Timeout | None = None
        """Of the session; `fail` sets it to now."""
        self._failure: ProviderError | None = None
        self._may_retry = True
        self._is_closed = False
        self._task: asyncio.Task[None] = call.group.create_task(self._keep())
        self._next: asyncio.Task[None] | None = None

    @property
    def session(self) -> SpeechSession:
        """Return the session; there must be one."""
        assert self._session is not None  # noqa: S101 - asked for by what has come from one
        return self._session

    def has(self, session: SpeechSession) -> bool:
        """Return whether this is the session in use, which knows what it has said."""
        return session is self._session

    # --- to the engine ---

    @property
    def is_calm(self) -> bool:
        """True while the caller's silence is sent in longer messages."""
        return self._session is not None and self._quiet.is_calm

    def push(self, pcm: bytes, now: int, *, is_idle: bool, may_wait: bool) -> None:
        """Send 20 ms of the caller's audio.

        Args:
            pcm: in the format of the call.
            now: audio time at its end.
            may_wait: silence may be sent later (see `QuietAudio`).
            is_idle: neither side says anything: a session that expires may be replaced.
        """
        if self._session is None or self._converter is None:
            self._audio.append(pcm)
            self._kept_until = now
            return
        self._sent.append((now, asyncio.get_running_loop().time()))
        is_streamed = self._session.turns == "none"  # a full-duplex engine takes it for a clock
        self._send(pcm if is_streamed else self._quiet.push(pcm, may_wait=may_wait))
        if self._expires_at is None or self._next is not None:
            return
        if now >= self._expires_at - (samples(_EXPIRES_SOON_S * 1000) if is_idle else 0):
            self._expires_at = None
            self._next = self._call.group.create_task(self._keep())

    def sent_s(self, position: int) -> float:
        """Return when the caller's audio up to a position was sent, by the clock of the loop."""
        later = (at_s for until, at_s in self._sent if until >= position)
        return next(later, asyncio.get_running_loop().time())

    def begin_turn(self, since: int) -> None:
        """The caller speaks, since this audio time."""
        audio = self._call.audio
        self._do(lambda session: session.begin_turn(round(milliseconds(audio.now - since))))

    def commit(self) -> None:
        """End the caller's turn."""
        self._do(lambda session: session.commit())

    def cut(self, session: SpeechSession, reply_id: str, heard_ms: int) -> None:
        """Stop a reply of which this was heard, if its session is still there."""
        if self.has(session):
            session.cut(reply_id, heard_ms)

    def tell(self, messages: Sequence[Message], *, answer: bool) -> None:
        """Add to the engine's history; the next session begins with all of it anyhow.

        The result of a call that another session has made is told in words.
        """
        if self._session is not None or self._is_connecting:
            self._do(lambda session: session.tell(self._known(messages), answer=answer))
        else:
            self._asks = self._asks or answer

    def _known(self, messages: Sequence[Message]) -> list[Message]:
        return [
            UserMessage(f"({message.name} has returned: {message.content})")
            if isinstance(message, ToolResult) and message.call_id not in self._known_calls
            else message
            for message in messages
        ]

    def instruct(self, instructions: str) -> None:
        """Replace the instructions; a session that is opened later begins with them anyhow."""
        if self._session is not None or self._is_connecting:
            self._do(lambda session: session.instruct(instructions))

    def use(self, engine: SpeechToSpeech) -> None:
        """Go on in a session with this engine, which is opened once neither side speaks.

        Where it cannot be opened the one before goes on.
        """
        self._wanted = engine
        soon = self._call.audio.now + samples(_CHANGES_WITHIN_S * 1000)
        self._expires_at = min(soon, self._ends_at or soon)

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Change how soon the engine takes a turn for over."""
        self._do(lambda session: session.set_eagerness(eagerness))

    def fail(self, error: ProviderError) -> None:
        """Give up the session, if there is one, which is of no use: as if it had been lost."""
        if self._session is not None and self._limit is not None and not self._limit.expired():
            self._failure = error
            self._limit.reschedule(asyncio.get_running_loop().time())

    def pause(self) -> None:
        """No audio follows for a while."""
        if self._session is not None:
            self._send(self._quiet.take())
            self._session.pause()

    def close(self) -> None:
        """End the session.  Idempotent."""
        self._is_closed = True
        self._session = None
        self._task.cancel()
        if self._next is not None:
            self._next.cancel()

    def _do(self, act: Call) -> None:
        if self._session is None:
            self._waiting.append(act)
        else:
            self._send(self._quiet.take())
            act(self._session)

    def _send(self, pcm: bytes) -> None:
        if pcm and self._session is not None and self._converter is not None:
            self._session.push(self._converter.process(pcm))

    # --- from the engine ---

    async def _keep(self) -> None:
        """Open sessions until the engine hangs up, or one is lost that cannot be opened again."""
        while True:
            began_s = asyncio.get_running_loop().time()
            try:
                await self._serve()
            except ProviderError as error:
                if self._has_given_way():
                    return
                self._session, self._is_connecting = None, False
                lasted_s = asyncio.get_running_loop().time() - began_s
                if not self._retries(error, lasted_s):
                    self._is_closed = True
                    self._user.lost(error)
                    return
                self._user.session_over()
            else:
                if not self._has_given_way():
                    self._session, self._is_closed = None, True
                    self._user.hung_up()
                return

    def _has_given_way(self) -> bool:
        """Return whether the session of this task does not matter: another one is in its place."""
        if asyncio.current_task() is self._next:  # the one before goes on until it expires
            self._next, self._is_connecting = None, False
            return True
        return self._is_closed or asyncio.current_task() is not self._task

    def _retries(self, error: ProviderError, lasted_s: float) -> bool:
        self._usage.was_lost()
        is_silent = error is self._failure
        retries = self._may_retry or (lasted_s >= _LASTS_S and not is_silent)
        retries = retries and not isinstance(error, ProviderRejected)
        log.warning(
            "speech_session_lost",
            problem=str(error),
            cause=error.kind,
            lasted_s=round(lasted_s, 1),
        )
        if retries:
            self._may_retry = False
            self._call.note(
                events.EngineLost(problem=str(error), cause=error.kind, goes_on="reconnects")
            )
            self._call.metrics.provider_errors.labels(error.provider, error.kind).inc()
        return retries

    async def _serve(self) -> None:
        """Open one session and read it until the engine hangs up.

        Raises:
            ProviderError: it could not be opened, was lost, or has failed.
        """
        opening = self._user.opening()
        self._is_connecting = True
        lost: ProviderError | None = None
        async with AsyncExitStack() as stack:
            session = await self._connected(stack, opening)
            limit = asyncio.timeout(None)
            try:
                async with limit:
                    self._opened(session, opening, limit)
                    async for event in session:
                        if self._session is session:
                            self._call.audio.catch_up()
                            self._take(event)
            except ProviderError as error:  # raised behind the block, which may wrap it
                lost = error
            except TimeoutError:
                if not limit.expired():
                    raise
                lost = self._failure
            finally:
                self._count_rest(session)
        if lost is not None:
            raise lost

    def _count_rest(self, session: SpeechSession) -> None:
        """Count what a session that counts time itself has not reported before its end."""
        usage: Callable[[], EngineUsage] | None = getattr(session, "usage", None)
        if usage is not None and self._counted is session:
            self._usage.used(usage())

    async def _connected(self, stack: AsyncExitStack, opening: Opening) -> SpeechSession:
        limit, engine = asyncio.timeout(_CONNECT_S), self._wanted or self._engine
        try:
            async with limit:
                session = await stack.enter_async_context(engine.connect(opening))
        except ProviderError as error:
            self._refused(engine, error)
            raise
        except TimeoutError as error:
            if not limit.expired():
                raise
            late = ProviderTimeout(self._usage.provider, f"no session within {_CONNECT_S:g} s")
            self._refused(engine, late)
            raise late from error
        self._engine = engine
        self._wanted = None if engine is self._wanted else self._wanted
        return session

    def _refused(self, engine: SpeechToSpeech, error: ProviderError) -> None:
        """Stay with the engine as it was where other settings cannot be used."""
        if engine is not self._wanted:
            return
        self._wanted, ends_at = None, self._ends_at
        text = f"the changed settings cannot be used, those from before stay: {error}"
        self._call.note(events.EngineNoted(text=text))
        self._expires_at = ends_at if ends_at and ends_at > self._call.audio.now else None

    def _opened(self, session: SpeechSession, opening: Opening, limit: asyncio.Timeout) -> None:
        self._limit, self._ends_at = limit, None
        self._expires_at = self._expires_at if self._wanted is not None else None
        following = self._next
        replaces = following is not None and asyncio.current_task() is following
        if following is not None and replaces:
            self._task.cancel()
            self._task, self._next = following, None
        self._session, self._is_connecting = session, False
        self._counted = session
        self._usage.begins(session)
        self._known_calls = {m.call_id for m in opening.messages if isinstance(m, ToolResult)}
        self._converter = Converter(self._call.audio.format, session.input_format)
        self._call.note(
            events.EngineConnected(
                provider=self._usage.provider, turns=session.turns, messages=len(opening.messages)
            )
        )
        kept, self._audio = self._audio, deque(maxlen=_KEPT_FRAMES)
        for pcm in kept:
            session.push(self._converter.process(pcm))
        if kept:
            self._sent.append((self._kept_until, asyncio.get_running_loop().time()))
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act(session)
        asks, self._asks = self._asks, False
        if asks:
            session.tell([], answer=True)
        if replaces:
            self._user.session_over()

    def _take(self, event: SpeechEvent) -> None:
        if isinstance(event, SessionExpires):
            left_s = max(0.0, event.in_s - _EXPIRY_MARGIN_S)
            self._ends_at = self._call.audio.now + samples(left_s * 1000)
            soonest = self._expires_at if self._wanted is not None else None
            self._expires_at = min(self._ends_at, soonest or self._ends_at)
            return
        if isinstance(event, EngineUsage):
            if limit := self._usage.used(event):
                self._user.lost(limit)
            return
        if isinstance(event, ToolAsked):
            self._known_calls.add(event.call.id)
        self._note(event)
        self._user.take(event)

    def _note(self, event: SpeechEvent) -> None:
        """Show a reply's beginning, first audio and end in the events, at their audio time."""
        note = self._call.note
        match event:
            case ReplyStarted(reply_id=reply_id):
                note(events.EngineReply(what="started", reply_id=reply_id))
            case ReplyAudio(reply_id=reply_id) if reply_id != self._sounding:
                self._sounding = reply_id
                note(events.EngineReply(what="audio", reply_id=reply_id))
            case ReplyEnded(reply_id=reply_id, end=end):
                note(events.EngineReply(what="ended", reply_id=reply_id, end=end))
