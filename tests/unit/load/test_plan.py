"""Ramps, mixes and shares."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.load_arguments import add_arguments
from gateway.load.plan import LoadError, LoadPlan, parse_mix, parse_ramp, share_out

MIXES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 20), min_size=1)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("8", (8,)),
        ("1,2, 4", (1, 2, 4)),
        ("1..16", (1, 2, 4, 8, 16)),
        ("3..20", (3, 6, 12, 20)),
        ("4..16+4", (4, 8, 12, 16)),
        ("4..15+4", (4, 8, 12, 15)),
        ("1,2,4..12+4", (1, 2, 4, 8, 12)),
        ("5..5", (5,)),
    ],
)
def test_a_ramp(text, steps):
    assert parse_ramp(text) == steps


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a ramp"),
        ("0", "not a ramp"),
        ("-1", "not a ramp"),
        ("1.5", "not a ramp"),
        ("1..", "not a ramp"),
        ("1..8+0", "not a ramp"),
        ("4,2", "must rise"),
        ("4,4", "must rise"),
        ("8..4", "must rise"),
        ("1..4,2", "must rise"),
        ("2001", "more than 2000"),
        ("1..999999+1", "more than 2000"),
    ],
)
def test_what_is_no_ramp(text, complaint):
    with pytest.raises(LoadError, match=complaint):
        parse_ramp(text)


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(0, 50))
def test_a_ramp_rises_from_first_to_last(first, last, add):
    if last < first:
        return
    steps = parse_ramp(f"{first}..{last}" + (f"+{add}" if add else ""))
    assert steps[0] == first
    assert steps[-1] == last
    assert sorted(set(steps)) == list(steps)


def test_a_mix():
    assert parse_mix("talk") == {"talk": 1}
    assert parse_mix("talk=3, short-call") == {"talk": 3, "short-call": 1}


@pytest.mark.parametrize(
    "text", ["", "talk=0", "talk=-1", "talk=a", "talk=1,talk=2", "../x", "a b"]
)
def test_what_is_no_mix(text):
    with pytest.raises(LoadError):
        parse_mix(text)


@given(MIXES, st.integers(0, 500))
def test_shares_add_up_and_are_fair(mix, calls):
    shares = share_out(mix, calls)
    assert sum(shares.values()) == calls
    for name, weight in mix.items():
        fair = calls * weight / sum(mix.values())
        assert abs(shares.get(name, 0) - fair) < 1


def test_few_calls_are_measured_longer():
    plan = LoadPlan(steps=(1, 8), mix={"talk": 1}, rate_per_s=2.0, hold_s=30.0)
    assert plan.hold_s_of(1) == 120.0
    assert plan.hold_s_of(8) == 30.0
    assert plan.ramp_s_of(8) == 4.0


def test_measuring_callers_are_among_the_calls():
    plan = LoadPlan(steps=(1, 8), mix={"talk": 1}, rate_per_s=2.0, hold_s=30.0, probes=2)
    assert (plan.probes_of(1), plan.shares(1)) == (1, {})
    assert (plan.probes_of(8), plan.shares(8)) == (2, {"talk": 6})


@pytest.mark.parametrize("option", ["--past-saturation", "--past-bend"])
def test_the_option_keeps_its_former_name_for_one_release(option):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args([option]).past_saturation
    assert not parser.parse_args([]).past_saturation
