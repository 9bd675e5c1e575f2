"""Who gets in: one contract, for a worker that listens itself and for an edge with workers."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.probe.sip_messages import Credentials, authorization
from tests.support.edge import needs_kamailio
from tests.support.gateway_process import free_port, free_rtp_ports
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.raw_sip import RawParty, header, headers, status

pytestmark = pytest.mark.timeout(120)

ALICE = Credentials("alice", "wonder")
QUIET = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}
ODD_TO = (
    "To: sip:100;tag=x@127.0.0.1",
    "To: <sip:100;tag=x@127.0.0.1>",
    "t: sip:100;tag=x@127.0.0.1",
    "t : <sip:100@127.0.0.1;tag=x>",
    "To: sip:100@127.0.0.1;TAG",
    "To: <sip:100@127.0.0.1>;tag",
    "To: <sip:100@127.0.0.1>;tag=",
    "To: <sip:100@127.0.0.1> ;\ttag =\tx",
    "To: <sip:100@127.0.0.1>;t%61g=x",
    "To: <sip:100@127.0.0.1?tag=x;tag=x>",
    'To: "a;tag=x" <sip:100@127.0.0.1>',
    'To: "a\\";tag=x" <sip:100@127.0.0.1>',
    'To: "<sip:a@b>;tag=x" <sip:100@127.0.0.1>',
    "To: <sip:100@127.0.0.1>\r\n ;tag=x",
    "To:\r\n <sip:100@127.0.0.1>",
    "To: <sip:100@127.0.0.1>\r\nTo: <sip:100@127.0.0.1>;tag=x",
    "To: <sip:100@127.0.0.1>;tag=x\r\nt: <sip:100@127.0.0.1>",
    "To: <sip:100@127.0.0.1>, <sip:100@127.0.0.1>;tag=x",
    'TO: <sip:100@127.0.0.1>;x=";tag=y"',
    'To: <sip:100@127.0.0.1>;x="\\";tag=y',
    "To: <sip:100@127.0.0.1>;tag=x",
    "To: tel:100;tag=x",
    "To: <sips:100;tag=x@127.0.0.1:5060;tag=y>",
    "To: sip:100@127.0.0.1;tag=x;maddr=127.0.0.1",
)
OUTSIDE = ("BYE", "INFO", "UPDATE", "PRACK", "NOTIFY", "SUBSCRIBE", "REFER", "MESSAGE", "PUBLISH",
           "REGISTER", "CANCEL", "ACK", "FOO", "invite", "Invite")  # fmt: skip


@contextmanager
def gateway_of(
    folder: Path, edge: str, sip: dict[str, Any], strangers_per_s: int = 1000
) -> Iterator[LiveGateway]:
    """A gateway with one worker, alone or behind an edge; the tests send more than one may."""
    many = {"requests_per_s": 1000, "all_requests_per_s": strangers_per_s}
    config = {
        "sip": {"port": free_port(), "rtp_ports": free_rtp_ports(160), "untrusted": many, **sip},
        "workers": {"count": 1, "edge": edge, "drain_limit_s": 2},
        "agents": {"desk": {"greeting": "Good morning.", "llm": QUIET}},
    }
    if edge == "kamailio":
        config["edge"] = {"probe_s": 1, "processes": 2, "untrusted_requests_per_s": 1000,
                          "all_untrusted_requests_per_s": strangers_per_s}  # fmt: skip
    with live_gateway(folder, config) as running:
        yield running


EDGES = ["none", pytest.param("kamailio", marks=needs_kamailio)]


@pytest.fixture(scope="module", params=EDGES)
def closed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    """A gateway that only alice gets into."""
    folder = tmp_path_factory.mktemp(f"closed-{request.param}")
    with gateway_of(folder, request.param, {"users": {"alice": "wonder"}}) as running:
        yield running


@pytest.fixture
def party(closed: LiveGateway) -> Iterator[RawParty]:
    one = RawParty(closed.sip_port)
    yield one
    one.close()


def calls_of(gateway: LiveGateway) -> float:
    lines = gateway.ask("GET", "/metrics").text.splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("gateway_call_slots_used{")
    )


def answered(heard: list[bytes]) -> list[int]:
    """Status of every answer that refuses nothing; an edge says 100 to what it passes on."""
    return [found for found in map(status, heard) if 100 < found < 400 or found == 500]


def test_no_to_header_gets_anybody_in(closed: LiveGateway, party: RawParty) -> None:
    targets = [f"sip:100@127.0.0.1:{closed.sip_port}", "sip:100@127.0.0.1"]
    route = f"Route: <sip:127.0.0.1:{closed.sip_port};lr>"
    worker = f"sip:100@127.0.0.1:{closed.sip_port + 1}"
    word = "X-Gateway-Source: 127.0.0.1:5060"
    for to in ODD_TO:
        for target in targets:
            party.send(party.message(to=to, uri=target))
            party.send(party.message("OPTIONS", to=to, uri=target, body=""))
        # Behind an edge: through it to the worker.
        for extra in ([route], [route, word], [route, f"x-gateway-SOURCE : {word}\r\n ;x"]):
            party.send(party.message(to=to, uri=worker, extra=extra))
            forged = f"Route: <sip:127.0.0.1:{closed.sip_port};lr;w={'0' * 32};in=1>"
            party.send(party.message(to=to, uri=worker, extra=[forged, *extra[1:]]))
    assert answered(party.heard(1.0)) == []
    assert calls_of(closed) == 0
    assert not [line for line in closed.log.splitlines() if "call_without_admission" in line]


def test_nothing_but_a_call_is_answered_outside_of_one(
    closed: LiveGateway, party: RawParty
) -> None:
    extra = ["Event: presence", "Refer-To: sip:9@x", "Replaces: a;to-tag=1;from-tag=2"]
    for method in OUTSIDE:
        for to in ("To: <sip:100@127.0.0.1>", *ODD_TO[:4], "To: <sip:100@127.0.0.1>;tag=x"):
            party.send(party.message(method, to=to, extra=extra))
    assert answered(party.heard(1.0)) == []
    assert party.final(party.message("OPTIONS", body=""), 0.5) == b""
    assert calls_of(closed) == 0


def test_answers_that_nobody_asked_for_go_nowhere(closed: LiveGateway, party: RawParty) -> None:
    """Else a stranger could have his answers sent to whom he likes."""
    for branch in ("z9hG4bKx", "z9hG4bKcydzigwkX", "x"):
        party.send(
            "\r\n".join(
                (
                    "SIP/2.0 200 OK",
                    f"Via: SIP/2.0/UDP 127.0.0.1:{closed.sip_port};branch={branch}",
                    f"Via: SIP/2.0/UDP {party.host}:{party.port};branch=z9hG4bKy",
                    "From: <sip:a@b>;tag=1",
                    "To: <sip:a@b>;tag=2",
                    "Call-ID: x",
                    "CSeq: 1 INVITE",
                    "Content-Length: 0\r\n\r\n",
                )
            ).encode()
        )
    assert party.heard(0.5) == []


def test_who_is_refused_learns_neither_names_nor_versions(
    closed: LiveGateway, party: RawParty
) -> None:
    for method in ("INVITE", *OUTSIDE):
        party.send(party.message(method))
        party.send(party.message(method, to="To: <sip:100@127.0.0.1>;tag=x"))
    party.send(party.message(extra=["CSeq: 2 INVITE"]))
    heard = party.heard(1.0)
    heard.append(party.call_with_password(Credentials("alice", "wrong"))[1])
    assert {401, 403} <= {status(answer) for answer in heard}
    for answer in heard:
        text = re.sub(rb'realm="voice-gateway"', b"", answer)  # digest needs the realm
        assert not re.search(rb"(?i)^(server|user-agent|warning):", text, re.MULTILINE), answer
        assert not re.search(rb"(?i)pjsip|pjsua|kamailio|voice.gateway|sip\.users", text), answer


def test_a_password_gets_in_and_a_wrong_one_or_name_is_told_the_same(
    closed: LiveGateway, party: RawParty
) -> None:
    invite, answer, _ = party.call_with_password(ALICE)
    assert status(answer) == 200
    assert status(party.final(party.within("BYE", invite, answer))) == 200
    refusals = [
        party.call_with_password(who)[1]
        for who in (
            Credentials("alice", "wrong"),
            Credentials("bob", "wonder"),
            Credentials("bob", "<null>"),
        )
    ]
    told = [re.sub(rb"(?m)^(Via|To|From|Call-ID):[^\r]*", b"", text) for text in refusals]
    assert status(refusals[0]) == 403
    assert len(set(told)) == 1


@pytest.mark.parametrize(
    ("proved", "told"),
    [("sip:900@127.0.0.1", 400), ("sip:100@pbx.example", 200), ("sip:127.0.0.1:5060", 200)],
)
def test_a_password_is_good_for_the_number_that_it_was_given_for(
    party: RawParty, proved: str, told: int
) -> None:
    """Who is in the way cannot lead the call elsewhere; hosts may be rewritten."""
    first, challenge = party.call()
    extra = [_answer(challenge, proved)]
    invite, answer = party.call(call_id=header(first, "Call-ID"), cseq=2, extra=extra)
    assert status(answer) == told
    if told == 200:
        assert status(party.final(party.within("BYE", invite, answer))) == 200


@pytest.mark.parametrize(
    ("contact", "told"),
    [("sips:200@127.0.0.2", 416), ("sip:200@127.0.0.2;transport=tls", 400),
     ("sip:200@127.0.0.2;transport=ws", 400)],
)  # fmt: skip
def test_who_can_be_reached_by_no_transport_of_ours_is_told_so(
    tmp_path: Path, contact: str, told: int
) -> None:
    with gateway_of(tmp_path, "none", {"allow_sources": ["127.0.0.0/8"]}) as gateway:
        party = RawParty(gateway.sip_port)
        try:
            message = party.message()
            own = f"sip:200@{party.host}:{party.port}".encode()
            assert status(party.final(message.replace(own, contact.encode()))) == told
        finally:
            party.close()


def test_what_was_overheard_is_good_for_nothing(closed: LiveGateway, party: RawParty) -> None:
    invite, answer, proof = party.call_with_password(ALICE)
    assert status(answer) == 200
    again = {"extra": [proof], "cseq": 3}
    same = header(invite, "Call-ID")
    other = RawParty(closed.sip_port, "127.0.0.3")
    try:
        assert status(party.call(**again)[1]) == 401  # another call
        assert status(party.call(call_id=same, **again, from_tag="g")[1]) == 401  # this one again
        assert status(other.call(call_id=same, **again)[1]) == 401  # from elsewhere
        number = f"sip:900@127.0.0.1:{closed.sip_port}"
        assert status(party.call(call_id=same, uri=number, **again)[1]) == 401
        # Nor is the challenge of one for another.
        fresh = party.message()
        challenge = party.final(fresh)
        stolen = _answer(challenge, f"sip:100@127.0.0.1:{closed.sip_port}")
        call_id = header(fresh, "Call-ID")
        assert status(other.call(call_id=call_id, extra=[stolen], cseq=2)[1]) == 401
        assert status(party.call(extra=[stolen], cseq=2)[1]) == 401
    finally:
        other.close()
        assert status(party.final(party.within("BYE", invite, answer))) == 200


def test_a_caller_makes_no_second_call_of_his_first(closed: LiveGateway, party: RawParty) -> None:
    """Who is in knows the edge's word for his dialog, and may try to write what the edge writes."""
    invite, answer, _ = party.call_with_password(ALICE)
    assert status(answer) == 200
    source = "X-Gateway-Source: 127.0.0.2:5060"
    smuggled = (source, f"Subject: a\r{source}", f"Subject: a\n{source}", f"{source}\r\nl: 0")
    for to in ODD_TO:
        for extra in smuggled:
            again = party.within("INVITE", invite, answer, to=to)
            party.send(again.replace(b"Max-Forwards", f"{extra}\r\nMax-Forwards".encode(), 1))
    assert answered(party.heard(0.5)) == []
    assert calls_of(closed) == 1
    assert status(party.final(party.within("BYE", invite, answer))) == 200


def _answer(challenge: bytes, uri: str) -> str:
    asked = headers(challenge, "WWW-Authenticate")
    return "Authorization: " + authorization(asked, ALICE, "INVITE", uri, "c0ffee")


def test_what_others_send_in_a_callers_name_does_not_touch_the_call(
    closed: LiveGateway, party: RawParty
) -> None:
    invite, answer, _ = party.call_with_password(ALICE)
    assert status(answer) == 200
    forger = RawParty(closed.sip_port, party.host)
    try:
        forger.send(forger.message("OPTIONS", extra=["User-Agent: friendly-scanner"], body=""))
        for _ in range(30):
            bad = (
                'Authorization: Digest username="alice", realm="voice-gateway", nonce="x", uri="y"'
            )
            forger.send(forger.message(extra=[f'{bad}, response="{"0" * 32}"']))
        # Within the call, without knowing it: the wrong tags, or no route.
        for changes in ({"to": "To: <sip:100@127.0.0.1>;tag=x"}, {"from_tag": "g"}):
            forger.send(forger.within("BYE", invite, answer, **changes))
        forger.heard(0.5)
        assert calls_of(closed) == 1
        assert status(party.final(party.within("BYE", invite, answer))) == 200
        assert status(forger.call_with_password(ALICE)[1]) == 200
    finally:
        forger.close()


@pytest.mark.parametrize("edge", EDGES)
def test_everybody_may_mean_everybody(tmp_path: Path, edge: str) -> None:
    with (
        gateway_of(tmp_path, edge, {"allow_sources": ["0.0.0.0/0"]}) as gateway,
        ExitStack() as stack,
    ):
        parties = [RawParty(gateway.sip_port, "127.0.0.7") for _ in range(3)]
        for party in parties:
            stack.callback(party.close)
        made = []
        for party in parties:
            made.append(party.call())
            party.heard()  # nothing; its ACK gets there: one without is allowed, not two
        # Two for each source that nobody vouches for.
        assert [status(answer) for _, answer in made] == [200, 200, 503]
        assert status(parties[2].final(parties[2].message("OPTIONS", body=""))) == 200
        for party, (invite, answer) in zip(parties[:2], made[:2], strict=True):
            assert status(party.final(party.within("BYE", invite, answer))) == 200


@pytest.mark.parametrize("edge", EDGES)
def test_a_flood_of_strangers_does_not_touch_who_is_in_a_call(tmp_path: Path, edge: str) -> None:
    """What all strangers together may send is used up all the time, also in the user's name."""
    with (
        gateway_of(tmp_path, edge, {"users": {"alice": "wonder"}}, 20) as gateway,
        ExitStack() as stack,
    ):
        party = RawParty(gateway.sip_port)
        flood = [RawParty(gateway.sip_port, host) for host in ("127.0.0.3", party.host)]
        for one in (party, *flood):
            stack.callback(one.close)
        invite, answer, _ = party.call_with_password(ALICE)
        assert status(answer) == 200
        is_over = threading.Event()

        def pour() -> None:
            while not is_over.wait(0.002):
                for one in flood:
                    one.send(one.message("OPTIONS", body=""))

        thread = threading.Thread(target=pour, daemon=True)
        thread.start()
        try:
            time.sleep(2.5)  # the buckets are empty
            asked = RawParty(gateway.sip_port, "127.0.0.4")
            stack.callback(asked.close)
            assert {status(asked.call()[1]) for _ in range(3)} != {401}  # dropped
            for cseq in range(3, 13):
                within = party.within("INFO", invite, answer)
                within = within.replace(b"CSeq: 3 INFO", f"CSeq: {cseq} INFO".encode())
                assert status(party.final(within, 1.0)) == 200
            bye = party.within("BYE", invite, answer).replace(b"CSeq: 3", b"CSeq: 13")
            assert status(party.final(bye, 1.0)) == 200
        finally:
            is_over.set()
            thread.join(10)
