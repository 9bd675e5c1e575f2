"""SRV records: in which order servers are tried, and what a silent name server means."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import dns.exception
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip import srv
from gateway.sip.srv import SrvRecord, Target, choose, in_order, locate

A, B, C = (SrvRecord(p, w, 5060, h) for p, w, h in ((10, 60, "a"), (10, 0, "b"), (20, 5, "c")))


@pytest.mark.parametrize(
    ("draws", "hosts"),
    [([0, 0, 0], "bac"), ([1, 0, 0], "abc"), ([60, 0, 5], "abc"), ([0, 60, 0], "bac")],
)
def test_priority_first_then_weight(draws, hosts):
    left = list(draws)
    found = in_order([C, A, B], lambda _most: left.pop(0))
    assert "".join(record.host for record in found) == hosts


RECORDS = st.lists(
    st.builds(
        SrvRecord, st.integers(0, 3), st.integers(0, 9), st.just(5060), st.sampled_from("abcdef")
    )
)


@given(RECORDS, st.randoms(use_true_random=False))
def test_every_record_once_and_never_a_lower_priority_before_a_higher(records, chance):
    found = in_order(records, lambda most: chance.randint(0, most))
    assert Counter(found) == Counter(records)
    assert [record.priority for record in found] == sorted(r.priority for r in records)


def test_weights_share_the_load():
    chance = random.Random(1)
    records = [SrvRecord(1, 20, 5060, "light"), SrvRecord(1, 60, 5060, "heavy")]
    first = Counter(in_order(records, lambda m: chance.randint(0, m))[0].host for _ in range(2000))
    assert 1300 < first["heavy"] < 1700


ONE, TWO, OTHER = Target("10.0.0.1", 5060, 1), Target("10.0.0.2", 5060, 1), Target("10.0.0.3", 1, 2)


@pytest.mark.parametrize(
    ("targets", "used", "rests", "chosen"),
    [
        ((ONE, TWO), None, {}, ONE),
        ((ONE, TWO), TWO, {}, TWO),  # as good: bindings stay
        ((ONE, OTHER), OTHER, {}, ONE),  # better
        ((ONE, OTHER), ONE, {ONE: 11}, OTHER),
        ((ONE, OTHER), OTHER, {ONE: 11}, OTHER),
        ((ONE, OTHER), OTHER, {ONE: 10}, ONE),
        ((ONE, OTHER), OTHER, {ONE: 11, OTHER: 12}, ONE),  # all rest: the one that did so longest
        ((ONE, TWO, OTHER), ONE, {ONE: 11, TWO: 12}, OTHER),
    ],
)
def test_choice(targets, used, rests, chosen):
    until_s = {target.address: until for target, until in rests.items()}
    assert choose(targets, used, until_s, 10.0) == chosen


PLACES = st.lists(
    st.builds(Target, st.sampled_from("abcd"), st.integers(1, 2), st.integers(0, 2)),
    min_size=1,
    unique_by=lambda target: target.address,
).map(lambda found: sorted(found, key=lambda target: target.priority))


@given(PLACES, st.data())
def test_whoever_answers_is_preferred(targets, data):
    rests = {t.address: data.draw(st.sampled_from((5.0, 15.0))) for t in targets}
    used = data.draw(st.sampled_from([None, *targets]))
    chosen = choose(targets, used, rests, 10.0)
    assert chosen in targets
    awake = [t.priority for t in targets if rests[t.address] <= 10]
    if awake:
        assert rests[chosen.address] <= 10
        assert chosen.priority == min(awake)


HOSTS = {
    "x.example": ["10.0.0.9"],
    "a": ["10.0.0.1", "10.0.0.2"],
    "b": ["10.0.0.3"],
    "pbx": ["1.2.3.4"],
}


def looked_up(monkeypatch, place, transport="udp", records=(), *, needs_srv=False):
    """What `locate` makes of these records; also the names it asked for."""
    asked = []

    async def srv_records(name):
        asked.append(name)
        if isinstance(records, Exception):
            raise records
        return list(records)

    async def addresses(host):
        if host not in HOSTS:
            raise OSError(f"unknown: {host}")
        return HOSTS[host]

    monkeypatch.setattr(srv, "_srv_records", srv_records)
    monkeypatch.setattr(srv, "_addresses", addresses)
    return asyncio.run(locate(place, transport, needs_srv=needs_srv)), asked


@pytest.mark.parametrize(
    ("place", "transport", "name", "port"),
    [
        ("x.example", "udp", "_sip._udp.x.example", 5060),
        ("x.example", "tcp", "_sip._tcp.x.example", 5060),
        ("x.example", "tls", "_sips._tcp.x.example", 5061),
        ("x.example:5080", "udp", "", 5080),
        ("pbx", "udp", "", 5060),
    ],
)
def test_which_name_is_asked_for_and_addresses_where_there_is_none(
    monkeypatch, place, transport, name, port
):
    found, asked = looked_up(monkeypatch, place, transport)
    assert asked == ([name] if name else [])
    assert not found.by_srv
    assert found.targets == (Target(HOSTS[place.partition(":")[0]][0], port),)


def test_targets_of_records(monkeypatch):
    records = [SrvRecord(2, 0, 5070, "b"), SrvRecord(1, 0, 5080, "a"), SrvRecord(1, 0, 1, "none")]
    found, _ = looked_up(monkeypatch, "x.example", records=records)
    assert found.by_srv
    assert found.targets == (
        Target("10.0.0.1", 5080, 1), Target("10.0.0.2", 5080, 1), Target("10.0.0.3", 5070, 2),
    )  # fmt: skip


@pytest.mark.parametrize("host", ["", ".", "none"])
def test_records_that_lead_nowhere_are_no_reason_to_guess(monkeypatch, host):
    with pytest.raises(OSError, match="lead to no address"):
        looked_up(monkeypatch, "x.example", records=[SrvRecord(1, 0, 5060, host)])


def test_a_silent_name_server(monkeypatch):
    silent = dns.exception.Timeout()
    found, _ = looked_up(monkeypatch, "x.example", records=silent)
    assert found.targets == (Target("10.0.0.9", 5060),)
    with pytest.raises(OSError, match="no answer about SRV"):
        looked_up(monkeypatch, "x.example", records=silent, needs_srv=True)
