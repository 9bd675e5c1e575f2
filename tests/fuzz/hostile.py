"""Messages and packets of bad will, and a way to damage good ones.  The seeds of the fuzzer."""

from __future__ import annotations

import itertools
import random
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

from gateway.probe import sdp
from gateway.probe.rtp import Packet

_COUNTER = itertools.count()


def invite(
    port: int = 5999, *, number: int = 1, body: str | None = None, via: str = "UDP"
) -> bytes:
    """A valid INVITE."""
    if body is None:
        body = sdp.build(sdp.offer("127.0.0.1", 40000)).decode()
    unique = f"{number}-{next(_COUNTER)}"
    return (
        "INVITE sip:100@127.0.0.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/{via} 127.0.0.1:{port};rport;branch=z9hG4bK{unique}\r\n"
        "Max-Forwards: 70\r\n"
        f"From: <sip:200@127.0.0.1>;tag=f{number}\r\nTo: <sip:100@127.0.0.1>\r\n"
        f"Call-ID: hostile-{unique}\r\nCSeq: 1 INVITE\r\n"
        f"Contact: <sip:200@127.0.0.1:{port}>\r\n"
        "Content-Type: application/sdp\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def with_header(name: str, value: str) -> bytes:
    """A valid INVITE with one header changed or added."""
    text = invite().decode()
    head, _, body = text.partition("\r\n\r\n")
    lines = [line for line in head.split("\r\n") if not line.startswith(f"{name}:")]
    return "\r\n".join([*lines, f"{name}: {value}"]).encode() + b"\r\n\r\n" + body.encode()


def with_body(body: str) -> bytes:
    return invite(body=body)


GOOD_SDP = sdp.build(sdp.offer("127.0.0.1", 40000)).decode()
HOSTILE = {
    "nothing": b"",
    "zero bytes": bytes(100),
    "only line ends": b"\r\n" * 500,
    "binary": bytes(range(256)) * 4,
    "start line only": b"INVITE sip:100@127.0.0.1 SIP/2.0\r\n\r\n",
    "start line without end": b"INVITE sip:100@127.0.0.1 SIP/2.0",
    "version 9": invite().replace(b"SIP/2.0", b"SIP/9.9"),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no uri": invite().replace(b"INVITE sip:100@127.0.0.1", b"INVITE "),
    "odd uri": invite().replace(b"INVITE sip:100@127.0.0.1", b"INVITE sip:@@@:;;?%zz"),
    "long uri": invite().replace(b"sip:100@", b"sip:" + b"1" * 4000 + b"@"),
    "format letters": invite().replace(b"200@", b"%s%n%x%d@"),
    "negative length": with_header("Content-Length", "-1"),
    "huge length": with_header("Content-Length", "99999999999999999999"),
    "length too long": with_header("Content-Length", "60000"),
    "length of words": with_header("Content-Length", "many"),
    "two lengths": with_header("l", "3"),
    "huge cseq": with_header("CSeq", "99999999999999999999 INVITE"),
    "negative cseq": with_header("CSeq", "-1 INVITE"),
    "cseq of another method": with_header("CSeq", "1 BYE"),
    "no cseq number": with_header("CSeq", "INVITE"),
    "max-forwards 0": with_header("Max-Forwards", "0"),
    "max-forwards huge": with_header("Max-Forwards", "4294967297"),
    "max-forwards negative": with_header("Max-Forwards", "-70"),
    "expires huge": with_header("Expires", "4294967296999"),
    "session-expires 0": with_header("Session-Expires", "0"),
    "session-expires huge": with_header("Session-Expires", "99999999999;refresher=uas"),
    "min-se huge": with_header("Min-SE", "4294967295"),
    "contact of nobody": with_header("Contact", "<>"),
    "contact is a star": with_header("Contact", "*"),
    "from without tag": with_header("From", "<sip:200@127.0.0.1>"),
    "to with a tag": with_header("To", "<sip:100@127.0.0.1>;tag=unknown"),
    "open quote": with_header("From", '"never closed <sip:200@127.0.0.1>;tag=1'),
    "open bracket": with_header("From", "<sip:200@127.0.0.1;tag=1"),
    "latin-1 name": with_header("From", "J\xfcrgen <sip:200@127.0.0.1>;tag=1")
    .decode()
    .encode("latin-1"),
    "zero in a name": with_header("From", "a\0b <sip:200@127.0.0.1>;tag=1"),
    "require nonsense": with_header("Require", "100rel, timer, nonsense"),
    "replaces nobody": with_header("Replaces", "a;to-tag=b;from-tag=c"),
    "thousand vias": invite().replace(
        b"Max-Forwards", b"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\r\n" * 200 + b"Max-Forwards"
    ),
    "via to nowhere": invite().replace(b"127.0.0.1:5999;rport", b"256.256.256.256:99999"),
    "thousand routes": invite().replace(
        b"Max-Forwards", b"Record-Route: <sip:10.0.0.1;lr>\r\n" * 200 + b"Max-Forwards"
    ),
    "ack of nothing": invite().replace(b"INVITE", b"ACK"),
    "bye of nothing": invite().replace(b"INVITE", b"BYE"),
    "cancel of nothing": invite().replace(b"INVITE", b"CANCEL"),
    "refer of nothing": invite().replace(b"INVITE", b"REFER"),
    "notify of nothing": invite().replace(b"INVITE", b"NOTIFY"),
    "prack of nothing": invite().replace(b"INVITE", b"PRACK"),
    "small ack": invite().replace(b"INVITE", b"ack"),
    "small invite": invite().replace(b"INVITE", b"invite"),
    "small bye in a dialog": invite()
    .replace(b"INVITE", b"bye")
    .replace(b"To: <sip:100@127.0.0.1>", b"To: <sip:100@127.0.0.1>;tag=x"),
    "unknown method": invite().replace(b"INVITE", b"BREW"),
    "answer to nothing": b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKno\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n",
    "status 99999": b"SIP/2.0 99999 What\r\nCSeq: 1 INVITE\r\n\r\n",
    "sdp is binary": invite(body="\x01\x02\x03\x04" * 50),
    "sdp without media": with_body("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"),
    "sdp without version": with_body(GOOD_SDP.replace("v=0\r\n", "")),
    "sdp without address": with_body(GOOD_SDP.replace("c=IN IP4 127.0.0.1\r\n", "")),
    "sdp of no port and no address": with_body(
        GOOD_SDP.replace("c=IN IP4 127.0.0.1\r\n", "").replace("audio 40000", "audio 0")
    ),
    "sdp of 15 audio streams": with_body(GOOD_SDP + "m=audio 40002 RTP/AVP 0\r\n" * 14),
    "sdp of 15 audio streams again": with_body(GOOD_SDP + "m=audio 40002 RTP/AVP 0\r\n" * 14),
    "sdp of 15 audio streams once more": with_body(GOOD_SDP + "m=audio 40002 RTP/AVP 0\r\n" * 14),
    "sdp of ipv6": with_body(GOOD_SDP.replace("IP4 127.0.0.1", "IP6 ::1")),
    "sdp of a bad address": with_body(GOOD_SDP.replace("IP4 127.0.0.1", "IP4 999.1.1.1")),
    "sdp of multicast": with_body(GOOD_SDP.replace("c=IN IP4 127.0.0.1", "c=IN IP4 239.1.1.1/1")),
    "sdp port 0": with_body(GOOD_SDP.replace("40000", "0")),
    "sdp port 99999": with_body(GOOD_SDP.replace("40000", "99999")),
    "sdp port negative": with_body(GOOD_SDP.replace("40000", "-2")),
    "sdp without formats": with_body(re.sub(r"(m=audio \d+ RTP/AVP).*\r", r"\1\r", GOOD_SDP)),
    "sdp format 999": with_body(GOOD_SDP.replace("RTP/AVP 0", "RTP/AVP 999 0")),
    "sdp rate 0": with_body(GOOD_SDP.replace("PCMU/8000", "PCMU/0")),
    "sdp rate huge": with_body(GOOD_SDP.replace("PCMU/8000", "PCMU/99999999999")),
    "sdp ptime 0": with_body(GOOD_SDP + "a=ptime:0\r\n"),
    "sdp ptime huge": with_body(GOOD_SDP + "a=ptime:4294967295\r\n"),
    "sdp maxptime 1": with_body(GOOD_SDP + "a=maxptime:1\r\n"),
    "sdp of 100 streams": with_body(GOOD_SDP + "m=audio 40002 RTP/AVP 0\r\n" * 100),
    "sdp of 2000 attributes": with_body(GOOD_SDP + "a=x:y\r\n" * 2000),
    "sdp of savp": with_body(GOOD_SDP.replace("RTP/AVP", "RTP/SAVP")),
    "sdp with bad crypto": with_body(
        GOOD_SDP.replace("RTP/AVP", "RTP/SAVP") + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"
    ),
    "sdp image": with_body(GOOD_SDP.replace("m=audio", "m=image")),
    "multipart": with_header("Content-Type", "multipart/mixed;boundary=").replace(
        b"v=0", b"--\r\n--x--"
    ),
}


def mutate(message: bytes, chance: random.Random) -> bytes:
    """Damage a message in one to four places."""
    data = bytearray(message)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data)) if data else 0
        match chance.randrange(7):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 40)]
            case 2:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 30)))
            case 3:
                data[at:at] = data[at : at + chance.randint(1, 200)]
            case 4:
                data[at:at] = chance.choice([b"\r\n", b"\r\n\r\n", b";", b"<", b'"', b"%00", b"\0"])
            case 5:
                digits = [m.start() for m in re.finditer(rb"\d+", bytes(data))]
                if digits:
                    start = chance.choice(digits)
                    data[start : start + 1] = chance.choice(
                        [b"4294967296", b"-1", b"99999999999999999999", b""]
                    )
            case 6:
                data = data[:at]
    return bytes(data[:60_000])


def hang_up_calls(peer: socket.socket, quiet_s: float) -> None:
    """ACK every 200 to an INVITE and end its call, until it has been quiet for so long."""
    peer.settimeout(quiet_s)
    with suppress(OSError):
        while data := peer.recv(65536):
            for part in re.split(rb"(?=SIP/2\.0 )", data):
                if part.startswith(b"SIP/2.0 200") and re.search(rb"CSeq: *\d+ INVITE", part):
                    peer.send(in_dialog(part, "ACK"))
                    peer.send(in_dialog(part, "BYE"))


def in_dialog(answer: bytes, method: str) -> bytes:
    """Build a request of the dialog that a 200 has made."""
    kept = re.findall(rb"^(?:From|To|Call-ID):.*$", answer, re.MULTILINE | re.IGNORECASE)
    contact = re.search(rb"Contact: *<([^>]*)>", answer)
    number = re.search(rb"CSeq: *(\d+)", answer)
    assert contact
    assert number
    count = int(number[1]) + (method == "BYE")
    transport = b"TCP" if b"SIP/2.0/TCP" in answer else b"UDP"
    lines = [
        method.encode() + b" " + contact[1] + b" SIP/2.0",
        b"Via: SIP/2.0/%b 127.0.0.1;rport;branch=z9hG4bKd%d" % (transport, next(_COUNTER)),
        b"Max-Forwards: 70",
        *(line.rstrip(b"\r") for line in kept),
        b"CSeq: %d %b" % (count, method.encode()),
        b"Content-Length: 0",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def junk_packets() -> Iterator[bytes]:
    """Everything that is not the stream that was agreed on."""
    chance = random.Random(7)
    speech = bytes(range(160))
    for size in (0, 1, 3, 11, 12, 13, 159, 161, 1400, 8000):
        yield chance.randbytes(size)
    for size in (0, 1, 79, 81, 159, 161, 320, 1000, 4000):
        yield Packet(0, 100, 1000, 0xABCD, speech[:1] * size).serialise()
    for payload_type in (1, 3, 8, 9, 13, 72, 77, 101, 127):
        yield Packet(payload_type, 101, 1160, 0xABCD, speech).serialise()
    for payload in (b"", b"\xff", b"\xff\xff\xff\xff", b"\x01\x80\xff\xff" * 50):
        yield Packet(101, 102, 1320, 0xABCD, payload).serialise()
    good = Packet(0, 103, 1480, 0xABCD, speech).serialise()
    for first in (0x00, 0x40, 0xC0, 0x90, 0xA0, 0x8F, 0xBF):  # versions, extension, padding, CSRCs
        yield bytes([first]) + good[1:]
        yield bytes([first]) + good[1:14]
    for kind in range(192, 224):  # RTCP of every type, lengths that lie
        yield struct.pack("!BBHI", 0x81, kind, chance.randrange(65536), 0xABCD)
        yield struct.pack("!BBH", 0x9F, kind, 0xFFFF) + chance.randbytes(40)
