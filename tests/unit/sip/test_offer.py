"""What of a session description must never reach the library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.message import parse_request
from gateway.sip.offer import (
    audio_lines,
    descriptions,
    offered_codecs,
    structure_fault,
    too_many_parts,
)
from gateway.sip.offer_repair import mended, useless_keys

HEAD = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\n"
ADDRESS = "c=IN IP4 10.0.0.1\r\n"
AUDIO = "m=audio 4000 RTP/AVP 0\r\n"
SAVP = AUDIO.replace("AVP", "SAVP")
KEY = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
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
        (HEAD + ADDRESS + SAVP, "488 SRTP without a key"),
        (HEAD + ADDRESS + SAVP.replace("4000", "0") + AUDIO, ""),
        (HEAD + ADDRESS + SAVP + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n", ""),
        (
            HEAD + ADDRESS + SAVP + f"a=crypto:1 aes_cm_128_hmac_sha1_32 inline:{KEY}|2^20|1:4\r\n",
            "",
        ),
        (HEAD + ADDRESS + SAVP + f"a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:{'a' * 62}==\r\n", ""),
        (
            HEAD + ADDRESS + SAVP + f"a=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}\r\n",
            "488 SRTP without a key",
        ),
        (
            HEAD + ADDRESS + SAVP + f"a=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}\r\n"
            f"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTCP\r\n",
            "",
        ),
        (
            HEAD + ADDRESS + SAVP + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short\r\n",
            "488 bad key",
        ),
        (
            HEAD + ADDRESS + SAVP + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short\r\n"
            f"a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n",
            "488 bad key",
        ),
        (HEAD + ADDRESS + SAVP + "a=crypto:\r\n", "488 bad key"),
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
        (HEAD + ADDRESS + AUDIO.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF"), "488 transport"),
        (HEAD + ADDRESS + AUDIO.replace("RTP/AVP", "udp/tls/rtp/savp"), "488 transport"),
        (HEAD + ADDRESS + AUDIO + AUDIO.replace("RTP/AVP", "UDP/TLS/RTP/SAVP"), "488 transport"),
        (HEAD + ADDRESS + AUDIO.replace("4000 RTP/AVP", "0 TCP/TLS/RTP/SAVP"), "488 transport"),
        (HEAD + ADDRESS + AUDIO.replace("RTP/AVP", "rtp/avpf"), ""),
        (HEAD + ADDRESS + VIDEO.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF") + AUDIO, ""),
        (HEAD + ADDRESS + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" + AUDIO, ""),
        (HEAD + ADDRESS + "m=audio 4000 RTP/AVP\r\n", "bad media line"),
        (HEAD + ADDRESS + "m=audio 70000 RTP/AVP 0\r\n", "bad media line"),
        (HEAD + "c=IN IP4 media.example\r\n" + AUDIO, "488 bad address"),
        (HEAD + "c=IN IP4 ::1\r\n" + AUDIO, "488 bad address"),
        (HEAD + "c=IN IP4 10.0.1\r\n" + AUDIO, "488 bad address"),
        (HEAD + "c=IN IP4 239.1.1.1/1\r\n" + AUDIO, "488 bad address"),
        (HEAD + "c=IN IP4 239.1.1.1\r\n" + AUDIO, "488 bad address"),
        (HEAD + ADDRESS + AUDIO + "c=IN IP4 media.example\r\n", "488 bad address"),
        (HEAD + ADDRESS + AUDIO + "a=rtcp:4001 IN IP4 media.example\r\n", "488 bad address"),
        (HEAD + ADDRESS + AUDIO + "a=RTCP:4001 IN IP4 media.example\r\n", "488 bad address"),
        (HEAD + ADDRESS + AUDIO + "a=rtcp:4001 IN IP4 10.0.0.1\r\na=rtcp:4001\r\n", ""),
        (HEAD.replace("10.0.0.1", "host.example") + ADDRESS + AUDIO, ""),
        (HEAD + ADDRESS + AUDIO + "a=crypto:1 X inline:y\r\n" * 17, "more than 16 crypto"),
        (HEAD + ADDRESS + AUDIO + "a=x:y\r\n" * 65, "more than 64 attributes"),
        (HEAD + "a=x:y\r\n" * 65 + ADDRESS + AUDIO, "more than 64 attributes"),
        (HEAD + ADDRESS + AUDIO + "a=ptime:4294967295\r\n", "packet time"),
        (HEAD + ADDRESS + AUDIO + "a=maxptime: 1001\r\n", "packet time"),
        (HEAD + ADDRESS + AUDIO + "a=ptime:20\r\na=maxptime:200\r\na=ptime:x\r\n", ""),
        (HEAD + ADDRESS + AUDIO + "b=AS:1\r\n" * 400, "more than 400 lines"),
        (HEAD + ADDRESS + "m=audio 4000 RTP/AVP" + " 0" * 33 + "\r\n", "more than 32 formats"),
    ],
)
def test_structure(sdp, fault):
    found = structure_fault(sdp)
    text = f"{found.status} {found.text}" if found else ""
    assert fault in text
    assert bool(fault) is bool(text)


def test_no_media_needs_no_address():
    assert structure_fault(HEAD) is None
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
        (
            "multipart/mixed;boundary=x",
            "--x\r\nc: application/sdp\r\n\r\nv=0\r\nx=1\r\n--x\r\nX: y\r\n\r\nv=1\r\n--x--\r\n",
            ["v=0\nx=1", "v=1"],
        ),
        # As the library reads a datagram: to its end, not to Content-Length.
        ("application/sdp\r\nContent-Length: 3", "v=0\r\nm=audio", ["v=0\r\nm=audio"]),
        ("application/sdp\r\nContent-Length: 0", "v=0\r\nm=audio", ["v=0\r\nm=audio"]),
    ],
)
def test_descriptions(kind, body, found):
    request = parse_request(f"INVITE sip:a SIP/2.0\r\nContent-Type: {kind}\r\n\r\n{body}")
    assert descriptions(request) == found


def test_parts_are_counted():
    def bodies(count):
        head = "INVITE sip:a SIP/2.0\r\nContent-Type: multipart/mixed;boundary=x\r\n\r\n"
        return parse_request(head + "--x\r\n\r\na\r\n" * count + "--x--\r\n")

    assert not too_many_parts(bodies(8))
    assert too_many_parts(bodies(20))


GOOD = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"
JUNK = [
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short\r\n",
    f"a=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}\r\n",
    f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{'=' * 40}\r\n",
    "a=crypto:junk\r\n",
    "a=crypto\r\n",
    "a=CRYPTO:\n",
]


@pytest.mark.parametrize("junk", JUNK)
def test_keys_that_are_of_no_use_for_plain_rtp_are_found(junk):
    head = "INVITE sip:a SIP/2.0\r\nContent-Type: application/sdp\r\n\r\n" + HEAD + ADDRESS

    def marked(body):
        text = (head + body).encode()
        places = useless_keys(text)
        assert all(text[place : place + 6].lower() == b"crypto" for place in places)
        return [text[:place].count(b"\n") - head.count("\n") for place in places]

    assert marked(AUDIO + junk) == [1]
    assert marked(AUDIO.replace("AVP", "AVPF") + GOOD + junk + "a=ptime:20\r\n" + junk) == [2, 4]
    assert marked(AUDIO + GOOD + "a=cryptograph:1\r\n") == []
    assert marked(SAVP + junk) == []  # refused: see structure_fault
    assert marked(SAVP + junk + AUDIO + junk + VIDEO + junk) == [3, 5]
    assert marked(junk + SAVP) == []


@given(st.binary() | st.lists(st.sampled_from([AUDIO, SAVP, GOOD, *JUNK])).map("".join))
def test_what_is_left_has_keys_that_the_library_can_use(message):
    data = message if isinstance(message, bytes) else message.encode()
    left = bytearray(data)
    for place in useless_keys(data):
        left[place : place + 6] = b"unused"
    assert len(left) == len(data)
    assert useless_keys(bytes(left)) == []


@given(st.text())
def test_nothing_raises(text):
    structure_fault(text)
    structure_fault(HEAD + ADDRESS + text)


DECLINED = "m=video 0 RTP/AVP 31\r\n"
REQUEST = "INVITE sip:a SIP/2.0\r\nContent-Type: application/sdp\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "mended_body"),
    [
        (HEAD + AUDIO + ADDRESS + DECLINED, HEAD + ADDRESS + AUDIO + DECLINED),
        (
            HEAD + "t=0 0\r\n" + DECLINED + "a=x\r\n" + AUDIO + "a=y\r\n" + ADDRESS + "a=z\r\n",
            HEAD + "t=0 0\r\n" + ADDRESS + DECLINED + "a=x\r\n" + AUDIO + "a=y\r\na=z\r\n",
        ),
        (HEAD + AUDIO + ADDRESS + "m=audio 0 RTP/AVP 8\r\n", None),
        (HEAD + AUDIO + ADDRESS + "m=image 00 udptl t38\r\n", None),
        (HEAD + AUDIO + ADDRESS + ADDRESS.replace(".1", ".2") + DECLINED, None),
    ],
)
def test_a_declined_stream_gets_an_address(body, mended_body):
    found = mended((REQUEST + body).encode()).decode()
    assert len(found) == len(REQUEST + body)
    assert structure_fault(body).text == "no address (c=)"
    assert structure_fault(found.partition("\r\n\r\n")[2]) is None
    assert mended_body in {None, found.partition("\r\n\r\n")[2]}


@pytest.mark.parametrize(
    "body",
    [
        HEAD + ADDRESS + AUDIO + DECLINED,
        HEAD + AUDIO + ADDRESS + DECLINED.replace(" 0 ", " 4002 "),  # it is wanted, and lacks it
        HEAD + AUDIO + DECLINED,
        HEAD + DECLINED,
        HEAD + AUDIO + ADDRESS,
        HEAD + AUDIO + DECLINED + "c=IN IP4 10.0.0.1",
        HEAD,
        "",
    ],
)
def test_nothing_else_is_moved(body):
    assert mended((REQUEST + body).encode()) == (REQUEST + body).encode()


LINES = ["v=0\r\n", ADDRESS, AUDIO, DECLINED, "a=x\r\n", "\r\n", "m=audio 0 RTP/AVP 0\n", "c=\r\n"]


@given(st.lists(st.sampled_from(LINES)).map("".join))
def test_mended_is_as_long_and_made_of_the_same_lines(body):
    before = (REQUEST + body).encode()
    after = mended(before)
    assert sorted(after.splitlines(keepends=True)) == sorted(before.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("sdp", "codecs"),
    [
        (AUDIO, ["PCMU"]),
        ("m=audio 1 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n" + AUDIO, ["OPUS", "PCMU"]),
        ("m=audio 0 RTP/AVP 8\r\n" + AUDIO, ["PCMU"]),
        ("m=audio 0 RTP/AVP 8\r\n", ["PCMA"]),
        ("m=audio 1 RTP/SAVP 8 0\r\n" + AUDIO, ["PCMA", "PCMU"]),
        (AUDIO + VIDEO + "a=rtpmap:0 x/1\r\n", ["PCMU"]),
        ("m=audio 1 RTP/AVP 96\r\nm=audio 1 RTP/AVP 96\r\na=rtpmap:96 X/1\r\n", ["PT96", "X"]),
        (VIDEO, None),
    ],
)
def test_codecs_of_every_audio_stream_count(sdp, codecs):
    assert offered_codecs(HEAD + ADDRESS + sdp) == codecs
