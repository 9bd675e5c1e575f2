"""When an engine is left alone, and when it is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.models import BreakerConfig
from gateway.routing.breaker import Breaker

CONFIG = BreakerConfig(failures=3, within_s=60, rest_s=30)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(CONFIG)
    assert [breaker.failed(at) for _ in range(3)] == [False, False, True]
    return breaker


def test_it_opens_at_the_third_failure_and_rests() -> None:
    breaker = opened()
    assert (breaker.state(29.9), breaker.allows(29.9)) == ("open", False)
    assert (breaker.state(30.0), breaker.allows(30.0)) == ("half_open", True)


def test_failures_that_are_long_ago_do_not_count() -> None:
    breaker = Breaker(CONFIG)
    assert not any(breaker.failed(at) for at in (0, 61, 122, 183))


def test_few_failures_among_many_requests_do_not_open_it() -> None:
    breaker = Breaker(CONFIG)
    for at in range(20):
        breaker.worked(at)
    assert not any(breaker.failed(20 + at) for at in range(5))


def test_one_probe_at_a_time_and_what_comes_of_it() -> None:
    breaker = opened()
    assert breaker.asks(31)
    assert not breaker.allows(32)
    assert not breaker.asks(32)
    assert breaker.failed(33)  # it rests again
    assert not breaker.allows(62)
    assert breaker.asks(64)
    assert breaker.worked(65)
    assert breaker.state(65) == "closed"
    assert not breaker.failed(66)  # what was before is forgotten


def test_a_probe_that_was_given_up_lets_another_try() -> None:
    breaker = opened()
    breaker.asks(31)
    breaker.abandoned()
    assert breaker.allows(32)


def test_a_probe_whose_outcome_never_comes_does_not_block_for_ever() -> None:
    breaker = opened()
    breaker.asks(31)
    assert not breaker.allows(60)
    assert breaker.allows(61)


def test_what_the_vendor_asks_for_is_respected() -> None:
    breaker = Breaker(CONFIG)
    assert breaker.failed(0, rest_s=120)
    assert not breaker.allows(119)
    assert breaker.allows(120)


def test_a_short_wish_of_the_vendor_is_one_failure() -> None:
    breaker = Breaker(CONFIG)
    assert not breaker.failed(0, rest_s=2)


def test_a_used_up_account_opens_it_at_once() -> None:
    assert Breaker(CONFIG).failed(0, is_final=True)


ACTS = st.lists(st.tuples(st.sampled_from(["asks", "worked", "failed", "abandoned"]),
                          st.floats(0, 40)), max_size=60)  # fmt: skip


@given(ACTS)
def test_it_never_stays_open_longer_than_it_rests_behind_the_last_failure(
    acts: list[tuple[str, float]],
) -> None:
    breaker, now, last_failure = Breaker(CONFIG), 0.0, -1000.0
    for act, later in acts:
        now += later
        if act == "abandoned":
            breaker.abandoned()
            continue
        was_open = breaker.state(now) != "closed"
        news = getattr(breaker, act)(now)
        if act == "failed":
            last_failure = now
            assert not news or breaker.state(now) == "open"
        if act == "worked":
            assert news == was_open
            assert breaker.state(now) == "closed"
        if breaker.state(now) == "open":
            assert now - last_failure < CONFIG.rest_s
    assert breaker.allows(now + 61)
