"""Figures of calls by variant, from their records.  Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from gateway.records.model import CallRecord
from gateway.report.intervals import (
    Difference,
    Estimate,
    Statistic,
    Values,
    drawn_difference,
    estimate,
    replicates,
    share,
    share_difference,
)

NO_VARIANT = "(no split)"
_FAILED = frozenset(("failed", "crashed", "worker_lost"))
_STATISTICS: dict[str, Statistic] = {
    "gap_p50_ms": lambda values: float(np.percentile(values, 50)),
    "gap_p90_ms": lambda values: float(np.percentile(values, 90)),
    "tokens": lambda values: float(values.mean()),
    "cost": lambda values: float(values.mean()),
    "switches": lambda values: float(values.mean()),
}


@dataclass
class Group:
    """What is known of the calls of one variant."""

    variant: str
    calls: int = 0
    turns: int = 0
    """Turns of the bot that the caller could interrupt."""
    interrupted: int = 0
    failed: int = 0
    """Calls that ended by a failure, or in which the caller heard of one."""
    gaps: list[list[float]] = field(default_factory=list)
    """Response gaps of each call, ms."""
    tokens: list[list[float]] = field(default_factory=list)
    cost: list[list[float]] = field(default_factory=list)
    switches: list[list[float]] = field(default_factory=list)
    """Of each call, how often another engine went on."""
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, record: CallRecord) -> None:
        """Count one call."""
        turns = [turn for turn in record.turns if turn.bot_text_generated or turn.withheld]
        self.calls += 1
        self.turns += len(turns)
        self.interrupted += sum(turn.interrupted for turn in turns)
        has_error = any(turn.error for turn in record.turns)
        self.failed += has_error or record.end_reason in _FAILED
        gaps = (turn.response_gap_ms for turn in record.turns)
        self.gaps.append([gap for gap in gaps if gap is not None])
        self.tokens.append([record.spent.tokens])
        self.cost.append([record.spent.cost])
        self.switches.append([sum(route.switches for route in record.routes)])
        if outcome := outcome_of(record):
            self.outcomes[outcome] += 1

    def values(self, name: str) -> list[list[float]]:
        """Return what a figure is worked out from, call by call."""
        return self.gaps if name.startswith("gap") else list(getattr(self, name))

    def shares(self) -> dict[str, Estimate | None]:
        """Return the shares, those of outcomes included."""
        found = {
            "interruptions": share(self.interrupted, self.turns),
            "failures": share(self.failed, self.calls),
        }
        return found | {
            f"outcome {name}": share(count, self.calls)
            for name, count in sorted(self.outcomes.items())
        }


@dataclass(frozen=True)
class Row:
    """One variant."""

    variant: str
    calls: int
    figures: dict[str, Estimate | None]


@dataclass(frozen=True)
class Report:
    """All variants, and how the second of two differs from the first."""

    rows: tuple[Row, ...]
    differences: dict[str, Difference]
    compared: tuple[str, str] = ("", "")


def outcome_of(record: CallRecord) -> str:
    """Return the outcome that a tool has reported last: `outcome` of its result."""
    found = ""
    for tool in (*(tool for turn in record.turns for tool in turn.tools), *record.late_tools):
        try:
            result = json.loads(tool.result)
        except ValueError:
            continue
        if isinstance(result, dict) and isinstance(result.get("outcome"), str):
            found = result["outcome"]
    return found


def variant_of(record: CallRecord, router: str = "") -> str:
    """Return the variant of a call, of one router or of all."""
    if not router:
        return record.variant or NO_VARIANT
    found = (route.variant for route in record.routes if route.router == router)
    return next(found, "") or NO_VARIANT


def grouped(
    records: Iterable[CallRecord], router: str = "", more: dict[str, Group] | None = None
) -> dict[str, Group]:
    """Sort answered calls by their variants, beside those that were sorted before."""
    groups = dict(more or {})
    for record in records:
        if record.answered_at is not None:
            variant = variant_of(record, router)
            groups.setdefault(variant, Group(variant)).add(record)
    return dict(sorted(groups.items()))


def report_of(groups: dict[str, Group]) -> Report:
    """Work out the figures with their intervals."""
    drawn = {name: dict(_drawn(group)) for name, group in groups.items()}
    rows = tuple(
        Row(name, group.calls, _figures(group, drawn[name])) for name, group in groups.items()
    )
    sides = [row for row in rows if row.variant != NO_VARIANT]
    if len(sides) != 2:
        return Report(rows, {})
    one, other = sides
    differences = dict(_differences(one, other, drawn[one.variant], drawn[other.variant]))
    return Report(rows, differences, (one.variant, other.variant))


def _drawn(group: Group) -> Iterator[tuple[str, Values]]:
    for seed, (name, statistic) in enumerate(_STATISTICS.items()):
        # Another side draws in its own way: the two are independent.
        yield name, replicates(group.values(name), statistic, seed + 100 * len(group.variant))


def _figures(group: Group, drawn: dict[str, Values]) -> dict[str, Estimate | None]:
    found: dict[str, Estimate | None] = {}
    for name, statistic in _STATISTICS.items():
        values = [value for call in group.values(name) for value in call]
        has_any = bool(values) and len(drawn[name]) > 0
        found[name] = (
            estimate(statistic(np.asarray(values, dtype=np.float64)), drawn[name])
            if has_any
            else None
        )
    return found | group.shares()


def _differences(
    one: Row, other: Row, drawn: dict[str, Values], others: dict[str, Values]
) -> Iterator[tuple[str, Difference]]:
    for name in dict.fromkeys((*one.figures, *other.figures)):
        a, b = one.figures.get(name), other.figures.get(name)
        if name in _STATISTICS:
            if a is not None and b is not None:
                yield name, drawn_difference(b.value, a.value, others[name], drawn[name])
            continue
        a = a or share(0, one.calls)
        b = b or share(0, other.calls)
        if a is not None and b is not None:
            yield name, share_difference(b, a)
