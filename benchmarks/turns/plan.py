"""How much is measured, with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.turns.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the harness."""

    store: Store
    full: bool = False
    turns: int | None = None
    """Turns per condition, where the command line says so."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 1

    def count(self, short: int, full: int) -> int:
        """How many turns of a condition."""
        return self.turns or (full if self.full else short)

    def about(self, **more: object) -> dict[str, object]:
        """What the results say about the run."""
        return {"full": self.full, "seed": self.seed, "settings": dict(self.settings), **more}


def batched(items: Sequence[T], size: int) -> list[tuple[T, ...]]:
    """Cut into pieces of at most so many."""
    return [tuple(items[at : at + size]) for at in range(0, len(items), size)]
