"""Reading SIP requests: tables, and any bytes at all."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.message import parse_answer, parse_request
from gateway.sip.offer import offered_codecs

SDP = "v=0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"


def request(headers, body=""):
    return parse_request(f"INVITE sip:100@gw SIP/2.0\r\n{headers}\r\n\r\n{body}")


def test_a_request_is_taken_apart():
    found = request("f: <sip:200@x>;tag=1\r\nSubject: a\r\n b\r\nVia: 1\r\nv: 2\r\nbroken", SDP)
    assert (found.method, found.uri) == ("INVITE", "sip:100@gw")
    assert found.header("From") == "<sip:200@x>;tag=1"
    assert found.header("subject") == "a b"
    assert found.headers["via"] == ("1", "2")
    assert found.first_headers()["via"] == "1"
    assert found.header("none") == ""
    assert found.body.startswith("v=0\r\nm=audio")


@pytest.mark.parametrize(
    "line", ["", "INVITE", "INVITE sip:a", "INVITE sip:a HTTP/1.1", "INVITE  sip:a SIP/2.0", "\r\n"]
)
def test_what_is_no_request(line):
    with pytest.raises(ValueError, match="bad request line"):
        parse_request(line)


@pytest.mark.parametrize(
    ("sdp", "codecs"),
    [
        (SDP, ["PCMU", "PCMA", "TELEPHONE-EVENT"]),
        ("m=audio 4000 RTP/AVP 9 96\na=rtpmap:96 opus/48000/2", ["G722", "OPUS"]),
        ("m=audio 4000/2 RTP/AVP 77", ["PT77"]),
        ("m=video 4000 RTP/AVP 96", None),
        ("", None),
        ("m=audio 1 RTP/AVP 0\nm=audio 2 RTP/AVP 8", ["PCMU", "PCMA"]),
    ],
)
def test_offered_codecs(sdp, codecs):
    assert offered_codecs(sdp) == codecs


@pytest.mark.parametrize("line", ["m=audio", "m=audio x RTP/AVP 0", "m=audio 99999 RTP/AVP 0"])
def test_broken_media_lines(line):
    with pytest.raises(ValueError, match="bad media line"):
        offered_codecs(line)


MARKS = st.text(st.sampled_from('<>"\\;:,=@\r\n\t tag sip:To0')).map(str)


@given(st.one_of(st.binary().map(lambda raw: raw.decode("utf-8", "replace")), MARKS))
def test_nothing_but_value_error_whatever_comes(text):
    for whole in (text, f"INVITE sip:a SIP/2.0\r\nTo: {text}\r\n\r\n{text}"):
        with suppress(ValueError):
            found = parse_request(whole)
            assert found.is_initial
            offered_codecs(found.body)
    with suppress(ValueError):
        offered_codecs("m=audio " + text)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("part", [" ", " ;x", " ;tag=x", "<", '"', "\\", "sip:", "sip::"])
def test_long_headers_are_read_in_no_time(part):
    for tail in ("", "<", '"', ";tag=x"):
        found = request(f"To: <sip:a>{part * 20000}{tail}")
        assert found.header("to").startswith("<sip:a>")


def test_an_answer_is_taken_apart():
    found = parse_answer("SIP/2.0 200 OK\r\nc: application/sdp\r\n\r\nv=0")
    assert (found.uri, found.header("content-type"), found.body) == (
        "200",
        "application/sdp",
        "v=0",
    )
    with pytest.raises(ValueError, match="bad status line"):
        parse_answer("INVITE sip:a SIP/2.0\r\n\r\n")
