"""Digest: the RFC's own numbers, a client that computes by itself, and odd credentials."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.digest import NONCE_LIFE_S, DigestRealm, UsedNonces, Verdict, _response

REALM = DigestRealm("gw", {"alice": "secret", "ünal": "pässword"}, b"key")
NOW = 1_700_000_000.0
CALL = "203.0.113.9 a@b sip:100@gw"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_section_3_9_1(algorithm, response):
    fields = {
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "algorithm": algorithm,
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "nc": "00000001",
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        "qop": "auth",
    }
    assert _response(fields, "Mufasa", "Circle of Life", "GET") == response


def client(challenge, user, password, *, method="INVITE", qop=True, nc="00000001", **changes):
    """What a phone answers; written from the RFC, not from our code."""
    given = dict(p.split("=", 1) for p in challenge.removeprefix("Digest ").split(", "))
    given = {name: value.strip('"') for name, value in given.items()} | changes
    make = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[given["algorithm"]]

    def h(*parts):
        return make(":".join(parts).encode()).hexdigest()

    ha1, ha2 = h(user, given["realm"], password), h(method, "sip:100@gw")
    middle = [nc, "abc", "auth"] if qop else []
    response = h(ha1, given["nonce"], *middle, ha2)
    header = (
        f'Digest username="{user}", realm="{given["realm"]}", nonce="{given["nonce"]}", '
        f'uri="sip:100@gw", response="{response}", algorithm={given["algorithm"]}'
    )
    return header + (f', qop=auth, nc={nc}, cnonce="abc"' if qop else "")


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("qop", [True, False])
@pytest.mark.parametrize("user", ["alice", "ünal"])
def test_the_right_password_is_right(which, qop, user):
    header = client(REALM.challenges(NOW, CALL)[which], user, REALM.users[user], qop=qop)
    assert REALM.verify(header, "INVITE", NOW + 1, CALL) == (Verdict.RIGHT, user)
    assert REALM.verify(header, "BYE", NOW + 1, CALL)[0] is Verdict.WRONG


@pytest.mark.parametrize(
    ("header", "at_s", "verdict"),
    [
        ("", 0, Verdict.ABSENT),
        ("Basic abc", 0, Verdict.ABSENT),
        (client(REALM.challenges(NOW, CALL)[0], "alice", "wrong"), 0, Verdict.WRONG),
        (client(REALM.challenges(NOW, CALL)[0], "nobody", ""), 0, Verdict.WRONG),
        (
            client(REALM.challenges(NOW, CALL)[0], "alice", "secret"),
            NONCE_LIFE_S + 1,
            Verdict.STALE,
        ),
        (client(REALM.challenges(NOW, CALL)[0], "alice", "secret"), -5, Verdict.STALE),
        (
            client(REALM.challenges(NOW, CALL)[0], "alice", "secret", nonce="f" * 400),
            0,
            Verdict.STALE,
        ),
        (client(REALM.challenges(NOW, CALL)[0], "alice", "secret", nonce="-"), 0, Verdict.STALE),
        (client(REALM.challenges(NOW, CALL)[0], "alice", "secret", realm="x"), 0, Verdict.ABSENT),
        (
            client(REALM.challenges(NOW, CALL)[0], "alice", "secret").replace("MD5", "SHA-512"),
            0,
            Verdict.WRONG,
        ),
        (
            client(REALM.challenges(NOW, CALL)[0], "alice", "secret").replace(
                "qop=auth", "qop=auth-int"
            ),
            0,
            Verdict.WRONG,
        ),
    ],
)
def test_other_credentials(header, at_s, verdict):
    assert REALM.verify(header, "INVITE", NOW + at_s, CALL)[0] is verdict


def test_a_nonce_of_another_process_is_stale():
    other = DigestRealm("gw", REALM.users, b"other")
    header = client(other.challenges(NOW, CALL)[0], "alice", "secret")
    assert REALM.verify(header, "INVITE", NOW, CALL)[0] is Verdict.STALE
    assert "stale=true" in REALM.challenges(NOW, CALL, stale=True)[0]


@given(st.text(), st.text(), st.text())
def test_odd_credentials_never_raise_and_are_never_right(user, nonce, response):
    fresh = REALM.challenges(NOW, CALL)[0].split('nonce="')[1].split('"')[0]
    for told in (nonce, fresh):
        header = f'Digest username="{user}", realm="gw", nonce="{told}", response="{response}"'
        assert REALM.verify(header, "INVITE", NOW, CALL)[0] is not Verdict.RIGHT
    assert REALM.verify(user, "INVITE", NOW, CALL)[0] is not Verdict.RIGHT


def test_what_was_overheard_is_of_no_use():
    """RFC 7616 section 3.4: the server refuses a nonce count that it has seen."""
    challenge = REALM.challenges(NOW, CALL)[0]
    counts = ["00000001", "00000001", "0000000a", "00000002", "0000000b", "0", "+000000f"]
    verdicts = [
        REALM.verify(client(challenge, "alice", "secret", nc=nc), "INVITE", NOW, CALL)[0].name
        for nc in counts
    ]
    assert verdicts == ["RIGHT", "STALE", "RIGHT", "STALE", "RIGHT", "STALE", "STALE"]


@pytest.mark.parametrize(
    "other",
    ["203.0.113.8 a@b sip:100@gw", "203.0.113.9 c@d sip:100@gw", "203.0.113.9 a@b sip:9@gw"],
)
def test_an_answer_is_good_for_the_call_that_was_challenged(other):
    header = client(REALM.challenges(NOW, CALL)[0], "alice", "secret")
    assert REALM.verify(header, "INVITE", NOW, other)[0] is Verdict.STALE
    assert REALM.verify(header, "INVITE", NOW, CALL)[0] is Verdict.RIGHT


def test_without_a_count_a_nonce_is_good_for_one_request():
    header = client(REALM.challenges(NOW, CALL)[0], "alice", "secret", qop=False)
    verdicts = [REALM.verify(header, "INVITE", NOW, CALL)[0] for _ in range(2)]
    assert verdicts == [Verdict.RIGHT, Verdict.STALE]


def test_two_clients_of_one_second_do_not_share_a_nonce():
    one, two = REALM.challenges(NOW, CALL)[0], REALM.challenges(NOW, CALL)[0]
    for challenge in (one, two):
        header = client(challenge, "alice", "secret")
        assert REALM.verify(header, "INVITE", NOW, CALL)[0] is Verdict.RIGHT


def test_used_nonces_are_bounded_and_the_forgotten_stay_used():
    used = UsedNonces(kept=3)
    nonces = [f"{second:x}-{second:x}-signature" for second in range(10)]
    assert all(used.use(nonce, 1) for nonce in nonces)
    assert len(used) == 3
    assert not any(used.use(nonce, 1) for nonce in nonces)
    assert [used.use(nonce, 2) for nonce in nonces] == [False] * 7 + [True] * 3


def test_wrong_passwords_fill_no_memory():
    realm = DigestRealm("gw", {"alice": "secret"}, b"key")
    for _ in range(100):
        realm.verify(client(realm.challenges(NOW, CALL)[0], "alice", "wrong"), "INVITE", NOW, CALL)
    assert len(realm.used) == 0
