"""Timeline of a call, read from its bundle: words, stages, marks.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.audio.format import ANALYSIS
from gateway.call import events
from gateway.conversation.stages import stages
from gateway.records.model import TurnRecord
from gateway.replay.recording import LoggedEvent, Recording
from gateway.turn.events import (
    BargeInSuspected,
    CallerSilent,
    TurnDiscarded,
    TurnEnded,
    TurnResumed,
    TurnStarted,
)

COLORS_OF = {
    "endpointing": "#d9902f",
    "language model": "#7a4fb5",
    "voice": "#3f9c9c",
    "engine": "#4a6fb5",
    "playout": "#999999",
}
"""What the stages of an answer are called (in the order of `Stages`), and how they are shown."""


@dataclass(frozen=True, slots=True)
class Words:
    """Something that was said."""

    start_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of the time to an answer."""

    name: str
    start_s: float
    length_s: float


@dataclass(frozen=True, slots=True)
class Answering:
    """How one turn was answered."""

    turn: TurnRecord
    stages: tuple[Stage, ...]
    """From the caller's last sample on; empty for greetings and prompts."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened."""

    at_s: float
    words: str
    is_cut: bool = False


def caller_words(recording: Recording) -> list[Words]:
    """Return each caller turn with words, from its onset."""
    found = []
    onset_s = 0.0
    for logged in recording.events:
        match logged.event:
            case TurnStarted(onset=onset):
                onset_s = onset / ANALYSIS.sample_rate_hz
            case TurnEnded(text=text):
                found.append(Words(onset_s, text))
    return found


def bot_words(recording: Recording) -> list[Words]:
    """Return each piece that the bot said, from when it was queued."""
    return [
        Words(logged.audio_s, logged.event.text)
        for logged in recording.events
        if isinstance(logged.event, events.BotSays)
    ]


def marks(recording: Recording) -> Iterator[Mark]:
    """Return everything else that is worth a mark."""
    for logged in recording.events:
        words = _words_of(logged.event)
        if words:
            is_cut = isinstance(logged.event, events.Interrupted)
            yield Mark(logged.audio_s, words, is_cut=is_cut)


_FIXED: Mapping[type[object], str] = {
    events.Held: "hold",
    events.Resumed: "resumed",
    CallerSilent: "caller silent",
    TurnResumed: "went on",
    BargeInSuspected: "paused",
    events.EngineFailed: "engine failed",
    events.LineIsDead: "line dead",
    events.TurnWaits: "waits for the bot",
    events.TransferStarted: "transfer",
}


def _words_of(event: events.Event | events.UnknownEvent) -> str:
    """Return how an event is marked; empty for one that is not."""
    words = _FIXED.get(type(event), "")
    match event:
        case events.Interrupted(cause=cause):
            words = f"cut by {cause}"
        case TurnDiscarded(reason=reason):
            words = f"no turn: {reason}"
        case events.KeyPressed(digit=digit):
            words = f"key {digit}"
        case events.ToolCalled(tool=tool):
            words = f"tool {tool}"
        case events.ToolDropped(tool=tool):
            words = f"dropped {tool}"
        case events.CallEnded(reason=reason):
            words = f"end {reason}"
    return words


def answerings(recording: Recording) -> list[Answering]:
    """Return the stages of each turn."""
    overs_s = _ends_of_turns(recording.events)
    found = []
    for turn in recording.record.turns:
        over_s = None if turn.started_s is None else overs_s.get(round(turn.started_s, 2))
        found.append(Answering(turn, () if over_s is None else tuple(_stages(turn, over_s))))
    return found


def _ends_of_turns(logged_events: Sequence[LoggedEvent]) -> dict[float, float]:
    """Return when the turn that began then was taken for over, in seconds."""
    found: dict[float, float] = {}
    onset_s = 0.0
    for logged in logged_events:
        match logged.event:
            case TurnStarted(onset=onset):
                onset_s = onset / ANALYSIS.sample_rate_hz
            case TurnEnded():
                found[round(onset_s, 2)] = logged.audio_s
    return found


def _stages(turn: TurnRecord, over_s: float) -> Iterator[Stage]:
    """Lay the stages end to end; the decision that the turn was over is the fixed point."""
    found = stages(turn)
    if found is None:
        return
    at_s = over_s - found.endpointing_ms / 1000
    for name, length_ms in zip(COLORS_OF, found, strict=True):
        if length_ms >= 0.5:
            yield Stage(name, at_s, length_ms / 1000)
            at_s += length_ms / 1000
