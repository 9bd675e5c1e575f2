"""Story: what a picture of a call shows, taken from its bundle: words, stages, marks.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.conversation.stages import stages
from gateway.records.model import TurnRecord
from gateway.replay.recording import Recording

COLORS_OF = {
    "endpointing": "#d9902f",
    "language model": "#7a4fb5",
    "voice": "#3f9c9c",
    "playout": "#999999",
}
"""What the stages of an answer are called (in the order of `Stages`), and how they are shown."""
_MARKS = {
    "digit": "key",
    "held": "hold",
    "resumed": "resumed",
    "caller_silent": "caller silent",
    "turn_resumed": "went on",
    "barge_in_suspected": "held breath",
    "engine_failed": "engine failed",
    "line_is_dead": "line dead",
    "turn_waits": "waits for the bot",
    "tool_called": "tool",
    "tool_dropped": "dropped",
    "transfer_started": "transfer",
    "call_ended": "end",
}


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
    """Give each caller turn with words, from its onset."""
    found = []
    onset_s = 0.0
    for event in recording.events:
        if event["kind"] == "turn_started":
            onset_s = float(event.get("onset_s", event["audio_s"]))
        elif event["kind"] == "turn_ended":
            found.append(Words(onset_s, str(event.get("text", ""))))
    return found


def bot_words(recording: Recording) -> list[Words]:
    """Give each piece that the bot said, from when it was queued."""
    return [
        Words(float(event["audio_s"]), str(event.get("text", "")))
        for event in recording.events
        if event["kind"] == "bot_says"
    ]


def marks(recording: Recording) -> Iterator[Mark]:
    """Give everything else that is worth a mark."""
    for event in recording.events:
        at_s = float(event["audio_s"])
        if event["kind"] == "interrupted":
            yield Mark(at_s, f"cut by {event.get('cause', '')}", is_cut=True)
        elif event["kind"] == "turn_discarded":
            yield Mark(at_s, f"no turn: {event.get('reason', '')}")
        elif event["kind"] in _MARKS:
            detail = event.get("digit") or event.get("tool") or event.get("reason") or ""
            yield Mark(at_s, f"{_MARKS[event['kind']]} {detail}".rstrip())


def answerings(recording: Recording) -> list[Answering]:
    """Give the stages of each turn."""
    overs_s = _ends_of_turns(recording.events)
    found = []
    for turn in recording.record.turns:
        over_s = None if turn.started_s is None else overs_s.get(round(turn.started_s, 2))
        found.append(Answering(turn, () if over_s is None else tuple(_stages(turn, over_s))))
    return found


def _ends_of_turns(events: Sequence[dict[str, Any]]) -> dict[float, float]:
    """When the turn that began then was taken for over, in seconds."""
    found: dict[float, float] = {}
    onset_s = 0.0
    for event in events:
        if event["kind"] == "turn_started":
            onset_s = float(event.get("onset_s", event["audio_s"]))
        elif event["kind"] == "turn_ended":
            found[round(onset_s, 2)] = float(event["audio_s"])
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
