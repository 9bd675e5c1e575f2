"""Who may call: one table per reason."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from gateway.config.models import UntrustedConfig
from gateway.sip.admission import AdmissionPolicy, _is_for_another
from gateway.sip.decision import Admit, Ignore, Refuse
from gateway.sip.digest import DigestRealm
from gateway.sip.edge_peer import Origin
from gateway.sip.fitness import unfit
from gateway.sip.message import parse_request
from gateway.sip.untrusted import HeldSlot, UntrustedLimits
from tests.unit.sip.test_digest import client

NOW = 1_700_000_000.0
SDP = "v=0\r\nc=IN IP4 10.0.0.9\r\nm=audio 4000 RTP/AVP 0\r\n"
STRANGER = "203.0.113.9"
OTHER = "198.51.100.2"
REALM = DigestRealm("gw", {"alice": "secret"}, b"key")


def policy(**changes):
    settings = {
        "networks": (ip_network("10.0.0.0/8"),),
        "trunk_networks": lambda: [ip_network("192.0.2.1/32")],
        "realm": None,
        "untrusted": UntrustedLimits(UntrustedConfig(), list),
        "codecs": ("PCMU", "PCMA"),
        "max_calls": 4,
        "retry_after_s": 7,
        "session_min_s": 90,
        "active_calls": lambda: 0,
        "is_draining": lambda: False,
    }
    return AdmissionPolicy(**(settings | changes))


def invite(method="INVITE", tag="", headers="", body=SDP):
    kind = "Content-Type: application/sdp\r\n" if body else ""
    start = f"{method} sip:100@gw SIP/2.0\r\nTo: <sip:100@gw>\r\nCSeq: 1 {method}\r\n"
    return replace(parse_request(f"{start}{kind}{headers}\r\n{body}"), to_tag=tag)


def challenge(source=STRANGER, at_s=NOW):
    return REALM.challenges(at_s, f"{source}\n\nsip:100@gw")[0]


def judged(request, source="10.1.1.1", **changes):
    found = unfit(request) or policy(**changes).decide(request, source, 5060, NOW)
    return (found.rule, found.status) if isinstance(found, Refuse) else found


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ("Contact: <sip:a@b;transport=UDP>\r\n", Admit()),
        ("Contact: <sip:a@b>;transport=tls\r\n", Admit()),  # of the header, not of the URI
        ("m: <sip:a@b;transport=tls>\r\n", ("sip.transports", 400)),
        ("Contact: sip:a@b, <sips:a@b>\r\n", Admit()),
        ("Contact: <sip:a@b;transport=ws>\r\n", ("sip.transports", 400)),
        ("Contact: <sips:a@b>\r\n", ("sip.transports", 416)),
        ("Contact: <sips:a@b>\r\nRecord-Route: <sip:b;lr>, <sips:c;lr>\r\n", Admit()),
        ("Contact: <sip:a@b>\r\nRecord-Route: <sips:c;lr>\r\n", ("sip.transports", 416)),
        ("Contact: *\r\n", Admit()),
    ],
)
def test_who_cannot_be_reached_is_refused(headers, verdict):
    assert judged(invite(headers=headers)) == verdict


@pytest.mark.parametrize(
    ("proved", "is_refused"),
    [("sip:100@gw", False), ("sip:100@other", False), ("sip:gw:5060", False), ("", False),
     ("sip:%3100@gw", False), ("sip:900@gw", True), ("sip:10@gw", True)],
)  # fmt: skip
def test_a_proof_for_another_number_is_refused(proved, is_refused):
    assert _is_for_another(proved, "sip:100@gw") is is_refused


@pytest.mark.parametrize(
    ("source", "changes", "verdict"),
    [
        ("10.1.1.1", {}, Admit()),
        ("192.0.2.1", {}, Admit()),
        ("192.0.2.2", {}, ("sip.allow_sources", 403)),
        ("nonsense", {}, ("sip.allow_sources", 403)),
        ("::1", {}, ("sip.allow_sources", 403)),
        ("192.0.2.2", {"realm": REALM}, ("sip.users", 401)),
        ("10.1.1.1", {"realm": REALM}, Admit()),
        ("10.1.1.1", {"is_draining": lambda: True}, ("draining", 503)),
        ("10.1.1.1", {"active_calls": lambda: 4}, ("sip.max_calls", 503)),
        ("10.1.1.1", {"active_calls": lambda: 3}, Admit()),
        ("192.0.2.2", {"active_calls": lambda: 4}, ("sip.allow_sources", 403)),
        ("10.1.1.1", {"codecs": ("G722",)}, ("sip.codecs", 488)),
    ],
)
def test_sources_and_room(source, changes, verdict):
    assert judged(invite(), source, **changes) == verdict


@pytest.mark.parametrize(
    ("password", "verdict"), [("secret", Admit("alice")), ("wrong", ("sip.users", 403))]
)
@pytest.mark.parametrize("other", ["", 'Authorization: Digest realm="proxy.example"\r\n'])
def test_users(password, verdict, other):
    header = client(challenge("192.0.2.2"), "alice", password)
    request = invite(headers=f"{other}Authorization: {header}\r\n")
    assert judged(request, "192.0.2.2", realm=REALM) == verdict


def test_a_challenge_is_no_refusal_yet_and_says_when_it_is_stale():
    found = policy(realm=REALM).decide(invite(), "192.0.2.2", 5060, NOW)
    assert found.is_challenge
    assert [name for name, _ in found.headers] == ["WWW-Authenticate"] * 2
    header = client(challenge("192.0.2.2", NOW - 100), "alice", "secret")
    old = invite(headers=f"Authorization: {header}\r\n")
    found = policy(realm=REALM).decide(old, "192.0.2.2", 5060, NOW)
    assert "stale=true" in found.headers[0][1]


def test_a_full_gateway_says_when_to_try_again():
    found = policy(active_calls=lambda: 4).decide(invite(), "10.1.1.1", 5060, NOW)
    assert ("Retry-After", "7") in found.headers


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("", Admit()),
        ("v=0\r\nc=IN IP4 10.0.0.9\r\nm=audio 4000 RTP/AVP 8 0\r\n", Admit()),
        ("v=0\r\nc=IN IP4 10.0.0.9\r\nm=audio 4000 RTP/AVP 18\r\n", ("sip.codecs", 488)),
        ("v=0\r\nc=IN IP4 10.0.0.9\r\nm=video 4000 RTP/AVP 0\r\n", ("sdp", 488)),
        ("m=audio x y z\r\n", ("sdp", 400)),
    ],
)
def test_offers(body, verdict):
    assert judged(invite(body=body)) == verdict


@pytest.mark.parametrize(
    ("method", "tag", "stranger", "known"),
    [
        ("OPTIONS", "", Ignore("sip.allow_sources"), Admit()),
        ("REFER", "", ("sip.methods", 405), ("sip.methods", 405)),
        ("MESSAGE", "", ("sip.methods", 405), ("sip.methods", 405)),
        ("invite", "", ("sip.methods", 405), ("sip.methods", 405)),
        ("INVITE", "", ("sip.allow_sources", 403), Admit()),
        ("BYE", "", ("sip.dialog", 481), ("sip.dialog", 481)),
        ("NOTIFY", "", ("sip.dialog", 481), ("sip.dialog", 481)),
        ("CANCEL", "", Admit(), Admit()),
        ("ACK", "", Ignore("sip.syntax"), Ignore("sip.syntax")),
        ("aCk", "", Ignore("sip.syntax"), Ignore("sip.syntax")),
        # The library knows its dialogs, and answers 481 where it has none of that tag.
        ("REFER", "x", Admit(), Admit()),
        ("INVITE", "x", Admit(), Admit()),
        ("ACK", "x", Admit(), Admit()),
        ("BYE", "x", Admit(), Admit()),
    ],
)
def test_methods(method, tag, stranger, known):
    assert judged(invite(method, tag), "203.0.113.9") == stranger
    assert judged(invite(method, tag), "10.1.1.1") == known


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ("Content-Encoding: gzip\r\n", ("sip.encoding", 415)),
        ("e: GZIP\r\n", ("sip.encoding", 415)),
        ("Content-Encoding: identity\r\n", Admit()),
        ("Record-Route: " + "<sip:10.0.0.1;lr>, " * 50 + "<sip:10.0.0.1;lr>\r\n", Admit()),
        ("Record-Route: " + "<sip:10.0.0.1;lr>, " * 160 + "<sip:b>\r\n", ("sip.size", 513)),
        ("Record-Route: <sip:10.0.0.1;lr>\r\n" * 170, ("sip.size", 513)),
        ("Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n" * 80, ("sip.size", 513)),
        ("History-Info: " + "<sip:10.0.0.1>, " * 160 + "<sip:b>\r\n", Admit()),
    ],
)
def test_what_cannot_be_unpacked_or_answered(headers, verdict):
    body = "v=0\r\nc=IN IP4 10.0.0.9\r\nm=audio 4000 RTP/AVP 8 0\r\n"
    assert judged(invite(headers=headers, body=body)) == verdict


@pytest.mark.parametrize(
    ("require", "status"),
    [("foo", 420), ("timer, precondition", 420), ("Timer", 0), ("100rel,timer", 0), ("", 0)],
)
@pytest.mark.parametrize("method", ["INVITE", "INFO", "BYE"])
def test_extensions_within_calls(method, require, status):
    found = unfit(invite(method, "x", f"Require: {require}\r\n"))
    assert (found.status if isinstance(found, Refuse) else 0) == status


@pytest.mark.parametrize("name", ["Replaces", "REPLACES", "replaces "])
def test_nobody_takes_over_a_call(name):
    request = invite(headers=f"{name}: abc;to-tag=1;from-tag=2\r\n")
    assert judged(request) == ("sip.replaces", 420)


@pytest.mark.parametrize(
    ("method", "body", "verdict"),
    [
        ("INVITE", SDP, Admit()),
        ("INVITE", "", Admit()),
        ("INVITE", "v=0\r\nc=IN IP4 10.0.0.9\r\nm=audio 4000 RTP/AVP 18\r\n", ("sip.codecs", 488)),
        ("UPDATE", "v=0\r\nc=IN IP4 10.0.0.9\r\nm=audio 4000 RTP/AVP 18\r\n", ("sip.codecs", 488)),
        ("INVITE", "v=0\r\nc=IN IP4 10.0.0.9\r\nm=image 4000 udptl t38\r\n", ("sdp", 488)),
        ("ACK", "v=0\r\nc=IN IP4 10.0.0.9\r\nm=audio 4000 RTP/AVP 18\r\n", Admit()),
    ],
)
def test_offers_within_a_call(method, body, verdict):
    request = invite(method, tag="1", body=body)
    assert judged(request, "192.0.2.2", active_calls=lambda: 4) == verdict


ONE_HOP = "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\r\n"
PROXIED = "v: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2, SIP/2.0/TLS 10.0.0.9;branch=z9hG4bK1\r\n"


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        (f"{ONE_HOP}Contact: <sip:a@10.0.0.9>\r\n", Admit()),
        (f"{ONE_HOP}Contact: <sip:a@10.0.0.9;transport=tls>\r\n", ("sip.transports", 400)),
        (f"{ONE_HOP}m: <sips:a@10.0.0.9>\r\n", ("sip.transports", 416)),
        (f"{PROXIED}Contact: <sip:a@10.0.0.9;transport=tls>\r\n", Admit()),
        (ONE_HOP, Admit()),
    ],
)
def test_a_call_that_would_move_out_of_reach(method, headers, verdict):
    request = invite(method, tag="1", headers=headers)
    assert judged(request, "192.0.2.2") == verdict


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Session-Expires: 30\r\nSupported: timer\r\n", 422),
        ("x: 89;refresher=uac\r\nk: 100rel, timer\r\n", 422),
        ("Session-Expires: 90\r\nSupported: timer\r\n", None),
        ("Session-Expires: 30\r\n", None),
        ("Session-Expires: soon\r\nSupported: timer\r\n", None),
        ("Session-Expires: 99999999999999999999\r\nSupported: timer\r\n", None),
    ],
)
def test_session_timers_that_are_too_short_are_refused(headers, status):
    found = policy().decide(invite(headers=headers), "10.1.1.1", 5060, NOW)
    assert (found.status if isinstance(found, Refuse) else None) == status
    if status:
        assert ("Min-SE", "90") in found.headers


EVERYBODY = (ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0"))


def held(*slots):
    """Slots of untrusted callers: `address` = with an ACK, `address?` = without."""
    found = [HeldSlot(slot.rstrip("?"), not slot.endswith("?")) for slot in slots]
    return UntrustedLimits(UntrustedConfig(), lambda: found)


@pytest.mark.parametrize(
    ("slots", "verdict"),
    [
        ([], Admit(is_untrusted=True)),
        ([STRANGER], Admit(is_untrusted=True)),
        ([OTHER, OTHER], Admit(is_untrusted=True)),
        ([OTHER + "?"], Admit(is_untrusted=True)),
        ([STRANGER + "?"], ("sip.untrusted.unacknowledged_per_source", 503)),
        ([STRANGER, STRANGER], ("sip.untrusted.calls_per_source", 503)),
        ([OTHER + "?", "192.0.2.9?"], ("sip.untrusted.unacknowledged", 503)),
        ([OTHER, OTHER, "192.0.2.9"], ("sip.untrusted.calls", 503)),
    ],
)
def test_strangers_have_a_share_of_the_slots(slots, verdict):
    changes = {"networks": EVERYBODY, "untrusted": held(*slots)}
    assert judged(invite(), STRANGER, **changes) == verdict
    assert judged(invite(), "10.1.1.1", **changes) == Admit()
    assert judged(invite(), "192.0.2.1", **changes) == Admit()


def test_who_has_proved_a_password_is_no_stranger():
    header = client(challenge(), "alice", "secret")
    request = invite(headers=f"Authorization: {header}\r\n")
    full = held(STRANGER, STRANGER, OTHER)
    assert judged(request, STRANGER, realm=REALM, untrusted=full) == Admit("alice")


def test_a_flood_is_dropped_and_those_who_are_known_are_not():
    admission = policy(networks=EVERYBODY)
    answers = [admission.flooded(STRANGER, 5.0) for _ in range(100)]
    assert answers == [None] * 20 + [Ignore("sip.untrusted.requests_per_s")] * 80
    assert admission.flooded(OTHER, 5.0) is None
    assert [admission.flooded("10.1.1.1", 5.0) for _ in range(100)] == [None] * 100
    assert admission.flooded(STRANGER, 5.15) is None


def test_a_flood_from_everywhere_has_a_limit_of_its_own():
    admission = policy()
    answers = [admission.flooded(f"203.0.{n // 250}.{n % 250}", 5.0) for n in range(1000)]
    assert answers == [None] * 400 + [Ignore("sip.untrusted.all_requests_per_s")] * 600
    assert admission.flooded("192.0.2.1", 5.0) is None


def test_requests_within_a_call_are_counted_for_that_call_alone():
    admission = policy(networks=EVERYBODY)
    for number in range(1000):
        admission.flooded(f"203.0.{number // 250}.{number % 250}", 5.0)
    assert admission.flooded("203.0.0.1", 5.0)
    answers = [admission.flooded("203.0.0.1", 5.0, "call") for _ in range(100)]
    assert answers == [None] * 60 + [Ignore("sip.dialog_rate")] * 40
    assert admission.flooded("203.0.0.1", 5.0, "another") is None
    calm = policy(networks=EVERYBODY)
    for number in range(1000):
        calm.flooded("203.0.0.1", 5.0, f"call {number}")
    assert calm.flooded("203.0.0.1", 5.0) is None  # and take nothing from anybody else


def test_a_forged_address_locks_nobody_out():
    admission = policy(realm=REALM)
    for number in range(30):
        for nonce in (challenge("198.51.100.66"), challenge(STRANGER, NOW - 100)):
            header = client(nonce, "alice", f"wrong{number}")
            found = admission.decide(
                invite(headers=f"Authorization: {header}\r\n"), STRANGER, 5060, NOW
            )
            assert found.is_challenge
    right = client(challenge(), "alice", "secret")
    found = admission.decide(invite(headers=f"Authorization: {right}\r\n"), STRANGER, 5060, NOW)
    assert found == Admit("alice")


def test_passwords_cannot_be_tried_without_end():
    admission = policy(realm=REALM)

    def attempt(password, source=STRANGER):
        header = client(challenge(source), "alice", password)
        found = admission.decide(invite(headers=f"Authorization: {header}\r\n"), source, 5060, NOW)
        return found.rule if isinstance(found, Refuse) else found

    assert [attempt("wrong") for _ in range(10)] == ["sip.users"] * 10
    assert attempt("secret") == "sip.untrusted.wrong_passwords_per_minute"
    assert attempt("secret", OTHER) == Admit("alice")


@pytest.mark.parametrize(
    "headers",
    ["CSeq: 2 INVITE\r\n", "t: <sip:other@gw>\r\n", "l: 0\r\nContent-Length: 5\r\n"],
)
def test_what_can_be_read_in_two_ways_is_refused(headers):
    assert judged(invite(headers=headers)) == ("sip.syntax", 400)


EDGE = ip_network("127.0.0.1/32")


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        (Origin("203.0.113.9", 5060), Admit()),
        (Origin("203.0.113.9", 5060, is_untrusted=True), Admit(is_untrusted=True)),
        # What the edge passes on without having judged it brings no call.
        (None, ("workers.edge", 403)),
    ],
)
def test_behind_an_edge_a_new_call_needs_its_word(word, verdict):
    def said(request, source, port):
        assert (source, port) == ("127.0.0.1", 5060)
        return word

    behind = {"networks": (), "trunk_networks": lambda: [EDGE], "edge_word": said}
    assert judged(invite(), "127.0.0.1", **behind) == verdict
    assert judged(invite("OPTIONS"), "127.0.0.1", **behind) == Admit()
    assert judged(invite(tag="x"), "127.0.0.1", **behind) == Admit()


def test_behind_an_edge_shares_are_those_of_who_really_calls():
    full = {"networks": (), "trunk_networks": lambda: [EDGE], "untrusted": held(STRANGER, STRANGER)}

    def from_there(address):
        said = Origin(address, 5060, is_untrusted=True)
        return judged(invite(), "127.0.0.1", edge_word=lambda *_: said, **full)

    assert from_there(STRANGER) == ("sip.untrusted.calls_per_source", 503)
    assert from_there(OTHER) == Admit(is_untrusted=True)
