"""What becomes of a REFER, as peers of all kinds report it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.transfer import Notification, TransferTracker

ACTIVE, OVER, NOTHING_LEFT = "active;expires=60", "terminated;reason=noresource", "active;expires=0"


def outcome_of(*events, timeout_s=30.0):
    """Feed (second, what, ...) and let time pass; the outcome and when it was known."""
    tracker = TransferTracker(0.0, timeout_s)
    for at_s, what, *how in events:
        while tracker.outcome is None and tracker.deadline_s <= at_s:
            return tracker.expire(), tracker.deadline_s
        if what == "response":
            tracker.responded(*how, "Said", at_s)
        elif what == "notify":
            tracker.notified(Notification.of(*how), at_s)
        else:
            tracker.call_ended(*(how or (200,)))
        if tracker.outcome is not None:
            return tracker.outcome, at_s
    return tracker.expire(), tracker.deadline_s


def frag(status):
    return f"SIP/2.0 {status} Said\r\n" if status else ""


ACCEPTED = (0.1, "response", 202)


@pytest.mark.parametrize(
    ("events", "result", "known_at_s"),
    [
        # as RFC 3515 wants it
        ([ACCEPTED, (1, "notify", ACTIVE, frag(100)), (5, "notify", OVER, frag(200))],
         "confirmed", 5),
        ([ACCEPTED, (5, "notify", OVER, frag(486))], "failed", 5),
        ([(0.2, "response", 603)], "failed", 0.2),
        # no last NOTIFY, but a BYE
        ([ACCEPTED, (1, "notify", ACTIVE, frag(100)), (3, "bye")], "assumed", 3),
        ([ACCEPTED, (3, "bye")], "assumed", 3),
        ([(0.5, "notify", ACTIVE, frag(100)), (3, "bye")], "assumed", 3),
        # 200 in a subscription that goes on
        ([ACCEPTED, (1, "notify", ACTIVE, frag(200)), (1.3, "bye")], "confirmed", 1.3),
        ([ACCEPTED, (1, "notify", ACTIVE, frag(200)), (1.5, "notify", OVER, "")], "confirmed", 3),
        ([ACCEPTED, (1, "notify", ACTIVE, frag(200))], "confirmed", 3),
        ([ACCEPTED, (1, "notify", NOTHING_LEFT, frag(200))], "confirmed", 1),
        ([ACCEPTED, (1, "notify", "Active ; expires = 0", frag(200))], "confirmed", 1),
        # refused in a subscription that goes on
        ([ACCEPTED, (1, "notify", ACTIVE, frag(486))], "failed", 1),
        # nothing is said
        ([ACCEPTED, (1, "notify", OVER, "")], "unknown", 3),
        ([ACCEPTED, (1, "notify", OVER, ""), (2, "bye")], "assumed", 2),
        ([ACCEPTED, (1, "notify", OVER, frag(100))], "unknown", 3),
        ([ACCEPTED, (1, "notify", ACTIVE, "")], "unknown", 30),
        ([ACCEPTED], "unknown", 30),
        ([], "unknown", 30),
        # not accepted
        ([(3, "bye")], "failed", 3),
        ([ACCEPTED, (3, "bye", 408)], "failed", 3),
        ([ACCEPTED, (3, "bye", 487)], "failed", 3),
        # challenged: the library may send it again
        ([(0.1, "response", 407), (0.2, "response", 202), (1, "notify", OVER, frag(200))],
         "confirmed", 1),
        ([(0.1, "response", 401)], "failed", 2.1),
    ],
)  # fmt: skip
def test_outcomes(events, result, known_at_s):
    outcome, at_s = outcome_of(*events)
    assert (outcome.result, at_s) == (result, pytest.approx(known_at_s))


def test_what_comes_after_all_counts_for_a_transfer_that_was_given_up():
    tracker = TransferTracker(0.0, 30.0)
    tracker.responded(202, "Accepted", 0.1)
    assert tracker.expire().result == "unknown"
    tracker.notified(Notification.of(OVER, frag(200)), 40.0)
    assert tracker.outcome.is_success


def test_a_bye_after_a_transfer_was_given_up_is_a_caller_who_hung_up():
    tracker = TransferTracker(0.0, 30.0)
    tracker.responded(202, "Accepted", 0.1)
    tracker.expire()
    tracker.call_ended(200)
    assert not tracker.outcome.is_success


_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("response"), st.sampled_from([100, 200, 202, 401, 407, 486, 603])),
        st.tuples(
            st.just("notify"),
            st.sampled_from([ACTIVE, OVER, NOTHING_LEFT, "", "pending"]),
            st.sampled_from(["", "SIP/2.0 \r\n", "rubbish", *map(frag, (100, 180, 200, 302, 486))]),
        ),
        st.tuples(st.just("bye"), st.sampled_from([200, 408, 487])),
    ),
    max_size=12,
)


@given(_EVENTS, st.lists(st.floats(0, 5), min_size=12, max_size=12))
def test_it_is_never_waited_for_longer_and_success_never_invented(events, gaps):
    at_s, timed = 0.0, []
    for gap_s, event in zip(gaps, events, strict=False):
        at_s += gap_s
        timed.append((at_s, *event))
    outcome, known_at_s = outcome_of(*timed)
    assert known_at_s <= 30.0
    said = {e[1] for e in events if e[0] == "response"}
    notified = {Notification.of(*e[1:]).status for e in events if e[0] == "notify"}
    if outcome.result == "confirmed":
        assert 200 in notified
    if outcome.result == "assumed":
        assert ("bye", 200) in events
        assert said & {200, 202} or notified
