"""Which TCP connections may stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.connections import (
    ALL,
    FIRST_MESSAGE_S,
    PER_SOURCE,
    SILENCE_S,
    UNTRUSTED,
    Connections,
)

STRANGER, KNOWN = "203.0.113.9", "10.0.0.1"


def test_a_silent_stranger_has_seconds_and_is_closed_once():
    connections = Connections()
    assert connections.opened(1, STRANGER, is_known=False, now_s=0) == []
    assert connections.opened(2, KNOWN, is_known=True, now_s=0) == []
    assert connections.overdue(FIRST_MESSAGE_S) == []
    assert connections.overdue(FIRST_MESSAGE_S + 0.1) == [1]
    assert connections.overdue(10_000) == []
    assert len(connections) == 1


def test_who_has_spoken_may_be_silent_for_a_transaction():
    connections = Connections()
    connections.opened(1, STRANGER, is_known=False, now_s=0)
    connections.spoke(1, 4)
    assert connections.overdue(4 + SILENCE_S) == []
    assert connections.overdue(4 + SILENCE_S + 0.1) == [1]


def test_who_has_a_call_stays():
    connections = Connections()
    for key in range(PER_SOURCE):
        connections.opened(key, STRANGER, is_known=False, now_s=key)
    connections.has_call(0)
    # The newest of one source pushes out the one that was silent for longest, but for the call.
    assert connections.opened(99, STRANGER, is_known=False, now_s=50) == [1]
    assert connections.overdue(10_000) == [*range(2, PER_SOURCE), 99]
    assert len(connections) == 1


def test_when_nobody_may_go_the_newest_is_refused():
    connections = Connections()
    for key in range(PER_SOURCE):
        connections.opened(key, STRANGER, is_known=False, now_s=key)
        connections.has_call(key)
    assert connections.opened(99, STRANGER, is_known=False, now_s=50) == [99]
    # A call that has said nothing for long finds its way back over another connection.
    assert connections.opened(100, STRANGER, is_known=False, now_s=301) == [0]


def test_strangers_of_many_addresses_leave_room_for_those_who_are_known():
    connections = Connections()
    for key in range(UNTRUSTED):
        assert connections.opened(key, f"203.0.113.{key}", is_known=False, now_s=key) == []
    assert connections.opened(99, STRANGER, is_known=False, now_s=50) == [0]
    for key in range(100, 100 + ALL - UNTRUSTED):
        assert connections.opened(key, KNOWN, is_known=True, now_s=50) == []
    # Known ones replace untrusted ones, and their own kind when there are no others.
    assert connections.opened(200, KNOWN, is_known=True, now_s=51) == [1]


def test_what_is_closed_is_forgotten():
    connections = Connections()
    connections.opened(1, STRANGER, is_known=False, now_s=0)
    connections.closed(1)
    connections.closed(1)
    connections.spoke(1, 1)
    connections.has_call(1)
    assert len(connections) == 0


ACTIONS = st.tuples(
    st.sampled_from(["open", "speak", "call", "close", "sweep"]),
    st.integers(0, 99),
    st.integers(0, 20),
    st.booleans(),
)


@given(st.lists(ACTIONS, max_size=300))
def test_there_are_never_too_many(actions):
    connections = Connections()
    closed = set()
    for now_s, (action, key, source, known) in enumerate(actions):
        if action == "open" and key not in closed:
            gone = connections.opened(key, str(source), is_known=known, now_s=now_s)
            assert not closed & set(gone)
            closed |= set(gone)
        elif action == "speak":
            connections.spoke(key, now_s)
        elif action == "call":
            connections.has_call(key)
        elif action == "close":
            connections.closed(key)
        else:
            closed |= set(connections.overdue(now_s))
        assert len(connections) <= ALL
