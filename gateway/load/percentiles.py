"""Percentiles of samples and of Prometheus histograms.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

_QUANTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}


class Percentiles(BaseModel):
    """How samples are spread, in their own unit; None where there are none."""

    model_config = ConfigDict(frozen=True)

    n: int = 0
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


def percentiles_of(values: Sequence[float]) -> Percentiles:
    """Work out the percentiles of samples (linear between adjacent ones)."""
    if not len(values):
        return Percentiles()
    found = {n: round(float(np.percentile(values, q)), 2) for n, q in _QUANTILES.items()}
    return Percentiles(n=len(values), **found)


def percentiles_of_buckets(buckets: Mapping[float, float]) -> Percentiles:
    """Estimate percentiles of a cumulative histogram, linear within a bucket.

    Args:
        buckets: upper bound (the last one infinite) -> samples up to it.  The maximum is not
            known: `max` stays None.  What lies beyond the last finite bound is given as that.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return Percentiles()
    names = (name for name in _QUANTILES if name != "max")
    found = {name: _quantile(bounds, buckets, _QUANTILES[name] / 100) for name in names}
    return Percentiles(n=int(buckets[bounds[-1]]), **found)


def _quantile(bounds: Sequence[float], buckets: Mapping[float, float], q: float) -> float:
    rank = q * buckets[bounds[-1]]
    low, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank and buckets[bound] > below:
            if math.isinf(bound):
                return low
            inside = (rank - below) / (buckets[bound] - below)
            return round(low + (bound - low) * inside, 6)
        low, below = bound, buckets[bound]
    return low
