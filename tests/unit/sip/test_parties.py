"""Over which trunk, who is called, who calls: tables."""

from __future__ import annotations

import pytest

from gateway.config.models import TrunkConfig
from gateway.sip.message import parse_request
from gateway.sip.parties import called_from_words, called_party, caller_number, choose_trunk


def invite(uri, *headers):
    lines = "\r\n".join(headers)
    return parse_request(f"INVITE {uri} SIP/2.0\r\n{lines}\r\n\r\n")


def trunk(**values):
    return TrunkConfig(**({"name": "carrier", "server": "c.example", "user": "alice"} | values))


DID = "To: <sip:+4930123@c.example>"
DIVERTED = ("Diversion: <sip:+491@c>;reason=unconditional", "Diversion: <sip:+492@c>, <sip:+493@c>")


@pytest.mark.parametrize(
    ("called_from", "uri", "headers", "number", "origin"),
    [
        ("auto", "sip:+49301@gw", (DID,), "+49301", "Request-URI"),
        ("auto", "sip:alice@gw", (DID,), "+4930123", "To"),
        ("auto", "sip:carrier@gw", (DID,), "+4930123", "To"),
        ("auto", "sip:gw", (DID,), "+4930123", "To"),
        ("auto", "sip:alice@gw", (DID, "P-Called-Party-ID: <tel:+49-30-9>"), "+49309",
         "P-Called-Party-ID"),
        ("auto", "sip:alice@gw", ("To: <sip:alice@c>",), "alice", "Request-URI"),
        ("auto", "sip:alice@gw", ("To: nonsense",), "alice", "Request-URI"),
        ("request-uri", "sip:alice@gw", (DID,), "alice", "Request-URI"),
        ("to", "sip:+49301@gw", (DID,), "+4930123", "To"),
        ("p-called-party-id", "sip:+49301@gw", (DID,), "+49301", "Request-URI"),
        ("p-called-party-id", "sip:a@gw", (DID, "P-Called-Party-ID: <sip:7@x>"), "7",
         "P-Called-Party-ID"),
        ("diversion", "sip:alice@gw", (DID, *DIVERTED), "+491", "Diversion"),
        ("diversion", "sip:alice@gw", (DID, "Diversion: junk", *DIVERTED), "+491", "Diversion"),
        ("diversion", "sip:alice@gw", (DID,), "+4930123", "To"),
    ],
)  # fmt: skip
def test_who_is_called(called_from, uri, headers, number, origin):
    found = called_party(invite(uri, *headers), trunk(called_from=called_from))
    assert (found.number, found.origin) == (number, origin)


def test_without_a_trunk_the_request_uri_counts():
    found = called_party(invite("sip:alice@gw", DID, "P-Called-Party-ID: <sip:7@x>"), None)
    assert (found.number, found.origin) == ("alice", "Request-URI")
    assert called_party(invite("sip:gw", DID), None).number == ""


ASSERTED = "P-Asserted-Identity: <sip:+4940@c>, <tel:+4941>"


@pytest.mark.parametrize(
    ("sender", "asserted", "from_header", "from_asserted"),
    [
        ("<sip:+4940555@c>", (), "+4940555", "+4940555"),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', (ASSERTED,), "", "+4940"),
        ("<sip:Anonymous@carrier>", ("P-Asserted-Identity: <sip:anonymous@c>",), "", ""),
        ('"sip:boss@hq" <sip:+4917699@trunk>', (), "+4917699", "+4917699"),
        ("<sip:1@c>", ('P-Asserted-Identity: "x" <tel:+49-41>',), "1", "+4941"),
        ("<sip:1@c>", ("P-Asserted-Identity: nobody",), "1", "1"),
    ],
)
def test_who_calls(sender, asserted, from_header, from_asserted):
    request = invite("sip:a@gw", f"From: {sender};tag=1", *asserted)
    assert caller_number(request, None) == from_header
    assert caller_number(request, trunk()) == from_header
    vouches = trunk(caller_from="p-asserted-identity")
    assert caller_number(request, vouches) == from_asserted


def test_two_accounts_at_one_server():
    both = [trunk(), trunk(name="second", user="bob")]
    assert choose_trunk(both, invite("sip:bob@gw:5060")) == "second"
    assert choose_trunk(both, invite("sip:second@gw")) == "second"
    assert choose_trunk(both, invite("sip:alice@gw")) == "carrier"
    # A number says nothing, and To is written by the caller.
    assert choose_trunk(both, invite("sip:+4930@gw", "To: <sip:bob@c.example>")) == "carrier"
    assert choose_trunk([], invite("sip:bob@gw")) == ""


def test_words():
    assert called_from_words(trunk()) == (
        'Request-URI; P-Called-Party-ID, then To, where that names the account "alice"'
    )
    assert called_from_words(trunk(called_from="request-uri")) == "Request-URI"
    assert called_from_words(trunk(called_from="to", user="")).startswith("To, else as auto: ")
