"""Audio time of a session under bursts, gaps, fast and slow clients; the pace of what is sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.realtime.clock import FRAME_S, InputClock, OutputPace, Positions


def test_without_a_client_silence_is_heard_at_real_time() -> None:
    clock = InputClock(0.0)
    heard = [clock.silent_frames(n * FRAME_S) for n in range(1, 51)]
    assert sum(heard) == 50


def test_no_silence_gets_between_the_pieces_of_a_client() -> None:
    """Pieces of 200 ms, each 60 ms late at most."""
    clock = InputClock(0.0)
    now_s = 0.0
    for number in range(10):
        now_s = number * 0.2 + (0.06 if number % 2 else 0.0)
        clock.appended(0.2, now_s)
        assert clock.silent_frames(now_s + 0.13) == 0


def test_a_client_that_stops_is_followed_by_the_silence_that_was_waited_for() -> None:
    clock = InputClock(0.0)
    clock.appended(0.02, 1.0)
    assert clock.silent_frames(1.19) == 0
    assert clock.silent_frames(1.24) == 12
    assert clock.silent_frames(1.26) == 1


def test_a_long_piece_is_waited_for_a_second_at_most() -> None:
    clock = InputClock(0.0)
    clock.appended(10.0, 1.0)
    assert clock.silent_frames(1.9) == 0
    assert clock.silent_frames(2.1) == 55


@given(st.lists(st.floats(0.001, 0.3), max_size=60), st.integers(0, 20))
def test_audio_is_never_sent_further_ahead_than_the_lead(waits: list[float], lead: int) -> None:
    pace, now_s, sent = OutputPace(lead), 0.0, 0
    for wait_s in [0.0, *waits]:
        now_s += wait_s
        for _ in range(max(0, pace.due(now_s))):
            pace.sent(now_s)
            sent += 1
        assert sent <= now_s / FRAME_S + lead + 1.01
        assert sent >= now_s / FRAME_S + lead - 0.01


def test_positions_are_in_the_clients_own_audio() -> None:
    positions = Positions()
    for of_client in [False] * 50 + [True] * 100 + [False] * 25 + [True] * 100:
        positions.tick(of_client=of_client)
    assert positions.client_ms == 4000
    assert [positions.at(ms) for ms in (0, 500, 1000, 2000, 3000, 3400, 3500, 4500)] == [
        0, 0, 0, 1000, 2000, 2000, 2000, 3000,
    ]  # fmt: skip
