"""Whose RTP is taken: learned once, the described address first, others after a silence only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.rtp_source import ANY_SOURCE, Address, Rule, SourceChange, SourceWatch

OWN = Address("10.0.0.1", 4000)
OTHER_PORT = Address("10.0.0.1", 5000)
NAT = Address("192.0.2.9", 6000)
THIEF = Address("203.0.113.5", 7000)


def watch(signalling_host="10.0.0.1", relearn_s=10.0, described=OWN):
    made = SourceWatch(signalling_host, relearn_s)
    made.described(described, 100.0)
    return made


def admits(made, now_s, address):
    return any(
        rule.host in {"", address.host} and rule.port in {0, address.port}
        for rule in made.rules(now_s)
    )


def test_before_the_ack_only_the_description_counts():
    made = watch()
    assert made.rules(100.0) == made.rules(130.0) == (Rule(OWN.host, OWN.port),)


@pytest.mark.parametrize(
    ("after_s", "other_port", "thief"),
    [(0.5, False, False), (1.5, True, False), (5.0, True, True), (20.0, True, False)],
)
def test_who_may_begin(after_s, other_port, thief):
    made = watch()
    made.confirmed(101.0)
    now_s = 101.0 + after_s
    assert admits(made, now_s, OWN)
    assert admits(made, now_s, OTHER_PORT) is other_port
    assert admits(made, now_s, THIEF) is thief


def test_behind_a_nat_the_signalling_address_may_begin_at_once():
    made = watch(signalling_host=NAT.host)
    made.confirmed(101.0)
    assert admits(made, 101.0, NAT)
    assert not admits(made, 101.0, THIEF)
    assert made.look(101.1, NAT, 1) == SourceChange(NAT, "learned")
    assert not admits(made, 101.2, Address(NAT.host, 1))
    assert admits(made, 101.2, OWN)


@pytest.mark.parametrize(
    ("quiet_s", "other_port", "thief"),
    [(1.0, False, False), (4.0, True, False), (9.9, True, False), (10.0, True, True)],
)
def test_who_may_follow(quiet_s, other_port, thief):
    made = watch()
    made.confirmed(101.0)
    assert made.look(102.0, OWN, 1) == SourceChange(OWN, "signalled")
    assert made.look(103.0, THIEF, 1) is None  # no packet was taken
    now_s = 102.0 + quiet_s
    assert admits(made, now_s, OTHER_PORT) is other_port
    assert admits(made, now_s, THIEF) is thief


def test_reports_are_life():
    made = watch()
    made.confirmed(101.0)
    made.look(102.0, OWN, 1)
    made.alive(111.0)
    assert not admits(made, 113.0, THIEF)


def test_nobody_follows_where_that_is_forbidden():
    made = watch(relearn_s=0)
    made.confirmed(101.0)
    made.look(102.0, OWN, 1)
    assert not admits(made, 500.0, THIEF)


@pytest.mark.parametrize("source", [OWN, NAT])
def test_nobody_is_learned_while_the_call_is_held(source):
    made = watch(signalling_host=NAT.host)
    made.confirmed(101.0)
    made.look(102.0, source, 1)
    made.held()
    for now_s in (103.0, 110.0, 500.0):
        assert set(made.rules(now_s)) == {Rule(a.host, a.port) for a in (OWN, source)}
    assert made.look(500.0, THIEF, 2) is None  # it was in the socket already
    assert made.current == source


def test_a_call_that_is_held_from_the_beginning_learns_nobody():
    made = SourceWatch("10.0.0.1", 10.0)
    made.confirmed(101.0)
    made.held()
    assert made.rules(110.0) == ()
    made.described(OWN, 200.0)
    assert made.rules(200.5) == (Rule(OWN.host, OWN.port),)
    assert admits(made, 203.5, THIEF)


def test_after_a_hold_the_silence_begins_anew_and_another_port_of_the_same_host_may_follow():
    made = watch(signalling_host=NAT.host)
    made.confirmed(101.0)
    made.look(102.0, NAT, 1)
    made.held()
    made.described(OWN, 500.0)
    assert made.current == NAT
    again = Address(NAT.host, 6001)  # a NAT forgets a port that is silent
    for now_s in (500.0, 502.0, 509.9):
        assert admits(made, now_s, again)
        assert admits(made, now_s, OWN)
        assert not admits(made, now_s, THIEF)
    assert made.look(510.0, again, 2) == SourceChange(again, "moved")
    assert not admits(made, 510.1, Address(NAT.host, 6002))


def test_a_hold_that_ends_at_another_address_is_learned_anew():
    made = watch()
    made.confirmed(101.0)
    made.look(102.0, OWN, 1)
    made.held()
    made.described(NAT, 500.0)
    assert made.current is None
    assert not admits(made, 502.9, THIEF)
    assert admits(made, 500.0, NAT)


def test_who_was_learned_first_wins_back():
    made = watch()
    made.confirmed(101.0)
    made.look(105.0, NAT, 1)
    made.look(120.0, THIEF, 2)
    assert admits(made, 120.1, NAT)
    assert made.look(121.0, NAT, 3) == SourceChange(NAT, "moved")
    assert not admits(made, 121.1, THIEF)


def test_the_description_wins_back():
    made = watch()
    made.confirmed(101.0)
    made.look(102.0, OWN, 1)
    assert made.look(120.0, THIEF, 2) == SourceChange(THIEF, "moved")
    assert admits(made, 120.1, OWN)
    assert made.look(121.0, OWN, 3) == SourceChange(OWN, "signalled")
    assert not admits(made, 121.1, THIEF)
    assert made.changes == 2


@pytest.mark.parametrize("returns", [NAT, Address(NAT.host, 6001)])
def test_a_caller_behind_a_nat_wins_back_too_and_who_came_in_between_does_not(returns):
    made = watch(signalling_host=NAT.host)
    made.confirmed(101.0)
    made.look(101.1, NAT, 1)
    assert made.look(120.0, THIEF, 2) == SourceChange(THIEF, "moved")
    assert admits(made, 120.1, returns)
    assert made.look(120.2, returns, 3) == SourceChange(returns, "moved")
    assert admits(made, 120.3, returns)
    assert not admits(made, 120.3, THIEF)


def test_a_server_elsewhere_that_was_found_first_wins_back():
    made = watch(signalling_host="")
    made.confirmed(101.0)
    made.look(105.0, NAT, 1)
    made.look(120.0, THIEF, 2)
    assert admits(made, 120.1, NAT)
    made.look(120.2, NAT, 3)
    assert not admits(made, 120.3, THIEF)


def test_who_begins_from_elsewhere_gives_way_to_the_likely():
    made = watch()
    made.confirmed(101.0)
    made.look(105.0, THIEF, 1)
    assert admits(made, 105.1, OTHER_PORT)
    made.look(105.2, OTHER_PORT, 2)
    assert not admits(made, 105.3, THIEF)


def test_another_description_is_learned_anew_and_the_same_one_is_not():
    made = watch()
    made.confirmed(101.0)
    made.look(102.0, NAT, 1)
    made.described(OWN, 110.0)
    made.restarted()
    assert made.current == NAT
    made.described(THIEF, 111.0)
    assert made.current is None
    assert made.rules(111.0) == (Rule(THIEF.host, THIEF.port), Rule(THIEF.host), Rule("10.0.0.1"))


def test_a_key_says_who_is_who():
    made = watch()
    made.is_protected = True
    assert made.rules(100.0) == ANY_SOURCE
    made.look(101.0, NAT, 1)
    assert made.look(102.0, THIEF, 2) is None
    assert made.current == NAT


def test_reports_come_from_any_port():
    assert watch().report_rules(100.0) == (Rule(OWN.host),)


def test_reports_of_a_new_host_wait_for_its_audio():
    made = watch(signalling_host=NAT.host)
    made.confirmed(101.0)
    assert made.rules(105.0) == ANY_SOURCE
    assert set(made.report_rules(105.0)) == {Rule(OWN.host), Rule(NAT.host)}
    made.look(105.0, OWN, 1)
    assert made.rules(116.0) == ANY_SOURCE  # after a silence
    assert set(made.report_rules(116.0)) == {Rule(OWN.host), Rule(NAT.host)}
    made.look(116.0, THIEF, 2)
    assert Rule(THIEF.host) in made.report_rules(116.1)
    made.look(116.2, OWN, 3)
    assert Rule(THIEF.host) not in made.report_rules(116.3)
    made.is_protected = True
    assert made.report_rules(117.0) == ANY_SOURCE


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1:4000", OWN), ("0.0.0.0:4000", None), ("10.0.0.1:0", None), ("", None),
        ("[::1]:4000", None), ("host:4000", None), ("10.0.0.1:70000", None), ("10.0.0.1", None),
    ],
)  # fmt: skip
def test_addresses(text, address):
    assert Address.parse(text) == address


ADDRESSES = st.sampled_from([OWN, OTHER_PORT, NAT, THIEF])


@given(st.lists(st.tuples(st.floats(0.01, 2.0), ADDRESSES, st.booleans())))
def test_while_the_described_one_speaks_nobody_else_gets_in(steps):
    made = watch()
    made.confirmed(100.0)
    now_s, packets = 100.0, 0
    for step_s, address, reaches in steps:
        now_s += step_s
        if admits(made, now_s, address) and reaches:
            packets += 1
            made.look(now_s, address, packets)
        now_s += 0.02
        packets += 1
        made.look(now_s, OWN, packets)
        assert made.current == OWN
        assert made.rules(now_s + 0.5) == (Rule(OWN.host, OWN.port),)


@pytest.mark.parametrize(
    ("source", "after_s", "is_settled"),
    [(OWN, 0.5, True), (NAT, 0.5, False), (NAT, 20.0, True), (None, 20.0, False)],
)
def test_the_described_source_is_settled_at_once(source, after_s, is_settled):
    made = watch()
    made.confirmed(100.0)
    if source is not None:
        made.look(100.1, source, 1)
    assert made.is_settled(100.0 + after_s) is is_settled
