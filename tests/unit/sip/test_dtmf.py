"""Which packets and which INFO are a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.dtmf import KEYS, TelephoneEvents, read_info

WRAP_MS = 2**32 // 8


def pressed(*reports):
    events = TelephoneEvents()
    return "".join(events.press(*report) for report in reports)


@pytest.mark.parametrize(
    ("reports", "keys"),
    [
        # one event: many packets, three ends, also when the library reports the ends again
        ([("5", 1000, 20), ("5", 1000, 40), ("5", 1000, 60), ("5", 1000, 60)], "5"),
        # the same key again: as long, longer, shorter, only ends
        ([("5", 1000, 100), ("5", 1200, 100)], "55"),
        ([("5", 1000, 20), ("5", 1000, 100), ("5", 1200, 120)], "55"),
        ([("5", 1000, 100), ("5", 1110, 40)], "55"),
        # another key
        ([("5", 1000, 100), ("6", 1200, 20), ("6", 1200, 80)], "56"),
        # a packet of the event before comes late
        ([("5", 1000, 80), ("6", 1200, 20), ("5", 1000, 100), ("6", 1200, 40)], "56"),
        # a peer whose timestamp goes on within the event
        ([("5", 1000, 20), ("5", 1020, 40), ("5", 1040, 60), ("5", 1060, 60)], "5"),
        # the timestamp begins anew
        ([("5", WRAP_MS - 50, 100), ("5", 150, 100)], "55"),
        ([("5", WRAP_MS - 50, 40), ("5", WRAP_MS - 50, 100), ("5", 20, 110)], "5"),
        # another key is another event, even with the same timestamp (SIPp's play_dtmf)
        ([("1", 1000, 100), ("2", 1000, 20), ("2", 1000, 100), ("1", 1000, 100)], "12"),
        # flash is no key
        ([("R", 1000, 100), ("5", 1200, 100)], "5"),
        ([("", 1000, 100), ("x", 1200, 100)], ""),
        ([("*", 1000, 60), ("#", 1200, 60), ("D", 1400, 60)], "*#D"),
    ],
)
def test_the_timestamp_is_the_event(reports, keys):
    assert pressed(*reports) == keys


@given(
    st.lists(st.tuples(st.sampled_from(sorted(KEYS)), st.integers(40, 400), st.integers(40, 300)),
             max_size=14),
    st.integers(0, WRAP_MS - 1), st.data(),
)  # fmt: skip
def test_whatever_packets_are_lost_each_key_is_one(keys, at_ms, data):
    reports = []
    for key, duration_ms, pause_ms in keys:
        steps = [*range(20, duration_ms, 20), *[duration_ms] * 3]
        kept = data.draw(st.sets(st.sampled_from(range(len(steps))), min_size=1))
        reports += [(key, at_ms, steps[n]) for n in sorted(kept)]
        at_ms = (at_ms + duration_ms + pause_ms) % WRAP_MS
    assert pressed(*reports) == "".join(key for key, _, _ in keys)


RELAY = "application/dtmf-relay"


@pytest.mark.parametrize(
    ("content_type", "body", "status", "key"),
    [
        (RELAY, "Signal=5\r\nDuration=160\r\n", 200, "5"),
        (RELAY, "Signal= 5\r\nDuration= 160", 200, "5"),
        (RELAY, "signal=6\nduration=160", 200, "6"),
        (RELAY, "Duration=100\r\nSIGNAL = *\r\n", 200, "*"),
        (RELAY, "Signal=#\r\n", 200, "#"),
        (RELAY, "Signal=10\r\nDuration=160\r\n", 200, "*"),
        (RELAY, "Signal=11\r\n", 200, "#"),
        (RELAY, "Signal=12\r\n", 200, "A"),
        (RELAY, "Signal=d\r\n", 200, "D"),
        (RELAY, "Signal=16\r\n", 200, ""),
        (RELAY, "Signal=flash\r\n", 200, ""),
        (RELAY, "Signal=hf\r\n", 200, ""),
        (RELAY, "Signal=\r\nDuration=1\r\n", 200, ""),
        (RELAY, "Signal=123\r\n", 200, ""),
        (RELAY, "Duration=160\r\n", 400, ""),
        ("Application/DTMF-Relay; charset=utf-8", "Signal=7\r\n", 200, "7"),
        ("application/dtmf", "9", 200, "9"),
        ("application/dtmf", "d=7\r\n", 200, "7"),
        ("application/dtmf", "11\r\n", 200, "#"),
        ("application/dtmf", "Signal=3\r\nDuration=160", 200, "3"),
        ("application/vnd.nortelnetworks.digits", "d=4\r\n", 200, "4"),
        ("audio/telephone-event", "4", 200, "4"),
        ("audio/telephone-event", "Signal=10", 200, "*"),
        ("audio/telephone-event", "\x05\x8a\x00\xa0", 200, "5"),
        ("audio/telephone-event", "\x10\x8a\x00\xa0", 200, ""),
        ("", "", 200, ""),
        (RELAY, "", 200, ""),
        ("application/media_control+xml", "<media_control/>", 415, ""),
        ("text/plain", "5", 415, ""),
    ],
)
def test_info(content_type, body, status, key):
    info = read_info(content_type, body)
    assert (info.status, info.key) == (status, key)
    assert (status == 415) is bool(info.headers)


def test_info_of_a_package_is_refused_as_such():
    assert read_info(RELAY, "Signal=5", "conference").status == 469


@given(st.text(max_size=40), st.text(max_size=80), st.text(max_size=9))
def test_any_info_has_an_answer(content_type, body, package):
    info = read_info(content_type, body, package)
    assert info.status in {200, 400, 415, 469}
    assert info.key in {"", *KEYS}
