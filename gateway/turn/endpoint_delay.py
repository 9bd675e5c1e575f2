"""How long to wait for the caller to go on: evidence in, milliseconds out.  Pure.

All silences are measured from the caller's last sound (`SilenceTracker`).  How the numbers were
found: docs/turn-taking.md, "When the caller's turn is over".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gateway.config.models import Eagerness, TurnConfig
from gateway.turn.completeness import Look

NO_WORDS_MS = 500
"""Silence after which sound without words is forgotten."""
_SOUNDS_OVER, _SOUNDS_OPEN = 0.95, 0.7
"""Finished turns sound over at 0.95 to six of ten, pauses to two of ten."""
_SCALES = {"low": 1.5, "medium": 1.0, "high": 0.7}
_SCALED = frozenset({"whole", "doubtful", "unfinished"})
"""Looks whose delay eagerness scales: an answer that the dialogue asked for has its own."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a decision about the end of a turn rests on."""

    look: Look
    """What the text looks like."""
    end_of_turn: float | None = None
    """Probability that the turn is over, by its sound, 0..1."""
    learned_pause_ms: float | None = None
    """Silence that this caller has shown to need."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The silence that ends the turn, and why."""

    delay_ms: int
    evidence: Evidence
    by_text_and_sound_ms: int
    """Before eagerness and what was learned of the caller."""


def decide(evidence: Evidence, config: TurnConfig, scale: float = 1.0) -> Verdict:
    """Weigh the evidence: the surer the end, the shorter the wait.

    Args:
        evidence: what is known.
        config: the silence that each degree of certainty takes.
        scale: how patient to be beyond that.
    """
    base_ms = _by_text_and_sound_ms(evidence, config)
    if evidence.look not in _SCALED:
        return Verdict(base_ms, evidence, base_ms)
    learned_ms = min(evidence.learned_pause_ms or 0.0, config.unfinished_ms)
    return Verdict(round(max(base_ms * scale, learned_ms)), evidence, base_ms)


def _by_text_and_sound_ms(evidence: Evidence, config: TurnConfig) -> int:
    if evidence.look == "expected":
        return config.expected_ms
    if evidence.look == "dictating":
        return config.dictation_ms
    steps = (config.sure_end_ms, config.whole_ms, config.doubtful_ms, config.unfinished_ms)
    return steps[min(_doubts(evidence), len(steps) - 1)]


def _doubts(evidence: Evidence) -> int:
    """From 0, text and sound both say that it is over, to 3 or more, both say that it is not."""
    sound = evidence.end_of_turn
    doubts = {"whole": 1, "doubtful": 2}.get(evidence.look, 3)
    if sound is None:
        return doubts
    return doubts + (sound < _SOUNDS_OPEN) - (sound >= _SOUNDS_OVER)


class Pauses:
    """What one call has taught about its caller's silences in mid-turn."""

    _SHORTEST_MS = 160
    """Less is part of a word."""
    _MARGIN_MS = 64
    _REMEMBERED = 8
    _FLUENT_TURNS = 3

    def __init__(self) -> None:
        self._own: deque[float] = deque(maxlen=self._REMEMBERED)
        self._cut_ms: float | None = None
        self._turns = 0

    def went_on(self, pause_ms: float) -> None:
        """Learn that the caller paused this long and went on in the same turn."""
        if pause_ms >= self._SHORTEST_MS:
            self._own.append(pause_ms)

    def was_cut(self, pause_ms: float) -> None:
        """Learn that the turn was ended after this silence, and the caller went on."""
        self._cut_ms = max(pause_ms, self._cut_ms or 0.0)

    def turn_ended(self) -> None:
        """One more turn is over."""
        self._turns += 1

    def learned_ms(self, eagerness: Eagerness) -> float | None:
        """Return the silence that this caller needs.

        No caller is cut off twice at the same pause; `auto` also waits out pauses that the caller
        has made without being cut off.
        """
        known = [] if self._cut_ms is None else [self._cut_ms]
        if eagerness == "auto":
            known += self._own
        return max(known) + self._MARGIN_MS if known else None

    def scale(self, eagerness: Eagerness) -> float:
        """Return the factor for the delay; `auto` answers callers sooner who do not pause."""
        if eagerness != "auto":
            return _SCALES[eagerness]
        is_fluent = self._turns >= self._FLUENT_TURNS and not self._own and self._cut_ms is None
        return _SCALES["high"] if is_fluent else _SCALES["medium"]
