"""Caps on what leaves: counted over all processes that share the ledger, and never past them."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.models import OutgoingConfig, TrunkConfig
from gateway.errors import OutgoingRefused
from gateway.sip.outgoing import Ledger, OutgoingGuard, SharedLedger

BOB = "sip:bob@pbx.example"
TRUNK = TrunkConfig(name="carrier", server="sip.example.net")


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def guard(ledger=None, clock=None, **settings):
    """A guard and what it refused."""
    settings = {"allow": ("sip:*@pbx.example", "+49*")} | settings
    told = []
    made = OutgoingGuard(
        OutgoingConfig(**settings),
        [TRUNK],
        lambda rule, target: told.append((rule, target)),
        ledger or SharedLedger(None),
        clock or Clock(),
    )
    return made, told


def refused(do, *arguments):
    with pytest.raises(OutgoingRefused) as caught:
        do(*arguments)
    return caught.value.status


def test_off_by_default_and_the_rule_is_named():
    made, told = guard(allow=())
    with pytest.raises(OutgoingRefused, match=r"allow is empty.*rule outgoing.allow"):
        made.begin_call("1", BOB, "")
    assert refused(made.begin_transfer, BOB) == 403
    assert told == [("outgoing.allow", BOB)] * 2


def test_destinations_and_trunks():
    made, told = guard()
    made.begin_call("1", "+4930123", "carrier")
    made.begin_transfer(BOB)
    assert refused(made.begin_call, "2", "+1900123", "carrier") == 403
    assert refused(made.begin_transfer, "sip:+1900@sip.example.net") == 403
    assert len(told) == 2


def test_calls_at_the_same_time():
    made, told = guard(concurrent=2)
    made.begin_call("1", BOB, "")
    made.begin_call("2", BOB, "")
    assert refused(made.begin_call, "3", BOB, "") == 429
    made.begin_transfer(BOB)  # leaves us: holds nothing
    made.end_call("1")
    made.end_call("1")
    made.begin_call("3", BOB, "")
    assert told == [("outgoing.concurrent", BOB)]


def test_calls_per_minute_and_hour():
    clock = Clock()
    made, told = guard(clock=clock, calls_per_minute=2, calls_per_hour=3, concurrent=99)
    made.begin_call("1", BOB, "")
    made.begin_transfer(BOB)
    assert refused(made.begin_call, "2", BOB, "") == 429
    clock.now_s += 61
    made.begin_call("3", BOB, "")
    assert refused(made.begin_transfer, BOB) == 429
    clock.now_s += 3600
    made.begin_call("4", BOB, "")
    assert [rule for rule, _ in told] == ["outgoing.calls_per_minute", "outgoing.calls_per_hour"]


def test_workers_count_together(tmp_path):
    path = tmp_path / "outgoing.json"
    one, _ = guard(SharedLedger(path), concurrent=2)
    two, _ = guard(SharedLedger(path), concurrent=2)
    one.begin_call("1", BOB, "")
    two.begin_call("2", BOB, "")
    assert refused(one.begin_call, "3", BOB, "") == 429
    one.end_call("2")  # whoever ends it
    one.begin_call("3", BOB, "")
    assert path.stat().st_mode & 0o777 == 0o600


def test_calls_of_a_dead_worker_are_up_no_more(tmp_path):
    path = tmp_path / "outgoing.json"
    dead = 2**22 + 1  # above the highest process id
    path.write_text(json.dumps({"begun_s": [], "up": [[dead, "x"], [os.getpid(), "y"]]}))
    made, _ = guard(SharedLedger(path), concurrent=2)
    made.begin_call("1", BOB, "")
    assert [entry[1] for entry in json.loads(path.read_text())["up"]] == ["y", "1"]


@pytest.mark.parametrize("text", ["{", "[]", '{"up": 1, "begun_s": []}', "\xe4"])
def test_what_cannot_be_counted_does_not_go_out(tmp_path, text):
    path = tmp_path / "outgoing.json"
    path.write_text(text)
    made, told = guard(SharedLedger(path))
    assert refused(made.begin_call, "1", BOB, "") == 503
    made.end_call("1")
    assert told == [("outgoing.ledger", BOB)]


@given(st.lists(st.floats(0, 20000), max_size=200).map(sorted), st.integers(1, 5))
def test_no_hour_and_no_minute_has_more_than_its_cap(times, per_minute):
    caps = OutgoingConfig(calls_per_minute=per_minute, calls_per_hour=7)
    ledger, went = Ledger(), []
    for now_s in times:
        if not ledger.broken_cap(caps, now_s, is_call=False):
            ledger.begun_s.append(now_s)
            went.append(now_s)
    for at in went:
        assert sum(at <= other < at + 60 for other in went) <= per_minute
        assert sum(at <= other < at + 3600 for other in went) <= 7
