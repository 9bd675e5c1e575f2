"""The gate in front of the library: it screens, judges, and counts what must not be too much."""

from __future__ import annotations

import pytest

from gateway.sip.admission import Admit, Ignore, Refuse
from gateway.sip.gate import Gate
from tests.unit.sip.test_admission import SDP, policy

KNOWN = "10.1.1.1"


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def gate(clock=None, **changes):
    return Gate(policy(**changes), 7, clock or Clock())


def request(method="INVITE", tag="", body=SDP, cseq=""):
    return (
        f"{method} sip:100@gw SIP/2.0\r\nTo: <sip:100@gw>{tag}\r\nCSeq: {cseq or f'1 {method}'}\r\n"
        f"Content-Type: application/sdp\r\n\r\n{body}"
    ).encode()


def verdict(found):
    decision, _ = found
    return getattr(decision, "rule", None) if not isinstance(decision, Admit) else decision


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (request(), Admit()),
        (b"rubbish", ""),
        (b"\xff\xfe", ""),
        (request(cseq="1 BYE"), "sip.syntax"),
        (request("ACK"), "sip.syntax"),
        (request("ack"), "sip.syntax"),
        (request(body="v=0\r\nm=audio 0 RTP/AVP 0\r\n"), "sdp"),
        (request("ACK", ";tag=x", "v=0\r\nm=audio 0 RTP/AVP 0\r\n"), "sdp"),
        (request("PRACK", ";tag=x", "v=0\r\nm=audio 0 RTP/AVP 0\r\n"), "sdp"),
    ],
)
def test_screening(message, expected):
    assert verdict(gate().screen(message, KNOWN)) == expected


def test_a_flood_is_not_even_read():
    one = gate()
    found = [verdict(one.screen(b"rubbish", "203.0.113.9")) for _ in range(21)]
    assert found == [""] * 20 + ["sip.strangers.requests_per_s"]


def test_new_calls_are_counted_by_their_streams():
    clock = Clock()
    one = gate(clock)
    double = request(body=SDP + "m=audio 4002 RTP/SAVP 0\r\n")
    assert [verdict(one.judge(double, KNOWN)) for _ in range(9)] == [Admit()] * 8 + [
        "sip.call_rate"
    ]
    clock.now_s += 0.99
    assert verdict(one.judge(request(), KNOWN)) == "sip.call_rate"
    clock.now_s += 0.02
    assert [verdict(one.judge(request(), KNOWN)) for _ in range(17)] == [Admit()] * 16 + [
        "sip.call_rate"
    ]


def test_offers_within_calls_are_counted():
    clock = Clock()
    one = gate(clock)
    offer = request(tag=";tag=x")
    assert [verdict(one.judge(offer, KNOWN)) for _ in range(4)] == [Admit()] * 3 + [
        "sip.offer_rate"
    ]
    assert verdict(one.judge(request(tag=";tag=x", body=""), KNOWN)) == Admit()
    assert verdict(one.judge(request("ACK", ";tag=x"), KNOWN)) == Admit()
    clock.now_s += 0.4
    assert verdict(one.judge(offer, KNOWN)) == Admit()


def test_what_was_screened_is_what_is_judged():
    one = gate()
    one.screen(request("OPTIONS"), KNOWN)
    decision, judged = one.judge(
        request(body="v=0\r\nc=IN IP4 1\r\nm=video 1 RTP/AVP 0\r\n"), KNOWN
    )
    assert isinstance(decision, Refuse)
    assert judged.method == "INVITE"


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        (b"SIP/2.0 200 OK\r\nc: application/sdp\r\n\r\n" + SDP.encode(), True),
        (b"SIP/2.0 180 Ringing\r\n\r\n", True),
        (b"SIP/2.0 200 OK\r\nc: application/sdp\r\n\r\nv=0\r\nm=audio 0 RTP/AVP 0\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
    ],
)
def test_answers(answer, passes):
    assert gate().may_pass(answer) is passes


def test_ignored_without_a_rule():
    assert gate().screen(b"", KNOWN)[0] == Ignore()
