"""A histogram without locks says what prometheus_client's says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest

from gateway.telemetry.fast_histogram import FastHistogram

BOUNDS = (0.018, 0.02, 0.1)


@given(st.lists(st.one_of(st.sampled_from(BOUNDS), st.floats(0, 1))))
def test_it_counts_as_the_librarys_own(values: list[float]) -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]  # as the gateway does
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    fast = FastHistogram("gap_seconds", "Gap.", BOUNDS, ours)
    slow = Histogram("gap_seconds", "Gap.", buckets=BOUNDS, registry=theirs)
    for value in values:
        fast.observe(value)
        slow.observe(value)
    assert generate_latest(ours) == generate_latest(theirs)
