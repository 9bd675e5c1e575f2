"""Session descriptions: parse, build, answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.probe import sdp

BODY = (
    b"v=0\r\no=- 4 9 IN IP4 10.0.0.9\r\ns=x\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 9 8 96\r\na=rtpmap:96 telephone-event/8000\r\na=sendonly\r\n"
    b"m=video 4002 RTP/AVP 34\r\nc=IN IP4 10.0.0.77\r\na=inactive\r\n"
)


def test_reads_the_audio_stream_only():
    session = sdp.parse(BODY)
    assert (session.address, session.port, session.version) == ("10.0.0.9", 4000, 9)
    assert session.payload_types == (9, 8, 96)
    assert session.direction == "sendonly"
    assert session.audio_payload_type == 8
    assert session.event_payload_type == 96


def test_media_level_address_wins():
    body = BODY.replace(b"a=sendonly", b"c=IN IP4 10.1.1.1\r\na=sendonly")
    assert sdp.parse(body).address == "10.1.1.1"


def test_answer_takes_their_numbers_and_mirrors():
    ours = sdp.offer("127.0.0.1", 5000)
    answer = sdp.answer(ours, sdp.parse(BODY))
    assert answer.payload_types == (8, 96)
    assert answer.direction == "recvonly"
    assert sdp.parse(sdp.build(answer)) == answer


def test_no_common_codec():
    theirs = sdp.parse(BODY.replace(b"9 8 96", b"9 18"))
    with pytest.raises(sdp.SdpError, match="no common codec"):
        sdp.answer(sdp.offer("127.0.0.1", 5000), theirs)
    with pytest.raises(sdp.SdpError):
        _ = theirs.audio_payload_type


@pytest.mark.parametrize("broken", [b"", b"v=0\r\n", BODY.replace(b"audio 4000", b"audio many")])
def test_without_usable_audio(broken):
    with pytest.raises(sdp.SdpError):
        sdp.parse(broken)


@given(
    st.permutations(["PCMU", "PCMA"]),
    st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"]),
    st.integers(1, 65535),
)
def test_an_offer_survives_the_wire(codecs, direction, port):
    offered = sdp.offer("127.0.0.1", port, tuple(codecs), direction=direction, version=3)
    assert sdp.parse(sdp.build(offered)) == offered
