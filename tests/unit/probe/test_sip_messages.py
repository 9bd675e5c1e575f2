"""SIP messages: parse and build."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.probe.sip_messages import (
    Credentials,
    Message,
    SipSyntaxError,
    address_of,
    authorization,
    parameter,
    parse,
    respond,
    uri_of,
)

INVITE = (
    b"INVITE sip:demo@127.0.0.1:5060 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKabc;rport\r\n"
    b"Record-Route: <sip:edge;lr>\r\n"
    b'f: "A, B" <sip:alice@10.0.0.1>;tag=a1\r\n'
    b"t: <sip:demo@127.0.0.1>\r\n"
    b"i: call-1\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Subject: folded\r\n line\r\n"
    b"Content-Length: 4\r\n\r\nbodyJUNK"
)


def test_reads_compact_folded_and_counted():
    message = parse(INVITE)
    assert (message.method, message.uri, message.status) == ("INVITE", "sip:demo@127.0.0.1:5060", 0)
    assert message.branch == "z9hG4bKabc"
    assert message.cseq == (7, "INVITE")
    assert message.get("call-ID") == "call-1"
    assert message.get("Subject") == "folded line"
    assert message.body == b"body"
    assert uri_of(message.get("From")) == "sip:alice@10.0.0.1"
    assert parameter(message.get("From"), "tag") == "a1"


def test_response_copies_what_belongs_to_the_transaction():
    response = parse(respond(parse(INVITE), 486, "Busy Here", to_tag="b2").serialise())
    assert (response.status, response.reason) == (486, "Busy Here")
    assert parameter(response.get("To"), "tag") == "b2"
    assert response.get("Record-Route") == "<sip:edge;lr>"
    assert response.branch == "z9hG4bKabc"
    assert response.get("Content-Length") == "0"


def test_response_keeps_a_tag_that_is_there():
    request = Message((("To", "<sip:x@y>;tag=old"),), method="BYE", uri="sip:x@y")
    assert respond(request, 200, "OK", to_tag="new").get("To") == "<sip:x@y>;tag=old"


@pytest.mark.parametrize("datagram", [b"", b"hello\r\n\r\n", b"INVITE sip:x\r\n\r\n"])
def test_what_has_no_start_line_is_refused(datagram):
    with pytest.raises(SipSyntaxError, match="start line"):
        parse(datagram)


def test_a_header_without_colon_is_refused():
    with pytest.raises(SipSyntaxError, match="header line"):
        parse(b"BYE sip:x@y SIP/2.0\r\nnonsense\r\n\r\n")


@given(st.binary(max_size=300))
def test_any_datagram_is_read_or_refused(datagram):
    with contextlib.suppress(SipSyntaxError):
        parse(datagram)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sip:demo@127.0.0.1:5080", ("127.0.0.1", 5080)),
        ("sip:example.net", ("example.net", 5060)),
        ("sips:bob@[::1]:5061;transport=tcp", ("::1", 5061)),
        ("sip:bob@host;lr", ("host", 5060)),
    ],
)
def test_address(uri, address):
    assert address_of(uri) == address


def test_address_of_something_else():
    with pytest.raises(SipSyntaxError):
        address_of("tel:+49123")


def test_digest_matches_the_example_of_rfc_2617():
    # RFC 2617 section 3.5, with its user, realm, nonce and cnonce.
    challenge = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    credentials = Credentials("Mufasa", "Circle Of Life")
    answer = authorization([challenge], credentials, "GET", "/dir/index.html", "0a4f113b")
    assert 'response="6629fae49393a05397450978507c4ef1"' in answer
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in answer


def test_digest_without_qop():
    # RFC 2069 form: MD5(HA1:nonce:HA2).
    answer = authorization(
        ['Digest realm="r", nonce="n"'], Credentials("u", "p"), "BYE", "sip:x", "c"
    )
    assert "qop" not in answer
    assert answer.count("response=") == 1


def test_the_first_known_algorithm_of_several_challenges_is_answered():
    # RFC 7616 section 3.9.1, both algorithms.
    rest = (
        'realm="http-auth@example.org", qop="auth, auth-int", '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
    )
    challenges = [f"Digest {rest}, algorithm={name}" for name in ("FOO", "SHA-256", "MD5")]
    credentials = Credentials("Mufasa", "Circle of Life")
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    sha = authorization(challenges, credentials, "GET", "/dir/index.html", cnonce)
    assert "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1" in sha
    md5 = authorization(challenges[2:], credentials, "GET", "/dir/index.html", cnonce)
    assert "8ca523f5e9506fed4657c9700eebdbec" in md5
    with pytest.raises(SipSyntaxError, match="no challenge"):
        authorization(challenges[:1], credentials, "GET", "/dir/index.html", cnonce)
