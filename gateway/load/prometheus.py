"""A gateway's `/metrics`: figures by process, and histograms of all of them.  Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

_PREFIX = "gateway_"


@dataclass(frozen=True, slots=True)
class Metrics:
    """One look."""

    gauges: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Process -> name without prefix -> value (samples without further labels)."""
    buckets: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    """Histogram without prefix -> upper bound -> samples up to it, of all processes."""
    counters: Mapping[str, float] = field(default_factory=dict)
    """Counter without prefix and `_total` -> value over all processes and labels."""

    def total(self, name: str) -> float:
        """Add one figure up over all processes."""
        return sum(figures.get(name, 0.0) for figures in self.gauges.values())


def parse_metrics(text: str) -> Metrics:
    """Read the Prometheus text format.

    Raises:
        ValueError: it is something else.
    """
    gauges: dict[str, dict[str, float]] = defaultdict(dict)
    buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    counters: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix(_PREFIX)
            process = sample.labels.get("process", "")
            if "le" in sample.labels:
                bound = float(sample.labels["le"])
                buckets[name.removesuffix("_bucket")][bound] += sample.value
            elif name.endswith("_total"):
                counters[name.removesuffix("_total")] += sample.value
            elif set(sample.labels) <= {"process"}:
                gauges[process][name] = sample.value
    histograms = {name: dict(found) for name, found in buckets.items()}
    return Metrics(dict(gauges), histograms, dict(counters))


def buckets_between(before: Metrics, after: Metrics, name: str) -> dict[float, float]:
    """Return a histogram of what happened between two looks.

    A process that was replaced meanwhile counts from its start: no bucket goes below zero.
    """
    old = before.buckets.get(name, {})
    new = after.buckets.get(name, {})
    found = {bound: max(0.0, count - old.get(bound, 0.0)) for bound, count in new.items()}
    return found if found.get(math.inf) else {}
