"""LiveCall: the parts of a call in progress that dialplan steps and conversations share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.config.models import Eagerness
from gateway.conversation.ear import Ear
from gateway.conversation.line import CallLine, LineEvent
from gateway.records.model import SpeculationRecord, TurnRecord
from gateway.telemetry.metrics import Metrics


class Recorder(Protocol):
    """Where a call leaves its traces."""

    def write_audio(self, received: bytes, sent: bytes) -> None:
        """Append one tick."""

    def event(self, kind: str, audio_s: float, /, **data: object) -> None:
        """Append one event."""

    def turn(self, turn: TurnRecord, audio_s: float) -> TurnRecord:
        """Append a finished turn; gives what may be kept of it."""

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


@dataclass(slots=True)
class LiveCall:
    """One call in progress."""

    line: CallLine
    ear: Ear
    recorder: Recorder
    metrics: Metrics
    group: asyncio.TaskGroup
    """Owns every task of the call."""
    inbox: asyncio.Queue[LineEvent | Request] = field(default_factory=asyncio.Queue)
    """What happened on the line; the step that runs takes from it (type-ahead is kept)."""
    turns: list[TurnRecord] = field(default_factory=list)
    agent_name: str = ""
    speculation: SpeculationRecord = field(default_factory=SpeculationRecord)

    def note(self, kind: str, **data: object) -> None:
        """Record an event at the present audio time."""
        self.recorder.event(kind, self.ear.now_s, **data)

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

    def finish_turn(self, turn: TurnRecord) -> TurnRecord:
        """Count a finished turn's latencies and keep what may be kept of it."""
        _observe(self.metrics, turn)
        kept = self.recorder.turn(turn, self.ear.now_s)
        self.turns.append(kept)
        return kept

    def begin_agent(self, name: str, *, is_recorded: bool) -> None:
        """An agent takes over; what it hears and says is recorded only if it wants it."""
        self.agent_name = name
        if is_recorded:
            self.recorder.resume("agent", self.ear.now_s)
        else:
            self.recorder.pause("agent", self.ear.now_s)

    def pause_recording(self, *, paused: bool) -> None:
        """Leave out what is said from now on (payment data), or record again."""
        if paused:
            self.recorder.pause("request", self.ear.now_s)
        else:
            self.recorder.resume("request", self.ear.now_s)


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
    ):
        if value_ms is not None:
            histogram.observe(value_ms / 1000)
    metrics.turns.labels("interrupted" if turn.interrupted else "complete").inc()
