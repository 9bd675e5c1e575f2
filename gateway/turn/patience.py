"""How long to wait for the caller to go on: evidence in, milliseconds out.  Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from gateway.config.models import TurnConfig
from gateway.turn.completeness import Look

Eagerness = Literal["low", "medium", "high", "auto"]

NO_WORDS_MS = 500
"""Silence after which sound without words is forgotten."""
_SOUNDS_OVER = 0.9
_SOUNDS_OPEN = 0.5
_SCALE = {"low": 1.5, "medium": 1.0, "auto": 1.0, "high": 0.6}
_SCALED = frozenset({"whole", "doubtful", "unfinished"})
"""Looks whose patience eagerness scales; what the dialogue asked for has its own."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a decision about the end of a turn rests on."""

    look: Look
    """What the text looks like."""
    end_of_turn: float | None = None
    """Probability that the turn is over, by its sound, 0..1."""
    learned_pause_ms: float | None = None
    """How long this caller pauses in mid-turn."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The silence that ends the turn, and why."""

    patience_ms: int
    evidence: Evidence
    by_text_and_sound_ms: int
    """Before eagerness and what was learned about the caller."""


def decide(evidence: Evidence, config: TurnConfig, eagerness: Eagerness) -> Verdict:
    """Weigh the evidence: the surer the end, the shorter the wait."""
    base_ms = _by_text_and_sound_ms(evidence, config)
    if evidence.look not in _SCALED:
        return Verdict(base_ms, evidence, base_ms)
    scaled_ms = base_ms * _SCALE[eagerness]
    learned_ms = min(evidence.learned_pause_ms or 0.0, config.unfinished_ms)
    return Verdict(round(max(scaled_ms, learned_ms)), evidence, base_ms)


def _by_text_and_sound_ms(evidence: Evidence, config: TurnConfig) -> int:
    fixed = {
        "expected": config.expected_ms,
        "unfinished": config.unfinished_ms,
        "dictating": config.dictation_ms,
    }.get(evidence.look)
    if fixed is not None:
        return fixed
    ladder = (config.sure_end_ms, config.whole_ms, config.doubtful_ms, config.doubtful_ms)
    return ladder[_doubts(evidence)]


def _doubts(evidence: Evidence) -> int:
    """0 = sure by text and sound, 1 = the usual, 2 and 3 = one or both speak against it."""
    sound = evidence.end_of_turn
    doubts = 1 if evidence.look == "whole" else 2
    if sound is None:
        return doubts
    return doubts + (sound < _SOUNDS_OPEN) - (sound >= _SOUNDS_OVER)


class Pauses:
    """How long the caller of this call is silent in mid-turn."""

    _SHORTEST_MS = 160
    """Less is part of a word."""

    def __init__(self) -> None:
        self._own: deque[float] = deque(maxlen=8)
        self._cut_ms: float | None = None

    def went_on(self, pause_ms: float) -> None:
        """The caller paused for so long and went on in the same turn."""
        if pause_ms >= self._SHORTEST_MS:
            self._own.append(pause_ms)

    def cut_at(self, pause_ms: float) -> None:
        """The caller went on after having been taken for done."""
        self._cut_ms = max(pause_ms, self._cut_ms or 0.0)

    def learned_ms(self, eagerness: Eagerness) -> float | None:
        """The silence that this caller needs; None while nothing is known or counts."""
        return self._cut_ms
