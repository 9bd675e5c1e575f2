"""The request screen in front of the library: it screens, judges and counts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from gateway.sip.decision import Admit, Ignore
from gateway.sip.message import parse_request
from gateway.sip.request_screen import OFFERS_PER_S, Passage, RequestScreen, StreamRate
from tests.support.received import received
from tests.unit.sip.test_admission import SDP, policy

KNOWN = "10.1.1.1"
CALL = ("c", "t", "f")
ANSWER = b"SIP/2.0 200 OK\r\nc: application/sdp\r\n\r\n"


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def new_screen(clock=None, **changes):
    return RequestScreen(policy(**changes), 7, clock or Clock())


def request(method="INVITE", tag="", body=SDP, cseq=""):
    return (
        f"{method} sip:100@gw SIP/2.0\r\nTo: <sip:100@gw>{tag}\r\nCSeq: {cseq or f'1 {method}'}\r\n"
        f"Content-Type: application/sdp\r\n\r\n{body}"
    ).encode()


def with_via(via):
    return request().replace(b"To:", f"Via: {via}\r\nTo:".encode(), 1)


def screened(one, message, source=KNOWN, **reading):
    return verdict(one.screen(received(message, source, **reading)))


def judged(one, message, **reading):
    request = received(message, **reading)
    assert isinstance(one.screen(request)[0], Admit)
    return verdict(one.judge(request))


def verdict(found):
    decision, _ = found
    return getattr(decision, "rule", None) if not isinstance(decision, Admit) else decision


@pytest.mark.parametrize(
    ("message", "tag", "expected"),
    [
        (request(), "", Admit()),
        (b"rubbish", "", ""),
        (b"\xff\xfe", "", ""),
        (request(cseq="1 BYE"), "", "sip.syntax"),
        (request("ACK"), "", "sip.syntax"),
        (request("ack"), "", "sip.syntax"),
        (request(body="v=0\r\nm=audio 0 RTP/AVP 0\r\n"), "", "sdp"),
        (
            request("ACK", ";tag=x", "v=0\r\nm=audio 0 RTP/AVP 0\r\n"), "x",
            Admit(without_body=True),
        ),
        (request(body=SDP.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF")), "", "sdp"),
        (request("UPDATE", ";tag=x", SDP.replace("10.0.0.9", "media.example")), "x", "sdp"),
        (request("INFO", ";tag=x", "x" * 5000), "x", "sip.size"),
        (request("ACK", ";tag=x", "x" * 5000), "x", "sip.size"),
        (request(body=SDP + "a=x\r\n" * 1000)[:4000], "", "sip.size"),
        (request().replace(b"Content-T", b"X: " + b"x" * 5000 + b"\r\nC")[:4000], "", Admit()),
        (
            request(body=SDP.ljust(3900, "=")).replace(b"CSeq", b"l: 3900\r\nCSeq"), "", "sdp"
        ),  # it fills the buffer by chance
        (with_via("SIP/2.0/UDP 1.2.3.4;maddr=slow.example;branch=z"), "", "sip.names"),
        (with_via("SIP/2.0/UDP 1.2.3.4;branch=z;maddr = 1.2.3.4x"), "", "sip.names"),
        (with_via("SIP/2.0/UDP 1.2.3.4;maddr=1.2.3.4;branch=z"), "", Admit()),
        (with_via("SIP/2.0/UDP 1.2.3.4;maddr=1.2.3.4"), "", Admit()),
        (request("PRACK", ";tag=x", "v=0\r\nm=audio 0 RTP/AVP 0\r\n"), "x", "sdp"),
    ],
)  # fmt: skip
def test_screening(message, tag, expected):
    assert screened(new_screen(), message, to_tag=tag) == expected


def test_a_request_without_its_body_is_still_the_one_that_was_screened():
    one = new_screen()
    ack = received(request("ACK", ";tag=x", "v=0\r\nm=audio 0 RTP/AVP 0\r\n"), to_tag="x")
    assert one.screen(ack)[0] == Admit(without_body=True)
    assert one.judge(replace(ack, body=b"", content_type=""))[0] == Admit()
    assert one.judge(replace(ack, body=b"another"))[0] == Ignore()


def test_a_flood_is_not_even_read():
    one = new_screen()
    found = [screened(one, b"rubbish", "203.0.113.9") for _ in range(21)]
    assert found == [""] * 20 + ["sip.untrusted.requests_per_s"]


def test_new_calls_are_counted_by_their_streams():
    clock = Clock()
    one = new_screen(clock)
    double = request(body=SDP + "m=audio 4002 RTP/SAVP 0\r\n")
    assert [judged(one, double) for _ in range(9)] == [Admit()] * 8 + ["sip.call_rate"]
    clock.now_s += 0.99
    assert judged(one, request()) == "sip.call_rate"
    clock.now_s += 0.02
    assert [judged(one, request()) for _ in range(17)] == [Admit()] * 16 + ["sip.call_rate"]


def test_offers_are_counted_by_the_call_they_belong_to():
    clock = Clock()
    one = new_screen(clock)
    calls = [StreamRate(OFFERS_PER_S) for _ in range(4)]

    def is_taken(call, message=request(tag=";tag=x")):  # noqa: B008 (a constant)
        return one.too_many_offers(parse_request(message.decode()), call) is None

    assert [is_taken(calls[0]) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [is_taken(calls[1]) for _ in range(4)] == [True] * 3 + [False]
    assert is_taken(calls[0], request(tag=";tag=x", body=""))
    assert is_taken(calls[0], request("ACK", ";tag=x"))
    # All calls together stay within what the library has handles for.
    assert [is_taken(call) for call in (calls[2], calls[3], calls[3])] == [True, True, False]
    clock.now_s += 1.0
    assert all(map(is_taken, calls))


def test_what_belongs_to_no_call_takes_no_offers_away():
    one = new_screen()
    offer = request("UPDATE", tag=";tag=x")
    assert [judged(one, offer, to_tag="x") for _ in range(20)] == [Admit()] * 20


def test_nothing_is_judged_that_was_not_screened():
    one = new_screen()
    one.screen(received(request("OPTIONS")))
    assert one.judge(received(request()))[0] == Ignore()
    assert new_screen().judge(received(request()))[0] == Ignore()


def test_who_refuses_is_told_to_those_who_are_known():
    everybody = new_screen(networks=(ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0")))
    told = [everybody.knows(s) for s in (KNOWN, "192.0.2.1", "203.0.113.9")]
    assert told == [True, True, False]


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        (ANSWER + SDP.encode(), Passage.WHOLE),
        # Of two types the library takes the last; which of them was judged is not to matter.
        (
            b"SIP/2.0 200 OK\r\nContent-Type: text/plain\r\n"
            + ANSWER.partition(b"\r\n")[2]
            + SDP.encode(),
            Passage.WITHOUT_BODY,
        ),
        (b"SIP/2.0 180 Ringing\r\n\r\n", Passage.WHOLE),
        (ANSWER + b"v=0\r\nm=audio 0 RTP/AVP 0\r\n", Passage.WITHOUT_BODY),
        (ANSWER + SDP.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF").encode(), Passage.WITHOUT_BODY),
        (ANSWER + SDP.encode() + b"a=x\r\n" * 1000, Passage.NOTHING),
        (b"HTTP/1.1 200 OK\r\n\r\n", Passage.NOTHING),
    ],
)
def test_answers(answer, passes):
    assert new_screen().passage(answer) is passes


def test_ignored_without_a_rule():
    assert new_screen().screen(received(b""))[0] == Ignore()


def test_unknown_callers_leave_the_known_ones_half_of_the_rate():
    rate, untrusted = StreamRate(16), StreamRate(8)
    for _ in range(8):
        untrusted.add(1, 0.0)
        rate.add(1, 0.0)
    assert not untrusted.has_room(1, 0.99)
    assert untrusted.has_room(1, 1.0)
    assert rate.has_room(8, 0.5)
    assert not rate.has_room(9, 0.5)


def test_a_flood_is_none_of_a_calls_business():
    one = RequestScreen(
        policy(), 7, Clock(), lambda it: (it.call_id, it.to_tag, it.from_tag) == CALL
    )
    source = "203.0.113.9"
    for _ in range(30):
        screened(one, request(), source)
    assert screened(one, request(), source) == "sip.untrusted.requests_per_s"
    for parties, verdict in ((CALL, Admit()), (("c", "t", "x"), "sip.untrusted.requests_per_s")):
        call_id, to_tag, from_tag = parties
        reading = {"call_id": call_id, "to_tag": to_tag, "from_tag": from_tag}
        assert screened(one, request("BYE"), source, **reading) == verdict
