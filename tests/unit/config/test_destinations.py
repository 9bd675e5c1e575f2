"""Where calls may go: what fits a pattern, and what only looks as if it did."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.destinations import Destinations, opens_names_only, pattern_fault

SERVERS = {"carrier": "sip.example.net", "pbx": "10.0.0.1:5070"}


@pytest.mark.parametrize(
    ("pattern", "target", "trunk", "is_allowed"),
    [
        ("+49*", "+4930123456", "carrier", True),
        ("+49*", "+4930123456", "", True),  # without a trunk it leads nowhere anyway
        ("+49*", "+43123456", "carrier", False),
        ("+49*", "004930123456", "carrier", False),
        ("+49*", "sip:+4930123456@sip.example.net", "", True),
        ("+49*", "sip:+4930123456@SIP.example.net:5060;user=phone", "carrier", True),
        ("+49*", "sip:+4930123456@evil.example", "", False),
        ("+49*", "sip:+4930123456@sip.example.net:5061", "", False),
        ("+49*", "sip:+4930123456@10.0.0.1", "pbx", False),
        ("+49*", "sip:+4930123456@10.0.0.1:5070", "pbx", True),
        ("+49*", "sip:%2B4930123456@sip.example.net", "", False),
        ("*", "0900123", "carrier", True),
        ("*", "+0900123", "carrier", False),
        ("*", "*21*0900#", "carrier", False),  # call forwarding is no number
        ("*21#", "*21#", "carrier", True),
        ("2??", "200", "carrier", False),
        ("sip:*@pbx.example", "sip:100@pbx.example", "", True),
        ("sip:*@pbx.example", "sip:100@PBX.example:5060", "", True),
        ("SIP:*@PBX.example", "sip:100@pbx.example;transport=tcp", "", True),
        ("sip:*@pbx.example", "sip:100@pbx.example:5080", "", False),
        ("sip:*@pbx.example:*", "sip:100@pbx.example:5080", "", True),
        ("sip:*@pbx.example", "sips:100@pbx.example", "", False),
        ("sip:*@pbx.example", "sip:pbx.example", "", True),
        ("sip:*@pbx.example", "sip:100@pbx.example.evil.example", "", False),
        ("sip:*@pbx.example", "sip:100@evil.example;x=@pbx.example", "", False),
        ("sip:*@pbx.example", "sip:100@pbx.example;maddr=192.0.2.9", "", False),
        ("sip:*@pbx.example", "sip:100@pbx.example;lr", "", False),
        ("sip:*@pbx.example", "sip:100@pbx.example?Route=%3Csip:evil.example%3E", "", False),
        ("sip:*@pbx.example", "sip:a@b@pbx.example", "", False),
        ("sip:*@pbx.example", "sip:100:secret@pbx.example", "", False),
        ("sip:*@pbx.example", "<sip:100@pbx.example>", "", False),
        ("sip:*@pbx.example", "sip:100@pbx.example\r\nRoute: x", "", False),
        ("sip:*@pbx.example", "tel:+49123", "", False),
        ("sip:2*@pbx.example", "sip:200@pbx.example", "", True),
        ("sip:2*@pbx.example", "sip:100@pbx.example", "", False),
        ("sip:*@10.0.0.*", "sip:100@10.0.0.7", "", True),
        ("sip:*@10.0.0.*", "sip:100@10.0.1.7", "", False),
        # Numbers at a trunk are opened by what says numbers only, however they are written.
        ("sip:*@sip.example.net", "0900123", "carrier", False),
        ("sip:*@sip.example.net", "sip:0900123@sip.example.net", "", False),
        ("sip:*@sip.example.net", "sip:0900123@sip.example.net", "carrier", False),
        ("sip:*@sip.example.net", "sip:%30900123@sip.example.net", "", False),
        ("sip:*@sip.example.net", "sip:0900-123@sip.example.net", "", False),
        ("sip:*@sip.example.net", "sip:+1(900)123@sip.example.net;user=phone", "", False),
        ("sip:*@sip.example.net", "sip:+49;rn=+900@sip.example.net", "", False),
        ("sip:*@sip.example.net", "sip:bob;rn=+900@sip.example.net", "", False),
        ("sip:*@sip.example.net", "sip:100%zz@sip.example.net", "", False),
        ("sip:*@sip.*", "sip:0900123@sip.example.net:5060", "", False),
        ("sip:*@10.0.0.1:*", "sip:200@10.0.0.1:5070", "pbx", False),
        ("sip:*@10.0.0.1:*", "sip:200@10.0.0.1:5071", "", True),
        ("sip:*@sip.example.net", "sip:bob@sip.example.net", "carrier", True),
        ("sip:*@sip.example.net", "sip:front-desk@sip.example.net", "", True),
        ("sip:200@sip.example.net", "sip:200@sip.example.net", "", True),
        ("sip:200@sip.example.net", "200", "carrier", True),
        ("sip:+49*@sip.example.net", "+4930", "carrier", True),
        ("sip:+49*@sip.example.net", "sip:+49-30@sip.example.net", "carrier", False),
        ("sip:+49*@sip.example.net", "+4330", "carrier", False),
        ("sip:*@sip.example.net", "0900123", "", False),
        ("sip:a.b@pbx.example", "sip:aXb@pbx.example", "", False),
    ],
)
def test_destinations(pattern: str, target: str, trunk: str, is_allowed: bool) -> None:
    assert not pattern_fault(pattern) or "?" in pattern
    assert Destinations([pattern], SERVERS).allow(target, trunk) is is_allowed


@pytest.mark.parametrize(
    ("deny", "target", "trunk", "verdict"),
    [
        ("+979*", "+979123", "carrier", "denied"),
        ("+979*", "00979123", "carrier", "denied"),
        ("+979*", "011979123", "carrier", "denied"),
        ("+979*", "+49979123", "carrier", "allowed"),
        ("+979*", "sip:+979123@sip.example.net", "", "denied"),
        ("+979*", "sip:+979-123@pbx.example", "", "denied"),
        ("+979*", "sip:%2B979123@pbx.example;user=phone", "", "denied"),
        ("+979*", "sip:bob;rn=+979123@pbx.example", "", "denied"),
        ("+979*", "sip:bob@pbx.example", "", "allowed"),
        ("0900*", "0900123", "", "denied"),
        ("sip:*@pbx.example", "sip:bob@PBX.example", "", "denied"),
        ("sip:*@pbx.example", "sip:bob@pbx.example:5070", "", "not allowed"),
    ],
)
def test_what_is_denied_stays_so(deny: str, target: str, trunk: str, verdict: str) -> None:
    allow = ["*", "+*", "sip:*@pbx.example"]
    assert Destinations(allow, SERVERS, [deny]).verdict(target, trunk) == verdict


@pytest.mark.parametrize(
    ("pattern", "is_so"),
    [
        ("sip:*@sip.example.net", True),
        ("sip:*@SIP.*", True),
        ("sip:*@*", True),
        ("sip:b*@sip.example.net", False),  # no number begins so
        ("sip:*@sip.example.net:5070", False),
        ("sip:+49*@sip.example.net", False),
        ("sip:200@sip.example.net", False),
        ("+49*", False),
        ("sip:*@pbx.example", False),
    ],
)
def test_patterns_that_open_names_only(pattern: str, is_so: bool) -> None:
    assert opens_names_only(pattern, "sip.example.net") is is_so


def test_nothing_is_allowed_by_default() -> None:
    assert not Destinations([], SERVERS).allow("sip:100@127.0.0.1")


@pytest.mark.parametrize("pattern", ["", "sip:", "sip:pbx", "49 30", "pbx.example", "sip:a b@c"])
def test_patterns_at_fault(pattern: str) -> None:
    assert pattern in pattern_fault(pattern)
    assert "such as" in pattern_fault(pattern)


@given(st.text(), st.text())
def test_no_target_and_no_pattern_raises(target: str, text: str) -> None:
    allowed = Destinations([text, "sip:*@pbx.example", "+49*"], SERVERS)
    allowed.allow(target, "carrier")
    allowed.allow(f"sip:{target}@pbx.example")


@given(st.text(alphabet="sip:@.;?=%*abc019+\r\n <>", max_size=40))
def test_what_is_allowed_stays_at_that_host(middle: str) -> None:
    target = f"sip:{middle}"
    if Destinations(["sip:*@pbx.example"], {}).allow(target):
        host = target.removeprefix("sip:").rpartition("@")[2].partition(";")[0]
        assert host in {"pbx.example", "pbx.example:5060"}
