"""Token buckets: never more than the rate, bounded memory, log lines held back and counted."""

from __future__ import annotations

from gateway.allowance import LogLimiter, SourceAllowances


def test_each_source_has_its_own():
    allowed = SourceAllowances(2, 10.0)
    assert [allowed.spend("a", 0.0) for _ in range(3)] == [True, True, False]
    assert allowed.spend("b", 0.0)
    assert [allowed.has_one("a", at) for at in (0.0, 4.9, 5.1)] == [False, False, True]


def test_memory_is_bounded_and_the_busy_are_remembered():
    allowed = SourceAllowances(1, 1000.0, sources=10)
    allowed.spend("busy", 0.0)
    for number in range(1000):
        assert not allowed.spend("busy", 0.0)
        allowed.spend(f"source {number}", 0.0)
    assert len(allowed) == 10


def test_who_only_asks_is_not_remembered():
    allowed = SourceAllowances(1, 1000.0)
    assert allowed.has_one("a", 0.0)
    assert len(allowed) == 0


def test_log_lines_are_held_back_and_counted():
    limiter = LogLimiter(2, 60.0)
    assert [limiter.passes("flood", 0.0) for _ in range(5)] == [True, True, False, False, False]
    assert limiter.passes("other", 0.0)
    assert limiter.passes("flood", 31.0)
    assert [limiter.held_back(kind) for kind in ("flood", "flood", "other")] == [3, 0, 0]
