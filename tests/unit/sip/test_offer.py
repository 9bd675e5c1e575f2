"""What of a session description must never reach the library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.message import parse_request
from gateway.sip.offer import audio_lines, descriptions, structure_fault

HEAD = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\n"
ADDRESS = "c=IN IP4 10.0.0.1\r\n"
AUDIO = "m=audio 4000 RTP/AVP 0\r\n"
VIDEO = "m=video 4002 RTP/AVP 31\r\n"


@pytest.mark.parametrize(
    ("sdp", "fault"),
    [
        (HEAD + ADDRESS + "t=0 0\r\n" + AUDIO + "a=ptime:20\r\n", ""),
        (HEAD + ADDRESS + "t=0 0\n" + AUDIO, ""),
        (HEAD + AUDIO + ADDRESS, ""),
        (HEAD + "c=IN IP6 ::1\r\n" + AUDIO, ""),
        (HEAD + ADDRESS + "s=caf\xe9 \u4e2d\r\n" + AUDIO + "\r\n", ""),
        (HEAD + ADDRESS + AUDIO + AUDIO.replace("AVP", "SAVP") + VIDEO, ""),
        (HEAD + AUDIO, "no address"),
        (HEAD + AUDIO.replace("4000", "0"), "no address"),
        (HEAD + AUDIO + ADDRESS + VIDEO, "no address"),
        (HEAD + "c=\r\n" + AUDIO, "no address"),
        (HEAD + "c=IN IP4\r\n" + AUDIO, "no address"),
        (HEAD + "C=IN IP4 10.0.0.1\r\n" + AUDIO, "bad line"),
        (HEAD + " c=IN IP4 10.0.0.1\r\n" + AUDIO, "bad line"),
        (HEAD + "\r\n" + ADDRESS + AUDIO, "bad line"),
        (HEAD + ADDRESS + "s=\0\r\n" + AUDIO, "bad line"),
        (HEAD + ADDRESS + AUDIO * 3, "more than 2 audio"),
        (HEAD + ADDRESS + AUDIO + "m=AUDIO 1 RTP/AVP 0\r\n" * 2, "more than 2 audio"),
        (HEAD + ADDRESS + AUDIO + VIDEO * 8, "more than 8 media"),
        ("", "bad line"),
    ],
)
def test_structure(sdp, fault):
    found = structure_fault(sdp)
    assert (fault in found) if fault else not found


def test_no_media_needs_no_address():
    assert structure_fault(HEAD) == ""
    assert audio_lines(HEAD) == 0


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        ("application/sdp", "v=0", ["v=0"]),
        ("Application/SDP; x=y", "v=0", ["v=0"]),
        ("text/plain", "v=0", []),
        ("application/sdp", " \r\n", []),
        (
            "multipart/mixed;boundary=x",
            "--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
            "--x\r\nContent-type : Application/sdp\r\nX: y\r\n\r\nv=0\r\n--x--\r\n",
            ["v=0"],
        ),
    ],
)
def test_descriptions(kind, body, found):
    request = parse_request(f"INVITE sip:a SIP/2.0\r\nContent-Type: {kind}\r\n\r\n{body}")
    assert descriptions(request) == found


@given(st.text())
def test_nothing_raises(text):
    structure_fault(text)
    structure_fault(HEAD + ADDRESS + text)
