"""When a clock may not be believed, what is marked, and who is silent: tables and properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.records.clock import HOLD_S, Clocks, ClockState, compare
from gateway.records.peers import LivenessTracker
from gateway.records.retention import Mark, deletable_before, marked

DAY = 86_400.0
NOW = 1_800_000_000.0
KEPT = ClockState(wall_s=NOW, up_s=1000.0, boot_id="a", agreed_s=5000.0)


@pytest.mark.parametrize(
    ("now", "database_s", "doubt"),
    [
        (Clocks(NOW + 600, 1600, "a"), None, ""),
        (Clocks(NOW + 600, 1600, "a"), 119.0, ""),
        (Clocks(NOW + 600, 1600, "a"), -121.0, "the database's clock differs by -121 s"),
        (Clocks(NOW + 650, 1600, "a"), None, ""),  # a time server's correction
        (Clocks(NOW + 700, 1600, "a"), None, "while 0.01 days passed"),
        (Clocks(NOW + 400 * DAY, 1600, "a"), None, "the wall clock went 400.00 days"),
        (Clocks(NOW - 400 * DAY, 1600, "a"), None, "the wall clock went -400.00 days"),
        (Clocks(NOW + 90 * DAY, 1000 + 90 * DAY, "a"), None, ""),  # it slept, or was not started
        (Clocks(NOW + 2 * DAY, 30, "b"), None, ""),  # a weekend switched off
        (Clocks(NOW + 4 * DAY, 30, "b"), None, "over a restart of the machine"),
        (Clocks(NOW - 3600, 30, "b"), None, "over a restart of the machine"),
        (Clocks(NOW + 90 * DAY, 30, "a"), None, "over a restart"),  # a container's own uptime
    ],
)
def test_clocks_that_disagree(now: Clocks, database_s: float | None, doubt: str) -> None:
    state = compare(KEPT, now, gap_s=3 * DAY, database_ahead_s=database_s)
    assert doubt in state.doubt
    assert bool(state.doubt) == bool(doubt)
    assert (state.held_until_s > state.agreed_s) == bool(doubt)


@pytest.mark.parametrize(
    ("newest_s", "is_doubted"), [(None, False), (NOW - DAY, False), (NOW - 40 * DAY, True)]
)
def test_the_first_look_asks_the_newest_call(newest_s: float | None, is_doubted: bool) -> None:
    state = compare(None, Clocks(NOW, 99.0, "a"), gap_s=3 * DAY, newest_s=newest_s)
    assert bool(state.doubt) == is_doubted


def test_after_a_doubt_the_clocks_must_agree_for_a_day() -> None:
    state = compare(KEPT, Clocks(NOW + DAY, 1060.0, "a"), gap_s=DAY)
    passed_s = 0.0
    while state.doubt:
        passed_s += 600
        state = compare(state, Clocks(NOW + DAY + passed_s, 1060.0 + passed_s, "a"), gap_s=DAY)
    assert passed_s == pytest.approx(HOLD_S)


@pytest.mark.parametrize("pace", [2.0, 1.5, 0.5])
def test_a_clock_that_runs_at_another_pace_is_seen(pace: float) -> None:
    """Each step is within what a time server does; all together are not."""
    state = compare(None, Clocks(NOW, 1000.0, "a"), gap_s=DAY)
    for minute in range(1, 10):
        state = compare(
            state, Clocks(NOW + minute * 60 * pace, 1000.0 + minute * 60, "a"), gap_s=DAY
        )
    assert state.doubt


def test_a_machine_that_runs_for_a_year_with_a_time_server_is_believed() -> None:
    state = compare(None, Clocks(NOW, 1000.0, "a"), gap_s=DAY)
    for day in range(1, 366):
        off_s = 5.0 * (day % 7) - 15.0
        state = compare(state, Clocks(NOW + day * DAY + off_s, 1000.0 + day * DAY, "a"), gap_s=DAY)
        assert not state.doubt


_looks = st.lists(
    st.tuples(st.floats(0, 5000), st.sampled_from([0.0, 0.0, 0.0, 400 * DAY, -400 * DAY, 7200.0])),
    max_size=60,
)


@given(_looks)
def test_no_jump_makes_a_mark_old(looks: list[tuple[float, float]]) -> None:
    """What is deleted was marked a grace period of real time before, whatever the clock did."""
    wall_s, up_s, marks, marked_at = NOW, 1000.0, (), {}
    state = compare(None, Clocks(wall_s, up_s, "a"), gap_s=DAY)
    for passed_s, jump_s in looks:
        wall_s, up_s = wall_s + passed_s + jump_s, up_s + passed_s
        state = compare(state, Clocks(wall_s, up_s, "a"), gap_s=DAY)
        if state.doubt:
            marks = ()
            continue
        assert jump_s == 0.0
        marks = marked(marks, state.agreed_s, wall_s, 30 * DAY, 3600.0)
        for mark in marks:
            marked_at.setdefault(mark, up_s)
        before_s = deletable_before(marks, state.agreed_s, wall_s, 30 * DAY, 3600.0)
        if before_s is not None:
            assert before_s <= wall_s - 30 * DAY
            assert any(up_s - at >= 3599.9 for mark, at in marked_at.items() if mark in marks)


def test_what_was_marked_in_time_goes_in_time() -> None:
    marks: tuple[Mark, ...] = ()
    began_s = NOW - 29 * DAY
    for minute in range(0, 3 * 24 * 60, 10):
        wall_s = NOW + minute * 60
        marks = marked(marks, minute * 60.0, wall_s, 30 * DAY, DAY)
        before_s = deletable_before(marks, minute * 60.0, wall_s, 30 * DAY, DAY)
        is_gone = before_s is not None and began_s < before_s
        assert is_gone == (minute * 60 > DAY)
        assert len(marks) < 200


def test_marks_of_a_counter_that_was_lost_do_not_count() -> None:
    stale = (Mark(agreed_s=9e9, before_s=NOW),)
    marks = marked(stale, 100.0, NOW, 30 * DAY, DAY)
    assert stale[0] not in marks
    assert deletable_before(marks, 100.0, NOW, 30 * DAY, DAY) is None


def test_silence_is_what_was_seen_not_what_clocks_say() -> None:
    watch = LivenessTracker(20.0)
    ahead = datetime(2030, 1, 1, tzinfo=UTC)
    for step in range(31):
        watch.observe({"b": ahead, "c": ahead + timedelta(seconds=step)}, step * 10.0)
    assert watch.silent_for(300) == ["b"]
    watch.observe({"b": ahead - timedelta(days=900), "c": ahead}, 320.0)
    assert watch.silent_for(10) == []


def test_a_time_in_which_nobody_looked_proves_nothing() -> None:
    watch = LivenessTracker(20.0)
    watch.observe({"b": datetime(2026, 1, 1, tzinfo=UTC)}, 0.0)
    watch.observe({"b": datetime(2026, 1, 1, tzinfo=UTC)}, 90_000.0)
    assert watch.silent_for(21) == []
