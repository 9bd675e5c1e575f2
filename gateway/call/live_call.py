"""LiveCall: the parts of a call in progress that dialplan steps and conversations share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from gateway.call import events
from gateway.call.call_audio import CallAudio
from gateway.call.caller_voice import CallerVoice
from gateway.call.control import (
    AgentWanted,
    CallControl,
    ControlBegan,
    ControlEnded,
    LanguageWanted,
)
from gateway.call.line import Line, LineEvent
from gateway.call.steering import CallObserver, ClientAsks, Terms
from gateway.config.models import Eagerness
from gateway.records.model import (
    EngineRecord,
    RouteRecord,
    SpeculationRecord,
    ToolUse,
    TurnRecord,
    UsageRecord,
)
from gateway.telemetry.metrics import Metrics

T = TypeVar("T")


class Recorder(Protocol):
    """Where a call leaves its traces."""

    def write_audio(self, received: bytes, sent: bytes) -> None:
        """Append one tick or more: whole frames of the caller, and as many that were sent."""

    def event(self, kind: str, audio_s: float, /, **data: object) -> None:
        """Append one event."""

    def turn(self, turn: TurnRecord, audio_s: float) -> TurnRecord:
        """Append a finished turn; return what may be kept of it."""

    def tool_uses(self, uses: Sequence[ToolUse]) -> tuple[ToolUse, ...]:
        """Return what may be kept of tools that are in the record of no turn."""

    def pause(self, reason: Literal["agent", "request"], audio_s: float) -> None:
        """Record silence and no texts from now on."""

    def resume(self, reason: Literal["agent", "request"], audio_s: float) -> None:
        """Record again."""


@dataclass(frozen=True, slots=True)
class SayRequest:
    """The operator wants something said (HTTP API)."""

    text: str


@dataclass(frozen=True, slots=True)
class EagernessRequest:
    """The operator wants the caller answered sooner or later from now on (HTTP API)."""

    eagerness: Eagerness


Request = SayRequest | EagernessRequest
"""What the operator may ask of a call."""

CallEvent = (
    LineEvent | Request | ControlBegan | ControlEnded | AgentWanted | LanguageWanted | ClientAsks
)


@dataclass(slots=True)
class Spent:
    """Requests to language models, tokens and what they cost."""

    requests: int = 0
    tokens: int = 0
    cost: float = 0.0

    def add(self, other: Spent) -> None:
        """Count more."""
        self.requests += other.requests
        self.tokens += other.tokens
        self.cost += other.cost

    def over(self, requests: float, tokens: float, cost: float) -> str:
        """Name what is spent of these limits, of which 0 is none."""
        limits = {"requests": requests, "tokens": tokens, "cost": cost}
        return next((n for n, most in limits.items() if most and getattr(self, n) >= most), "")


@dataclass(slots=True)
class LiveCall:
    """One call in progress."""

    line: Line
    audio: CallAudio
    recorder: Recorder
    metrics: Metrics
    group: asyncio.TaskGroup
    """Owns every task of the call but its tools."""
    tools: asyncio.TaskGroup
    """Owns its tools: what one has begun it brings to its end, even when the line is over."""
    inbox: asyncio.Queue[CallEvent] = field(default_factory=asyncio.Queue)
    """What happened on the line; the step that runs takes from it (type-ahead is kept)."""
    control: CallControl = field(init=False)
    """Transfers and keys of agent, dialplan and API."""
    turns: list[TurnRecord] = field(default_factory=list)
    agent_name: str = ""
    speculation: SpeculationRecord = field(default_factory=SpeculationRecord)
    engines: dict[str, EngineRecord] = field(default_factory=dict)
    """Speech-to-speech engines by their names."""
    usage: dict[tuple[str, str], UsageRecord] = field(default_factory=dict)
    """What recognizers, language models and voices were used for, by kind and provider."""
    routes: dict[str, RouteRecord] = field(default_factory=dict)
    """What routers have chosen, by their names."""
    tool_uses: list[ToolUse] = field(default_factory=list)
    """What came of tools, in the record of no turn yet."""
    voice: CallerVoice = field(default_factory=CallerVoice)
    """Of the caller, where an agent has `profile`."""
    _unrecorded: set[str] = field(default_factory=set)
    """Why nothing of what is said is recorded."""
    spent: Spent = field(default_factory=Spent)
    """At engines that have prices or count tokens."""
    terms: Terms = field(default_factory=Terms)
    """What a client of the call has set."""
    observers: list[CallObserver] = field(default_factory=list)
    """Follow it."""
    _open_tools: set[asyncio.Task[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Make the control of this call."""
        self.control = CallControl(self.line, self.group, self.note, self.inbox.put_nowait)

    def note(self, event: events.Event) -> None:
        """Record an event at the present audio time."""
        self.recorder.event(event.kind, self.audio.now_s, **events.fields_of(event))
        self.observe(event)

    def observe(self, event: events.Event) -> None:
        """Tell the observers of an event that is recorded elsewhere."""
        for observer in self.observers:
            observer.noted(event)

    def speculated(
        self, outcome: Literal["started", "released", "dropped"], wasted_tokens: int = 0
    ) -> None:
        """Count a reply that was prepared before the turn was over."""
        known = self.speculation
        self.speculation = known.model_copy(
            update={
                outcome: getattr(known, outcome) + 1,
                "wasted_tokens": known.wasted_tokens + wasted_tokens,
            }
        )
        self.metrics.speculation.labels(outcome).inc()
        self.metrics.llm_tokens_wasted.inc(wasted_tokens)

    def used(
        self,
        kind: Literal["stt", "llm", "tts"],
        provider: str,
        cost: float | None,
        **more: float,
    ) -> None:
        """Add to the record of what an engine is used for.

        Args:
            kind: what it does.
            provider: its name.
            cost: of what is added; None where no price is set.
            more: fields of `UsageRecord` that count.
        """
        before = self.usage.get((kind, provider)) or UsageRecord(kind=kind, provider=provider)
        update: dict[str, object] = {
            key: round(getattr(before, key) + add, 6) for key, add in more.items()
        }
        if cost is not None:
            update["cost"] = round((before.cost or 0.0) + cost, 9)
        self.usage[kind, provider] = before.model_copy(update=update)

    @property
    def variant(self) -> str:
        """The sides of splits that the call is on, such as `talk=a,voices=b`; empty = none."""
        found = (f"{name}={route.variant}" for name, route in self.routes.items() if route.variant)
        return ",".join(found)

    def choose_route(self, route: RouteRecord) -> None:
        """Note what a router has chosen; from now on metrics have the call's variant."""
        self.routes.setdefault(route.router, route)
        self.metrics = self.metrics.of_variant(self.variant)

    @property
    def has_open_tools(self) -> bool:
        """True while a tool runs."""
        return bool(self._open_tools)

    def run_tool(self, tool: Coroutine[None, None, T]) -> asyncio.Task[T]:
        """Begin a tool, which may outlast the line."""
        task = self.tools.create_task(tool)
        self._open_tools.add(task)
        task.add_done_callback(self._open_tools.discard)
        return task

    def take_tool_uses(self) -> list[ToolUse]:
        """Return what is in the record of no turn yet, once."""
        uses, self.tool_uses = self.tool_uses, []
        return uses

    def finish_turn(self, turn: TurnRecord) -> TurnRecord:
        """Count a finished turn's latencies and keep what may be kept of it."""
        _observe(self.metrics, turn)
        kept = self.recorder.turn(turn, self.audio.now_s)
        self.turns.append(kept)
        return kept

    def begin_agent(self, name: str, *, is_recorded: bool) -> None:
        """An agent takes over; what it hears and says is recorded only if it wants it."""
        self.agent_name = name
        self.note(events.AgentStarted(agent=name))
        self._set_recorded("agent", is_recorded=is_recorded)
        if is_recorded:
            self.recorder.resume("agent", self.audio.now_s)
        else:
            self.recorder.pause("agent", self.audio.now_s)

    def pause_recording(self, *, paused: bool) -> None:
        """Leave out what is said from now on (payment data), or record again."""
        self.audio.catch_up()  # it was said before
        self._set_recorded("request", is_recorded=not paused)
        if paused:
            self.recorder.pause("request", self.audio.now_s)
        else:
            self.recorder.resume("request", self.audio.now_s)

    def _set_recorded(self, reason: str, *, is_recorded: bool) -> None:
        if is_recorded:
            self._unrecorded.discard(reason)
        else:
            self._unrecorded.add(reason)

    @property
    def is_recorded(self) -> bool:
        """True while what is said may be kept."""
        return not self._unrecorded


def _observe(metrics: Metrics, turn: TurnRecord) -> None:
    for histogram, value_ms in (
        (metrics.response_gap, turn.response_gap_ms),
        (metrics.gateway_share, turn.gateway_share_ms),
        (metrics.barge_in_stop, turn.barge_in_stop_ms),
        (metrics.endpointing, turn.endpointing_ms),
        (metrics.stt_final, turn.stt_final_ms),
        (metrics.llm_first_token, turn.llm_first_token_ms),
        (metrics.llm_first_sentence, turn.llm_first_sentence_ms),
        (metrics.tts_first_audio, turn.tts_first_audio_ms),
        (metrics.playout_start, turn.playout_start_ms),
        (metrics.engine_first_audio, turn.engine_first_audio_ms),
        (metrics.engine_to_wire, turn.engine_to_wire_ms),
    ):
        if value_ms is not None:
            histogram.observe(value_ms / 1000)
    metrics.turns.labels("interrupted" if turn.interrupted else "complete").inc()
