"""RealtimeLink: ties the state of a session to the call behind it.  Knows no socket.

It satisfies `CallPort` for the session and `CallObserver` for the call.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.call import events
from gateway.call.line import End
from gateway.call.live_call import LiveCall
from gateway.call.steering import (
    BeginTurn,
    BotTurnEnd,
    ClientAsks,
    Instructed,
    Steer,
    Terms,
    TurnsTaken,
)
from gateway.config.dialplans import Talk
from gateway.config.models import AgentConfig
from gateway.conversation.agent import Agent
from gateway.dialplan.steps import StepScope, talk
from gateway.providers.contracts import ToolCall
from gateway.realtime.formats import format_of
from gateway.realtime.line import RealtimeLine
from gateway.realtime.ports import SessionFacts, specs
from gateway.realtime.protocol.errors import ProtocolError
from gateway.realtime.protocol.server_events import Limit, ServerEvent
from gateway.realtime.protocol.settings import ServerVad, SessionSettings
from gateway.realtime.session import RealtimeSession
from gateway.turn.events import (
    BargeInSuspected,
    TurnDiscarded,
    TurnEnded,
    TurnStarted,
    milliseconds,
)

VENDOR_VOICES = frozenset({
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
})  # fmt: skip
"""Names that clients send as they come; they mean the agent's own voice."""
_NEVER_S = 1e9
_PROBLEMS = {
    "no_transcript": "the recognizer gave no transcript in time",
    "failed": "the recognizer has failed",
}
_WITHOUT_BEGIN = (Instructed, TurnsTaken)
"""Settings: they alone do not begin the conversation."""


@dataclass(frozen=True, slots=True)
class SessionOpening:
    """What a session begins with."""

    session_id: str
    agent: str
    settings: SessionSettings | None
    """Of a client secret, or of a call that is accepted."""
    max_session_s: float


def new_id(kind: str) -> str:
    """Make an id of the protocol."""
    return f"{kind}_{secrets.token_hex(10)}"


def session_agent(config: AgentConfig) -> AgentConfig:
    """Return an agent's settings for sessions: the client decides what silence means."""
    silence = config.silence.model_copy(update={"reprompt_after_s": _NEVER_S})
    return config.model_copy(update={"silence": silence})


class RealtimeLink:
    """One session and its call.  Loop thread only."""

    def __init__(
        self,
        line: RealtimeLine,
        agents: Mapping[str, Agent],
        opening: SessionOpening,
        send: Callable[[ServerEvent], None],
    ) -> None:
        """Begin the session: its first events are sent at once.

        Args:
            line: of the call.
            agents: by name.
            opening: what the client wants.
            send: takes server events.

        Raises:
            ProtocolError: the settings are not possible.
        """
        self._line = line
        self._agents = dict(agents)
        self._name = opening.agent
        self._live: LiveCall | None = None
        self._asked: list[Steer] = []
        self._begun = asyncio.Event()
        self._terms = Terms(greets=False)
        self._turns = TurnsTaken(by_client=False)
        self._settings: SessionSettings | None = None
        self._suspected_ms = 0
        expires_at = int((datetime.now(UTC) + timedelta(seconds=opening.max_session_s)).timestamp())
        facts = SessionFacts(opening.session_id, opening.agent, expires_at)
        self.session = RealtimeSession(facts, self, send, new_id)
        line.sink = self.session.bot_audio
        line.keeps_time = self._keeps_time
        line.on_end = self._ends
        self.session.begin(opening.settings)

    def receive(self, frame: str | bytes) -> None:
        """Take a frame of the client."""
        if self._line.ended is None:
            self.session.receive(frame)

    def accept(self, event: Mapping[str, Any]) -> None:
        """Take an event of the client."""
        if self._line.ended is None:
            self.session.accept(event)

    def beat(self) -> None:
        """Let 20 ms pass."""
        self._line.beat()
        now_s = asyncio.get_running_loop().time()
        self.session.pass_time(now_s, is_playing=self._line.is_playing)

    # --- the call ---

    async def flow(self, call: LiveCall) -> End:
        """Be what happens in the call, to its end."""
        self._live = call
        call.terms = self._terms
        call.observers.append(self)
        for asked in self._asked:
            call.inbox.put_nowait(ClientAsks(asked))
        self._asked.clear()
        await self._line.answer()
        await self._begun.wait()
        scope = StepScope(call, self._agents_of_call(), self._name)
        try:
            ending = await talk(Talk(agent=self._name), scope)
        finally:
            scope.close()
        return End(ending.reason, ending.text)

    def _agents_of_call(self) -> dict[str, Agent]:
        agents = {
            name: replace(agent, config=session_agent(agent.config))
            for name, agent in self._agents.items()
        }
        voice = self._settings.audio.output.voice if self._settings else ""
        if voice in agents and voice not in VENDOR_VOICES:
            agents[self._name] = replace(agents[self._name], voice=agents[voice].voice)
        return agents

    def _ends(self, end: End) -> None:
        if end.reason == "max_duration":
            text = "Your session has reached its maximum duration: open another one."
            self.session.refuse(ProtocolError(text, "session_expired"))

    def _keeps_time(self) -> bool:
        active = self.session.active
        return self.session.buffer.is_speaking or (active is not None and not active.is_over)

    # --- CallPort ---

    def hear(self, audio: bytes) -> float:
        """Take audio of the client."""
        assert self._settings is not None  # noqa: S101 - `configure` comes first
        received = format_of(self._settings.audio.input.format)
        if len(audio) % received.sample_bytes:
            text = f"Invalid 'audio': {len(audio)} bytes are no whole number of 16-bit samples."
            raise ProtocolError(text, "invalid_value", "audio")
        self._begin()
        if self._turns.by_client and self.session.buffer.ms == 0:
            self.ask(BeginTurn())
        return self._line.hear(audio)

    def _begin(self) -> None:
        self._begun.set()

    def ask(self, asked: Steer) -> None:
        """Have something done by the conversation."""
        if not isinstance(asked, _WITHOUT_BEGIN):
            self._begin()
        if self._live is None:
            self._asked.append(asked)
        else:
            self._live.inbox.put_nowait(ClientAsks(asked))

    def configure(self, settings: SessionSettings, *, is_first: bool) -> SessionSettings:
        """Take settings; return them as they are in effect."""
        before = self._settings
        settings = self._with_voice(settings, before)
        self._check(settings)
        self._settings = settings
        audio = settings.audio
        received, sent = format_of(audio.input.format), format_of(audio.output.format)
        if is_first or before is None or before.audio != audio:
            self._line.use(received, sent, is_fixed=self._begun.is_set())
        self._terms.speaks = settings.speaks
        self._terms.tools = specs(settings.functions)
        detection = audio.input.turn_detection
        is_transcription = settings.type == "transcription"
        self._terms.answers = (
            detection is not None and detection.create_response and not is_transcription
        )
        turns = _turns_of(settings)
        if turns != self._turns:
            self._turns = turns
            self.ask(turns)
        if is_first and settings.instructions:
            self.ask(Instructed(settings.instructions))
        return settings

    def _with_voice(
        self, settings: SessionSettings, before: SessionSettings | None
    ) -> SessionSettings:
        output = settings.audio.output
        voice = output.voice or self._name
        if voice not in self._agents and voice not in VENDOR_VOICES:
            known = ", ".join([*self._agents, *sorted(VENDOR_VOICES)])
            text = f"Invalid value: '{voice}'. Supported values are: {known}."
            raise ProtocolError(text, "invalid_value", "session.audio.output.voice")
        is_other = before is not None and before.audio.output.voice != voice
        if is_other and self._begun.is_set() and voice not in VENDOR_VOICES:
            text = "The voice cannot be changed once audio was sent or an answer was asked for."
            raise ProtocolError(text, "cannot_update_voice", "session.audio.output.voice")
        output = output.model_copy(update={"voice": voice})
        audio = settings.audio.model_copy(update={"output": output})
        return settings.model_copy(update={"audio": audio})

    def _check(self, settings: SessionSettings) -> None:
        agent = self._agents[self._name]
        own = {spec.name for spec in agent.tools.specs}
        for tool in settings.functions:
            if tool.name in own:
                text = f"'{tool.name}' is a tool of the agent itself: choose another name."
                raise ProtocolError(text, "invalid_value", "session.tools")
        if settings.audio.output.speed != 1.0:
            text = "The agent's voice has one speed: 1.0."
            raise ProtocolError(text, "invalid_value", "session.audio.output.speed")
        detection = settings.audio.input.turn_detection
        waits = detection is None or not detection.create_response
        if waits and agent.speech is not None and settings.type == "realtime":
            text = (
                "The speech-to-speech engine of this agent answers by itself: use server_vad or"
                " semantic_vad with create_response."
            )
            raise ProtocolError(text, "invalid_value", "session.audio.input.turn_detection")

    def limits(self) -> Sequence[Limit]:
        """Return what is left of the agent's limits of a call."""
        limits = self._agents[self._name].config.llm_limits
        spent = self._live.spent if self._live is not None else None
        requests = spent.requests if spent else 0
        tokens = spent.tokens if spent else 0
        found = []
        if limits.requests_per_call:
            most = limits.requests_per_call
            found.append(Limit("requests", most, most - requests, 0.0))
        if limits.tokens_per_call:
            most = limits.tokens_per_call
            found.append(Limit("tokens", most, most - tokens, 0.0))
        return found

    @property
    def position_ms(self) -> int:
        """How much audio the client has sent that was heard."""
        return self._line.positions.client_ms

    # --- CallObserver ---

    def noted(self, event: events.Event) -> None:
        """Accept an event of the call."""
        session, at = self.session, self._line.positions.at
        match event:
            case BargeInSuspected(onset=onset):
                self._suspected_ms = at(milliseconds(onset))
            case TurnStarted(onset=onset):
                session.caller_began(at(milliseconds(onset)))
            case TurnEnded(text=text, speech_end=end):
                session.caller_ended(text, at(milliseconds(end)))
            case TurnDiscarded(now=now, reason=reason):
                session.caller_discarded(at(milliseconds(now)), _PROBLEMS.get(reason, ""))
            case events.BotSays(text=text, is_filler=False):
                session.bot_words(text)
            case events.AgentStarted():
                if self._turns != TurnsTaken(by_client=False):
                    self.ask(self._turns)
            case _:
                pass

    def caller_is_heard(self) -> None:
        """The caller speaks over the bot, which is paused: its client is told at once."""
        self.session.caller_began(self._suspected_ms)

    def bot_turn_began(self) -> None:
        """The bot has taken the floor."""
        self.session.bot_began()

    def bot_wrote(self, text: str) -> None:
        """A piece of an answer that is written."""
        self.session.bot_words(text)

    def bot_turn_over(self, end: BotTurnEnd) -> None:
        """The bot has given up the floor."""
        if end.is_cut:
            self._line.cut()
        self.session.bot_ended(end)

    def tool_handed_over(self, call: ToolCall) -> None:
        """The client is to run a function."""
        self.session.bot_calls(call)

    def aside(self, key: str, text: str, calls: Sequence[ToolCall]) -> None:
        """A part of an answer beside the conversation."""
        self.session.aside(key, text, calls)

    def aside_over(self, key: str, problem: str, *, is_cancelled: bool) -> None:
        """Such an answer is over."""
        self.session.aside_over(key, problem, is_cancelled=is_cancelled)

    def spent(self, input_tokens: int, output_tokens: int) -> None:
        """A language model was paid."""
        self.session.spent(input_tokens, output_tokens)


def _turns_of(settings: SessionSettings) -> TurnsTaken:
    detection = settings.audio.input.turn_detection
    if detection is None:
        return TurnsTaken(by_client=True, interrupts=False)
    if isinstance(detection, ServerVad):
        return TurnsTaken(
            by_client=False, interrupts=detection.interrupt_response,
            silence_ms=detection.silence_duration_ms, threshold=detection.threshold,
        )  # fmt: skip
    eagerness = None if detection.eagerness == "auto" else detection.eagerness
    return TurnsTaken(by_client=False, interrupts=detection.interrupt_response, eagerness=eagerness)
