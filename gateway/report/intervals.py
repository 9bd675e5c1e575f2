"""Confidence intervals of 95 %: Wilson for shares, bootstrap over calls for all else.  Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964
"""Of 95 %, two-sided."""
_REPLICATES = 1000
_MOST_VALUES = 20_000_000
"""Values that are drawn at most: of very many calls, fewer replicates are enough."""
Values = NDArray[np.float64]
Statistic = Callable[[Values], float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and where it may really be."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much greater a figure of one side is than that of the other."""

    value: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """True when 0 is outside of the interval."""
        return self.low > 0 or self.high < 0


def share(successes: int, of: int) -> Estimate | None:
    """Return a share with its Wilson interval; None of nothing."""
    if not of:
        return None
    p, z2 = successes / of, _Z * _Z
    middle = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z * math.sqrt(p * (1 - p) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return Estimate(p, max(0.0, middle - half), min(1.0, middle + half))


def share_difference(one: Estimate, other: Estimate) -> Difference:
    """Return by how much a share is greater than another (Newcombe's interval from Wilson's)."""
    d = one.value - other.value
    low = math.hypot(one.value - one.low, other.high - other.value)
    high = math.hypot(one.high - one.value, other.value - other.low)
    return Difference(d, d - low, d + high)


def replicates(calls: Sequence[Sequence[float]], statistic: Statistic, seed: int = 1) -> Values:
    """Return a statistic of calls that are drawn again and again, with all values of each.

    Turns of one call resemble each other: calls are drawn, not turns.
    """
    groups = [np.asarray(values, dtype=np.float64) for values in calls if len(values)]
    if not groups:
        return np.empty(0)
    total = sum(map(len, groups))
    count = max(100, min(_REPLICATES, _MOST_VALUES // total))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        drawn = rng.integers(0, len(groups), len(groups))
        found.append(statistic(np.concatenate([groups[index] for index in drawn])))
    return np.asarray(found)


def estimate(value: float, drawn: Values) -> Estimate:
    """Return a figure with the interval of its replicates."""
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Estimate(value, float(low), float(high))


def drawn_difference(one: float, other: float, drawn: Values, others: Values) -> Difference:
    """Return by how much a figure is greater than that of other calls."""
    count = min(len(drawn), len(others))
    low, high = np.percentile(drawn[:count] - others[:count], (2.5, 97.5))
    return Difference(one - other, float(low), float(high))
