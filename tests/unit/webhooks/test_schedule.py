"""The order in which one receiver gets its events."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from gateway.webhooks.schedule import FIRST_PAUSE_S, LONGEST_PAUSE_S, Schedule, pause_s


def schedule(*calls: str, parallel: int = 8) -> Schedule[int]:
    made: Schedule[int] = Schedule(parallel)
    for number, call in enumerate(calls):
        made.add(call, number)
    return made


def test_calls_go_beside_each_other_and_events_of_one_after_the_other() -> None:
    found = schedule("a", "a", "b")
    assert [found.take(0), found.take(0), found.take(0)] == [("a", 0), ("b", 2), None]
    found.delivered("a")
    assert found.take(0) == ("a", 1)


def test_no_more_requests_at_a_time_than_allowed() -> None:
    found = schedule("a", "b", "c", parallel=2)
    assert found.take(0) is not None
    assert found.take(0) is not None
    assert found.take(0) is None
    assert found.wait_s(0) is None


def test_a_receiver_in_trouble_gets_a_pause_then_one_request() -> None:
    found = schedule("a", "b", "c")
    assert found.take(0) == ("a", 0)
    found.failed("a", 0)
    assert found.take(0) is None
    assert found.wait_s(0) == FIRST_PAUSE_S
    assert found.take(FIRST_PAUSE_S) == ("a", 0)
    assert found.take(FIRST_PAUSE_S) is None, "one finds out"
    found.delivered("a")
    assert {found.take(FIRST_PAUSE_S), found.take(FIRST_PAUSE_S)} == {("b", 1), ("c", 2)}


def test_it_may_ask_for_a_longer_pause() -> None:
    found = schedule("a")
    found.take(0)
    found.failed("a", 0, retry_after_s=60)
    assert found.wait_s(0) == 60


def test_an_event_that_is_refused_holds_up_its_own_call_only() -> None:
    found = schedule("a", "a", "b")
    found.take(0)
    found.refused("a", 0)
    assert found.take(0) == ("b", 2)
    assert found.take(0) is None
    assert found.take(pause_s(1)) == ("a", 0)


def test_a_long_call_goes_behind_the_others() -> None:
    found = schedule("a", "a", "b", parallel=1)
    found.take(0)
    found.delivered("a")
    assert found.take(0) == ("b", 2)


def test_pauses_grow_to_five_minutes() -> None:
    assert [pause_s(n) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert pause_s(100) == LONGEST_PAUSE_S


@given(
    calls=st.lists(st.sampled_from("abcd"), max_size=30),
    outcomes=st.lists(st.sampled_from(["delivered", "refused", "failed"]), max_size=80),
    parallel=st.integers(1, 3),
)
def test_whatever_the_receiver_does_nothing_is_lost_and_order_is_kept(
    calls: list[str], outcomes: list[str], parallel: int
) -> None:
    found = schedule(*calls, parallel=parallel)
    got: dict[str, list[int]] = defaultdict(list)
    sending: list[tuple[str, int]] = []
    now_s = 0.0
    left = iter(outcomes)
    for _ in range(1000):
        while (taken := found.take(now_s)) is not None:
            assert taken[0] not in [call for call, _ in sending], "two of one call at a time"
            sending.append(taken)
        assert len(sending) <= parallel
        if sending:
            call, number = sending.pop(0)
            outcome = next(left, "delivered")
            if outcome == "delivered":
                got[call].append(number)
                found.delivered(call)
            elif outcome == "refused":
                found.refused(call, now_s)
            else:
                found.failed(call, now_s)
        elif (wait_s := found.wait_s(now_s)) is not None:
            now_s += max(wait_s, 0)
        else:
            break
    assert found.waiting == 0
    for call in set(calls):
        assert got[call] == [n for n, each in enumerate(calls) if each == call]
