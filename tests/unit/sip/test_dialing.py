"""What a placed call is sent to, and as whom."""

from __future__ import annotations

import pytest

from gateway.config.models import TrunkConfig
from gateway.errors import SipError
from gateway.sip.dialing import Dialled, dial, referred_uri

CARRIER = TrunkConfig(name="c", server="Sip.Example.net", user="alice")
TCP = TrunkConfig(name="t", server="10.0.0.1:5070", transport="tcp")


@pytest.mark.parametrize(
    ("target", "trunk", "uri", "over"),
    [
        ("+4930", CARRIER, "sip:+4930@Sip.Example.net", "c"),
        ("*21#", CARRIER, "sip:*21%23@Sip.Example.net", "c"),
        ("100", TCP, "sip:100@10.0.0.1:5070;transport=tcp", "t"),
        ("sip:%2B49@sip.example.net:5060", CARRIER, "sip:%2B49@Sip.Example.net", "c"),
        ("sip:bob@10.0.0.1:5070", TCP, "sip:bob@10.0.0.1:5070;transport=tcp", "t"),
        ("sip:sip.example.net", CARRIER, "sip:Sip.Example.net", "c"),
        # Elsewhere: none of the trunk's business.
        ("sip:bob@10.0.0.1", TCP, "sip:bob@10.0.0.1", ""),
        ("sip:bob@evil.example", CARRIER, "sip:bob@evil.example", ""),
        ("SIP:bob@evil.example", CARRIER, "SIP:bob@evil.example", ""),
        ("sip:bob@sip.example.net.evil.example", CARRIER,
         "sip:bob@sip.example.net.evil.example", ""),
        ("sip:bob@host", None, "sip:bob@host", ""),
    ],
)  # fmt: skip
def test_targets(target, trunk, uri, over):
    assert dial(target, trunk) == Dialled(uri, over)


def test_who_calls():
    shows = CARRIER.model_copy(update={"caller_id": "+4930", "asserted_identity": True})
    found = dial("1", shows)
    assert found.caller == "+4930"
    assert found.headers == (("P-Asserted-Identity", "<sip:+4930@Sip.Example.net>"),)
    assert dial("1", shows, "*1#").caller == "*1%23"
    asserts = CARRIER.model_copy(update={"asserted_identity": True})
    assert dial("1", asserts).caller == ""
    assert dial("1", asserts).headers[0][1] == "<sip:alice@Sip.Example.net>"
    assert dial("sip:bob@elsewhere", shows).caller == ""
    assert dial("sip:bob@elsewhere", shows).headers == ()
    assert dial("sip:bob@elsewhere", None, "7").caller == "7"


@pytest.mark.parametrize("target", ["100", "nonsense", "sip:a@b@c"])
def test_bad_targets(target):
    with pytest.raises(SipError, match="cannot call"):
        dial(target, None)


@pytest.mark.parametrize(
    ("target", "place", "uri"),
    [
        ("sip:bob@host", "carrier.example", "sip:bob@host"),
        ("+4930", "carrier.example", "sip:+4930@carrier.example"),
        ("*1#", "192.0.2.1:5070", "sip:*1%23@192.0.2.1:5070"),
        ("100", "sip:bob@192.0.2.1:5070;transport=tcp", "sip:100@192.0.2.1:5070"),
        ("100", "sip:bob@host", "sip:100@host"),
    ],
)
def test_transfers(target, place, uri):
    assert referred_uri(target, place) == uri
