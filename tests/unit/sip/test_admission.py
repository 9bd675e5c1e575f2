"""Who may call: one table per reason."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.config.models import StrangersConfig
from gateway.sip.admission import AdmissionPolicy, Admit, Ignore, Refuse, unfit
from gateway.sip.digest import DigestRealm
from gateway.sip.message import parse_request
from gateway.sip.strangers import HeldSlot, Strangers
from tests.unit.sip.test_digest import client

NOW = 1_700_000_000.0
SDP = "v=0\r\nc=IN IP4 10.0.0.9\r\nm=audio 4000 RTP/AVP 0\r\n"
REALM = DigestRealm("gw", {"alice": "secret"}, b"key")


def policy(**changes):
    settings = {
        "networks": (ip_network("10.0.0.0/8"),),
        "trunk_networks": lambda: [ip_network("192.0.2.1/32")],
        "realm": None,
        "strangers": Strangers(StrangersConfig(), list),
        "codecs": ("PCMU", "PCMA"),
        "max_calls": 4,
        "retry_after_s": 7,
        "session_min_s": 90,
        "active_calls": lambda: 0,
        "is_draining": lambda: False,
    }
    return AdmissionPolicy(**(settings | changes))


def invite(method="INVITE", to="<sip:100@gw>", headers="", body=SDP):
    kind = "Content-Type: application/sdp\r\n" if body else ""
    start = f"{method} sip:100@gw SIP/2.0\r\nTo: {to}\r\nCSeq: 1 {method}\r\n"
    return parse_request(f"{start}{kind}{headers}\r\n{body}")


def judged(request, source="10.1.1.1", **changes):
    found = unfit(request) or policy(**changes).decide(request, source, NOW)
    return (found.rule, found.status) if isinstance(found, Refuse) else found


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
def test_users(password, verdict):
    header = client(REALM.challenges(NOW)[0], "alice", password)
    request = invite(headers=f"Authorization: {header}\r\n")
    assert judged(request, "192.0.2.2", realm=REALM) == verdict


def test_a_challenge_is_no_refusal_yet_and_says_when_it_is_stale():
    found = policy(realm=REALM).decide(invite(), "192.0.2.2", NOW)
    assert found.is_challenge
    assert [name for name, _ in found.headers] == ["WWW-Authenticate"] * 2
    header = client(REALM.challenges(NOW - 100)[0], "alice", "secret")
    old = invite(headers=f"Authorization: {header}\r\n")
    found = policy(realm=REALM).decide(old, "192.0.2.2", NOW)
    assert "stale=true" in found.headers[0][1]


def test_a_full_gateway_says_when_to_try_again():
    found = policy(active_calls=lambda: 4).decide(invite(), "10.1.1.1", NOW)
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
    ("method", "to", "verdict"),
    [
        ("OPTIONS", "<sip:gw>", Admit()),
        ("REFER", "<sip:gw>", ("sip.methods", 405)),
        ("MESSAGE", "<sip:gw>", ("sip.methods", 405)),
        ("invite", "<sip:gw>", ("sip.methods", 405)),
        ("REFER", "<sip:gw>;tag=x", Admit()),
        ("INVITE", "<sip:gw>;tag=x", Admit()),
        ("INVITE", "<sip:gw;tag=x>", ("sip.allow_sources", 403)),
        ("ACK", "<sip:gw>;tag=x", Admit()),
        ("ACK", "<sip:gw>", Ignore("sip.syntax")),
        ("aCk", "<sip:gw;tag=x>", Ignore("sip.syntax")),
        ("BYE", "<sip:gw>;tag=x", Admit()),
    ],
)
def test_methods_from_a_stranger(method, to, verdict):
    assert judged(invite(method, to), "203.0.113.9") == verdict


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
    request = invite(method, to="<sip:100@gw>;tag=1", body=body)
    assert judged(request, "192.0.2.2", active_calls=lambda: 4) == verdict


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
    found = policy().decide(invite(headers=headers), "10.1.1.1", NOW)
    assert (found.status if isinstance(found, Refuse) else None) == status
    if status:
        assert ("Min-SE", "90") in found.headers


EVERYBODY = (ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0"))
STRANGER = "203.0.113.9"
OTHER = "198.51.100.2"


def held(*slots):
    """Slots of strangers: `address` = with an ACK, `address?` = without."""
    found = [HeldSlot(slot.rstrip("?"), not slot.endswith("?")) for slot in slots]
    return Strangers(StrangersConfig(), lambda: found)


@pytest.mark.parametrize(
    ("slots", "verdict"),
    [
        ([], Admit(is_stranger=True)),
        ([STRANGER], Admit(is_stranger=True)),
        ([OTHER, OTHER], Admit(is_stranger=True)),
        ([OTHER + "?"], Admit(is_stranger=True)),
        ([STRANGER + "?"], ("sip.strangers.unacknowledged_per_source", 503)),
        ([STRANGER, STRANGER], ("sip.strangers.calls_per_source", 503)),
        ([OTHER + "?", "192.0.2.9?"], ("sip.strangers.unacknowledged", 503)),
        ([OTHER, OTHER, "192.0.2.9"], ("sip.strangers.calls", 503)),
    ],
)
def test_strangers_have_a_share_of_the_slots(slots, verdict):
    changes = {"networks": EVERYBODY, "strangers": held(*slots)}
    assert judged(invite(), STRANGER, **changes) == verdict
    assert judged(invite(), "10.1.1.1", **changes) == Admit()
    assert judged(invite(), "192.0.2.1", **changes) == Admit()


def test_who_has_proved_a_password_is_no_stranger():
    header = client(REALM.challenges(NOW)[0], "alice", "secret")
    request = invite(headers=f"Authorization: {header}\r\n")
    full = held(STRANGER, STRANGER, OTHER)
    assert judged(request, STRANGER, realm=REALM, strangers=full) == Admit("alice")


def test_a_flood_is_dropped_and_those_who_are_known_are_not():
    gate = policy(networks=EVERYBODY)
    answers = [gate.flooded(STRANGER, 5.0) for _ in range(100)]
    assert answers == [None] * 20 + [Ignore("sip.strangers.requests_per_s")] * 80
    assert gate.flooded(OTHER, 5.0) is None
    assert [gate.flooded("10.1.1.1", 5.0) for _ in range(100)] == [None] * 100
    assert gate.flooded(STRANGER, 5.15) is None


def test_a_flood_from_everywhere_has_a_limit_of_its_own():
    gate = policy()
    answers = [gate.flooded(f"203.0.{n // 250}.{n % 250}", 5.0) for n in range(1000)]
    assert answers == [None] * 400 + [Ignore("sip.strangers.all_requests_per_s")] * 600
    assert gate.flooded("192.0.2.1", 5.0) is None


def test_passwords_cannot_be_tried_without_end():
    gate = policy(realm=REALM)

    def attempt(password, source=STRANGER):
        header = client(REALM.challenges(NOW)[0], "alice", password)
        found = gate.decide(invite(headers=f"Authorization: {header}\r\n"), source, NOW)
        return found.rule if isinstance(found, Refuse) else found

    assert [attempt("wrong") for _ in range(10)] == ["sip.users"] * 10
    assert attempt("secret") == "sip.strangers.wrong_passwords_per_minute"
    assert attempt("secret", OTHER) == Admit("alice")


@pytest.mark.parametrize(
    "headers",
    ["CSeq: 2 INVITE\r\n", "t: <sip:other@gw>\r\n", "l: 0\r\nContent-Length: 5\r\n",
     f"Content-Length: {len(SDP) + 1}\r\n"],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_refused(headers):
    assert judged(invite(headers=headers)) == ("sip.syntax", 400)


def test_the_method_and_that_of_cseq_are_one():
    start = "OPTIONS sip:100@gw SIP/2.0\r\nTo: <sip:gw>\r\n"
    for cseq in ("CSeq: 1 INVITE\r\n", "CSeq: INVITE 1\r\n", "CSeq:\r\n", ""):
        assert judged(parse_request(f"{start}{cseq}\r\n")) == ("sip.syntax", 400)


def test_the_true_length_of_a_body_in_other_letters():
    body = SDP + "s=\u4e2d\u6587\r\n"
    length = f"Content-Length: {len(body.encode())}\r\n"
    assert judged(invite(headers=length, body=body)) == Admit()
