"""How long to wait for the caller to go on: evidence in, milliseconds out.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.config.models import TurnConfig
from gateway.turn.completeness import Look

Eagerness = Literal["low", "medium", "high", "auto"]


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
class Patience:
    """The silence that ends the turn, and why."""

    ms: int
    evidence: Evidence
    text_ms: int
    """What the text alone asks for."""


def patience(evidence: Evidence, config: TurnConfig, eagerness: Eagerness) -> Patience:
    """Weigh the evidence."""
    text_ms = {
        "expected": config.expected_ms,
        "whole": config.whole_ms,
        "doubtful": config.doubtful_ms,
        "unfinished": config.unfinished_ms,
        "dictating": config.dictation_ms,
    }[evidence.look]
    return Patience(text_ms, evidence, text_ms)
