"""To whom a trunk's password is proved: tables of who asks, where, about what."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.config.models import TrunkConfig
from gateway.sip.credentials import (
    ELSEWHERE,
    NO_TRUNK,
    OTHER_REALM,
    UNKNOWN_KIND,
    WRONG,
    Challenge,
    Credentials,
    Proof,
)
from gateway.sip.message import SipRequest

CARRIER = TrunkConfig(
    name="carrier", server="sip.carrier.example", user="alice", password=SecretStr("secret")
)
SERVER = ("192.0.2.1", 5060)
EVIL = ("203.0.113.9", 5060)
ASKS = Challenge("Digest", "carrier", "n1", "MD5", "auth")
PROOF = Proof("carrier", "n1", "sip:x", "c1", "00000001")
EDGE = "127.0.0.1"


def message(method, *, cseq=1, call_id="c", tag="ours", to_tag="", uri="", user="alice", body=""):
    to = f"<sip:bob@sip.carrier.example>{f';tag={to_tag}' if to_tag else ''}"
    headers = {
        "from": (f"<sip:{user}@sip.carrier.example>;tag={tag}",),
        "to": (to,),
        "call-id": (call_id,),
        "cseq": (f"{cseq} {method}",),
    }
    return SipRequest(method, uri or "sip:bob@sip.carrier.example", headers, body)


def md5(text):
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Bench:
    def __init__(self, trunk=CARRIER, edge=False, others=()):
        self.final = []
        self.it = Credentials(
            (trunk, *others),
            (lambda: [EDGE]) if edge else None,
            lambda trunk, realm, why: self.final.append(why),
        )
        self.it.at("carrier", [SERVER])

    def registered(self, realm="carrier"):
        self.it.leaving(message("REGISTER", uri="sip:sip.carrier.example"))
        challenge = Challenge("Digest", realm, "r1")
        assert self.it.challenged(message("REGISTER"), SERVER[0], [challenge]) == [True]

    def placed(self):
        with self.it.placing("carrier"):
            assert self.it.is_placing
            self.it.leaving(message("INVITE"))
        assert not self.it.is_placing

    def asked(self, method="INVITE", source=SERVER[0], challenge=ASKS, **how):
        return self.it.challenged(message(method, **how), source, [challenge]) == [True]

    def signed(self, method="INVITE", to=SERVER, proof=PROOF, **how):
        return self.it.sign(message(method, **how), to, proof) is not None


def test_a_register_and_the_requests_of_a_placed_call_are_proved():
    bench = Bench()
    bench.registered()
    assert bench.signed("REGISTER", proof=Proof("carrier", "r1", "sip:x"))
    bench.placed()
    assert bench.asked()
    assert bench.signed()
    for method in ("BYE", "INVITE", "REFER", "UPDATE"):
        assert bench.asked(method, cseq=9, to_tag="t")
        assert bench.signed(method, cseq=10, to_tag="t")
    assert bench.final == []


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"call_id": "other"}, NO_TRUNK),  # a call that came in
        ({"tag": "theirs"}, NO_TRUNK),  # one that came in with the Call-ID of the placed one
        ({"source": EVIL[0]}, ELSEWHERE),
        ({"challenge": Challenge("Digest", "evil", "n1")}, OTHER_REALM),
        ({"challenge": Challenge("Digest", "Carrier", "n1")}, OTHER_REALM),
        ({"challenge": Challenge("Basic", "carrier", "")}, UNKNOWN_KIND),
        ({"challenge": Challenge("Digest", "carrier", "n1", "AKAv1-MD5")}, UNKNOWN_KIND),
        ({"challenge": Challenge("Digest", "carrier", "n1", "MD5", "token")}, UNKNOWN_KIND),
        ({"method": "REGISTER", "call_id": "d"}, NO_TRUNK),
    ],
)
def test_what_is_final(how, why):
    bench = Bench()
    bench.registered()
    bench.placed()
    assert not bench.asked(**how)
    assert bench.final == [why]


def test_nothing_is_proved_elsewhere_or_with_a_nonce_that_was_not_asked_with():
    bench = Bench()
    bench.registered()
    bench.placed()
    assert bench.asked()
    assert bench.signed()
    for to in (EVIL, (SERVER[0], 5061), (EVIL[0], SERVER[1])):
        assert not bench.signed(to=to)
        assert not bench.signed("BYE", to=to, to_tag="t")
    assert not bench.signed(proof=Proof("carrier", "n2", "sip:x", "c", "1"))
    assert not bench.signed(proof=Proof("evil", "n1", "sip:x", "c", "1"))
    assert not bench.signed(proof=Proof("carrier", "n1", "sip:x"))  # without the quality asked for
    assert not bench.signed(call_id="other")
    assert not bench.signed(tag="theirs")
    bench.it.ended("c")
    assert not bench.signed()


def test_without_a_challenge_of_its_registrar_a_trunk_has_no_realm():
    bench = Bench()
    bench.placed()
    assert not bench.asked()
    assert bench.final == [OTHER_REALM]
    named = Bench(CARRIER.model_copy(update={"realm": "carrier"}))
    named.placed()
    assert named.asked()
    named.registered()
    assert not named.asked("REGISTER", challenge=Challenge("Digest", "x", "n"))


@pytest.mark.parametrize(
    "register",
    [
        message("REGISTER", uri="sip:sip.carrier.example", user="bob"),
        message("REGISTER", uri="sip:sip.carrier.example:5070"),
        message("REGISTER", uri="sip:evil.example"),
        message("INVITE", uri="sip:sip.carrier.example"),
    ],
)
def test_only_the_registration_of_the_account_is_a_trunks(register):
    bench = Bench()
    bench.it.leaving(register)
    assert not bench.asked("REGISTER")


def test_a_trunk_that_is_not_registered_with_learns_from_the_first_invite_only():
    trunk = CARRIER.model_copy(update={"register_": False})
    bench = Bench(trunk)
    bench.placed()
    assert not bench.asked("BYE", cseq=2, to_tag="t")
    assert not bench.asked("INVITE", cseq=2, to_tag="t")
    assert not bench.asked(source=EVIL[0])
    assert bench.asked()
    assert bench.signed()
    assert bench.asked("BYE", cseq=3, to_tag="t")


def test_a_password_that_was_refused_is_not_tried_again():
    bench = Bench()
    bench.registered()
    bench.placed()
    assert bench.asked(cseq=1)
    assert not bench.asked(cseq=2)
    assert bench.final == [WRONG]
    assert bench.asked(cseq=2, challenge=Challenge("Digest", "carrier", "fresh"))


def test_behind_an_edge():
    bench = Bench(edge=True)
    bench.placed()
    assert not bench.asked(source=SERVER[0])
    assert bench.asked(source=EDGE)
    edge = (EDGE, 5060)
    assert bench.signed(to=edge)
    assert not bench.signed(to=SERVER)
    assert not bench.signed(to=edge, uri="sip:bob@evil.example")
    assert not bench.signed(to=edge, uri="sip:bob@sip.carrier.example:5070")
    assert bench.signed("BYE", to=edge, to_tag="t", uri="sip:whatever@masked")
    # The edge registers: nobody asks us.
    assert not bench.asked("REGISTER", source=EDGE)


@pytest.mark.parametrize(
    ("algorithm", "qop", "expected"),
    [
        ("", "", lambda a1, body: md5(f"{a1}:n1:{md5('BYE:sip:x')}")),
        (
            "md5",
            "auth-int,auth",
            lambda a1, body: md5(f"{a1}:n1:00000001:c1:auth:{md5('BYE:sip:x')}"),
        ),
        (
            "MD5",
            "auth-int",
            lambda a1, body: md5(f"{a1}:n1:00000001:c1:auth-int:{md5('BYE:sip:x:' + md5(body))}"),
        ),
        (
            "MD5-sess",
            "auth",
            lambda a1, body: md5(
                f"{md5(a1 + ':n1:c1')}:n1:00000001:c1:auth:{md5('BYE:sip:x')}"
            ),
        ),
    ],
)  # fmt: skip
def test_proofs(algorithm, qop, expected):
    bench = Bench()
    bench.registered()
    bench.placed()
    assert bench.asked(challenge=Challenge("Digest", "carrier", "n1", algorithm, qop))
    found = bench.it.sign(message("BYE", to_tag="t", body="v=0\r\n"), SERVER, PROOF)
    assert found is not None
    assert found.response == expected(md5("alice:carrier:secret"), "v=0\r\n")
    assert found.algorithm == algorithm
    assert found.qop in qop.split(",")


def test_sha_256_as_in_rfc_7616_section_3_9_1():
    account = {"user": "Mufasa", "password": SecretStr("Circle of Life")}
    trunk = CARRIER.model_copy(update={**account, "realm": "http-auth@example.org"})
    bench = Bench(trunk)
    bench.placed()
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    asks = Challenge("Digest", trunk.realm, nonce, "SHA-256", "auth, auth-int")
    assert bench.asked(challenge=asks, user="Mufasa")
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    proof = Proof(trunk.realm, nonce, "/dir/index.html", cnonce, "00000001")
    get = message("INVITE", user="Mufasa")
    get = SipRequest("GET", get.uri, get.headers)
    found = bench.it.sign(get, SERVER, proof)
    assert found is not None
    assert found.response == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


def test_of_several_challenges_the_first_known_of_a_realm_is_answered():
    bench = Bench()
    bench.registered()
    bench.placed()
    several = [
        Challenge("Digest", "carrier", "a", "SHA-512-256"),
        Challenge("Digest", "carrier", "b", "SHA-256"),
        Challenge("Digest", "carrier", "c", "MD5"),
        Challenge("Digest", "evil", "d", "MD5"),
    ]
    kept = bench.it.challenged(message("INVITE"), SERVER[0], several)
    assert kept == [False, True, False, False]


def test_an_invite_that_waits_for_a_look_up_is_the_trunks_all_the_same():
    bench = Bench()
    bench.registered()
    with bench.it.placing("carrier"):
        pass
    bench.it.expect("c", "carrier")
    assert bench.it.is_placing
    bench.it.leaving(message("INVITE", call_id="d"))
    assert not bench.asked(call_id="d")
    bench.it.leaving(message("BYE", to_tag="t"))
    bench.it.leaving(message("INVITE"))
    assert not bench.it.is_placing
    assert bench.asked()
    assert bench.signed()
    # What has left already, or is nobody's, is not waited for.
    bench.it.expect("c", "carrier")
    bench.it.expect("e", "")
    assert not bench.it.is_placing
    bench.it.expect("f", "carrier")
    bench.it.ended("f")
    assert not bench.it.is_placing


def test_a_call_that_could_not_be_placed_leaves_nothing():
    bench = Bench()
    bench.registered()
    with suppress(OSError), bench.it.placing("carrier"):
        bench.it.leaving(message("INVITE"))
        raise OSError
    assert not bench.asked()


HOSTS = st.sampled_from([SERVER, EVIL, (EVIL[0], 5061), (SERVER[0], 6000), (EDGE, 5060)])
METHODS = st.sampled_from(["INVITE", "BYE", "REGISTER", "UPDATE", "REFER", "OPTIONS", "ACK"])
WORDS = st.sampled_from(["c", "d", "ours", "theirs", "", "alice", "bob"])


@given(
    st.lists(st.tuples(METHODS, HOSTS, WORDS, WORDS, WORDS, st.sampled_from(["carrier", "evil"]),
                       st.integers(0, 3)), max_size=12),
    st.lists(st.tuples(METHODS, HOSTS, WORDS, WORDS, WORDS), max_size=6),
)  # fmt: skip
def test_whatever_is_asked_proofs_go_to_the_trunks_server_for_its_realm_only(asks, sends):
    bench = Bench()
    bench.registered()
    bench.placed()
    for method, source, call_id, tag, user, realm, cseq in asks:
        challenge = Challenge("Digest", realm, "n1", "MD5", "auth")
        how = {"call_id": call_id, "tag": tag, "user": user, "cseq": cseq, "to_tag": "t"}
        bench.asked(method, source[0], challenge, **how)
    for method, to, call_id, tag, user in sends:
        for realm in ("carrier", "evil"):
            proof = Proof(realm, "n1", "sip:x", "c", "1")
            how = {"call_id": call_id, "tag": tag, "user": user}
            if bench.signed(method, to, proof, **how):
                assert to == SERVER
                assert method == "REGISTER" or (call_id, tag) == ("c", "ours")
                assert realm == "carrier" or method == "REGISTER" or "evil" in realms(bench)


def realms(bench):
    """What its own registrar has asked for, from its own address."""
    return bench.it._trunks["carrier"].realms
