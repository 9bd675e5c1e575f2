"""Metrics of calls, by variant: the side of a split that a call is on; empty = no split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Self

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import Metric

LABEL = "variant"
_EMPTY = re.compile(r'\{variant=""\}|(?<=\{)variant="",|,variant=""')


def without_empty(text: str) -> str:
    """Leave out empty variants: to Prometheus an empty label is none.  Pure."""
    return _EMPTY.sub("", text)


class _PerVariant:
    _metric: Counter | Histogram

    def describe(self) -> Iterable[Metric]:
        """Describe the metric, for the pages that list all."""
        return self._metric.describe()

    @property
    def _labelnames(self) -> Sequence[str]:
        names: Sequence[str] = self._metric._labelnames  # noqa: SLF001 - as the pages read it
        return names


class CallCounter(_PerVariant):
    """A counter with the label `variant`, which is the last."""

    def __init__(self, metric: Counter, variant: str = "") -> None:
        self._metric: Counter = metric
        self._variant = variant
        if metric._labelnames == (LABEL,):  # noqa: SLF001 - it is there before the first increase
            metric.labels(variant)

    def of(self, variant: str) -> Self:
        """Return the same for the calls of a variant."""
        return type(self)(self._metric, variant)

    def labels(self, *values: str | None) -> Counter:
        """Return the counter of some values of its other labels."""
        return self._metric.labels(*values, self._variant)

    def inc(self, amount: float = 1) -> None:
        """Count; it has no other labels."""
        self._metric.labels(self._variant).inc(amount)


class CallHistogram(_PerVariant):
    """A histogram with the label `variant` alone."""

    def __init__(self, metric: Histogram, variant: str = "") -> None:
        self._metric: Histogram = metric
        self._of_variant = metric.labels(variant)

    def of(self, variant: str) -> Self:
        """Return the same for the calls of a variant."""
        return type(self)(self._metric, variant)

    def observe(self, amount: float) -> None:
        """Add a value."""
        self._of_variant.observe(amount)
