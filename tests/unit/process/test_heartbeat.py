"""Back-off and heartbeats: when a worker is stuck, when lost, when it is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.child_processes import HEALTHY_S, MAX_S, MIN_S, BackOff
from gateway.process.heartbeat import LOST_FACTOR, Heartbeat, HeartbeatMonitor

OK = Heartbeat(answered=True)
SILENT = Heartbeat(answered=False)


def late(loop_s: float = 0.0, clock_s: float = 0.0) -> Heartbeat:
    return Heartbeat(answered=True, loop_late_s=loop_s, clock_late_s=clock_s)


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        ([OK, OK], "healthy healthy"),
        ([SILENT] * 2, "healthy healthy"),
        ([SILENT] * 3, "healthy healthy stuck"),
        ([SILENT, SILENT, OK, SILENT, SILENT], "healthy healthy healthy healthy healthy"),
        ([SILENT] * 3 + [OK], "healthy healthy stuck healthy"),
        # The first answer after a stop tells of it; then all is well.
        ([SILENT] * 4 + [late(loop_s=4.2), OK], "healthy healthy stuck stuck stuck healthy"),
        ([late(loop_s=2.9), late(loop_s=2.9)], "healthy healthy"),
        ([late(clock_s=3.0)], "stuck"),
        ([late(clock_s=3.0)] * 12, " ".join(["stuck"] * 11 + ["lost"])),
        ([SILENT] * 12, " ".join(["healthy"] * 2 + ["stuck"] * 9 + ["lost"])),
        # One that answers now and then, always late, is not hoped for longer.
        (
            [SILENT, SILENT, late(loop_s=3.1)] * 4,
            "healthy healthy stuck " * 3 + "healthy healthy lost",
        ),
    ],
)
def test_three_seconds_are_too_many(beats: list[Heartbeat], expected: str) -> None:
    heartbeats = HeartbeatMonitor(stuck_after_s=3.0)
    assert " ".join(heartbeats.judge(beat) for beat in beats) == expected.strip()


@given(
    st.floats(1, 60),
    st.lists(st.builds(Heartbeat, st.booleans(), st.floats(0, 99), st.floats(0, 99)), max_size=99),
)
def test_what_is_well_in_time_is_never_lost(stuck_after_s: float, beats: list[Heartbeat]) -> None:
    """A heartbeat in time makes good whatever was before it."""
    heartbeats = HeartbeatMonitor(stuck_after_s)
    ill = 0
    for beat in beats:
        found = heartbeats.judge(beat)
        is_well = beat.answered and max(beat.loop_late_s, beat.clock_late_s) < stuck_after_s
        ill = 0 if is_well else ill + 1
        if is_well:
            assert found == "healthy"
        assert (found == "lost") == (ill >= LOST_FACTOR * stuck_after_s)


@given(st.lists(st.floats(0, HEALTHY_S, exclude_max=True), max_size=20))
def test_early_ends_are_waited_for_longer_and_longer(lives: list[float]) -> None:
    back_off = BackOff()
    waits = [back_off.after(lived_s) for lived_s in lives]
    assert waits == sorted(waits)
    assert all(MIN_S <= wait <= MAX_S for wait in waits)
    assert back_off.after(HEALTHY_S) == MIN_S
