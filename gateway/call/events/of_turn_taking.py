"""Inputs of turn taking, as a replay needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from gateway.providers.contracts import Expect


@dataclass(frozen=True, slots=True)
class TurnTakingStarted:
    """Turn taking of one agent begins, with its settings."""

    kind: ClassVar[str] = "turn_taking_started"
    now: int
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TurnTakingEnded:
    """Turn taking of one agent ends."""

    kind: ClassVar[str] = "turn_taking_ended"
    heard: int


@dataclass(frozen=True, slots=True)
class TurnInput:
    """An input of turn taking, for replay."""

    kind: ClassVar[str] = "turn_input"
    input: str
    heard: int
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expects:
    """The kind of answer that the bot's question asks for."""

    kind: ClassVar[str] = "expects"
    now: int
    expect: Expect


@dataclass(frozen=True, slots=True)
class PartialTranscript:
    """Recognition of an utterance that is not over."""

    kind: ClassVar[str] = "partial_transcript"
    text: str = ""
    choice: str | None = None
    log_prob: float | None = None
    end_of_turn: float | None = None
    covers: int = 0


@dataclass(frozen=True, slots=True)
class FinalTranscript:
    """Recognition of an utterance that a decision waits for."""

    kind: ClassVar[str] = "final_transcript"
    text: str = ""
    choice: str | None = None
    log_prob: float | None = None
    end_of_turn: float | None = None
    covers: int = 0
