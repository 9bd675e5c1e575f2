"""Session descriptions that are well-formed and odd: streams, transports, attributes, orders.

Damaged text is refused by the first check; what reaches the library's depths is what can be read.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

_KINDS = ("audio",) * 6 + ("video", "image", "application", "message", "text", "AUDIO")
_TRANSPORTS = (
    *("RTP/AVP",) * 8, "RTP/SAVP", "RTP/SAVP", "RTP/SAVPF", "RTP/AVPF", "UDP/TLS/RTP/SAVP",
    "UDP/TLS/RTP/SAVPF", "udp/tls/rtp/savpf", "TCP/TLS/RTP/SAVP", "TCP/RTP/AVP", "TCP/DTLS/SCTP",
    "UDP/DTLS/SCTP", "DCCP/RTP/AVP", "udptl", "UDPTL", "UDP", "UDP/UDPTL", "TCP/MSRP", "RTP",
    "RTP/", "rtp/avp", "AVP", "UDP/TLS", "UDP/TLS/RTP", "RTP/SAVP/X", "DTLS/SCTP",
)  # fmt: skip
_PORTS = (0, 9, 40000, 40002, 40004, 65534, 65535, 1)
_FORMATS = ("0", "8", "9", "3", "18", "13", "96", "97", "101", "110", "127", "72", "t38", "*")
_KEY = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
_HASH = ":".join(["AB"] * 20)
_ATTRIBUTES = (
    "rtpmap:0 PCMU/8000", "rtpmap:8 PCMA/8000/1", "rtpmap:9 G722/8000", "rtpmap:101 X/0",
    "rtpmap:101 telephone-event/8000", "fmtp:101 0-15", "fmtp:101 0-16,32-49,66", "fmtp:0 x=y",
    "rtpmap:96 telephone-event/16000", "rtpmap:96 opus/48000/2", "rtpmap:97 PCMU/8000",
    "rtpmap:110 speex/8000", "fmtp:110 mode=any;mode=1", "rtpmap:96 L16/8000/9", "ptime:20",
    "ptime:0", "ptime:10", "ptime:200", "ptime:65535", "maxptime:20", "maxptime:0", "sendrecv",
    "sendonly", "recvonly", "inactive", "rtcp:40001", "rtcp:1 IN IP4 127.0.0.1", "rtcp:0",
    "rtcp:65535", "rtcp:9 IN IP4 0.0.0.0", "rtcp-mux", "rtcp-mux-only", "rtcp-rsize",
    f"crypto:1 AES_CM_128_HMAC_SHA1_80 {_KEY}", f"crypto:2 AES_CM_128_HMAC_SHA1_32 {_KEY}",
    f"crypto:1 AES_CM_128_HMAC_SHA1_80 {_KEY}|2^20|1:4",
    f"crypto:1 AES_CM_128_HMAC_SHA1_80 {_KEY}|",
    f"crypto:1 F8_128_HMAC_SHA1_80 {_KEY}", "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", "crypto:",
    "crypto:1", "crypto:x y z", f"crypto:99999999999 AES_CM_128_HMAC_SHA1_80 {_KEY}",
    f"crypto:1 AES_256_CM_HMAC_SHA1_80 {_KEY}", f"crypto:1 AEAD_AES_128_GCM {_KEY}",
    "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 200,
    f"crypto:1 AES_CM_128_HMAC_SHA1_80 {_KEY} UNENCRYPTED_SRTP KDR=1 FEC_ORDER=X WSH=0",
    f"fingerprint:sha-1 {_HASH}", "fingerprint:sha-256 00", "fingerprint:", "fingerprint:x",
    "setup:actpass", "setup:active", "setup:passive", "setup:holdconn", "setup:",
    "ice-ufrag:abcd", "ice-pwd:abcdefghijklmnopqrstuvwx", "ice-options:trickle", "ice-lite",
    "candidate:1 1 UDP 2130706431 127.0.0.1 40000 typ host",
    "candidate:1 1 udp 1 x.local 9 typ host", "candidate:", "end-of-candidates",
    "remote-candidates:1 127.0.0.1 9", "mid:0", "mid:audio",
    "group:BUNDLE 0 audio", "group:LS", "msid:- -", "msid-semantic: WMS *", "ssrc:1 cname:x",
    "ssrc:0", "ssrc:4294967295 cname:", "ssrc:", "ssrc:x y", "ssrc-group:FID 1 2",
    "extmap:1 urn:x", "rtcp-fb:* nack", "rtcp-fb:0 nack pli", "rtcp-fb:96 ccm fir", "rtcp-fb:",
    "rtcp-xr:voip-metrics", "silenceSupp:off - - - -", "T38FaxVersion:0", "label:1",
    "content:main", "curr:qos local none", "des:qos mandatory local sendrecv",
    "key-mgmt:mikey AQAF",
    "zrtp-hash:x",
    "bundle-only", "rtpmap:", "rtpmap:0", "fmtp:", "fmtp", "ptime:", "rtpmap:0 ", "x", "",
    ":", "a:",
)  # fmt: skip
_ADDRESSES = ("127.0.0.1",) * 12 + ("0.0.0.0", "127.0.0.9", "10.0.0.1", "::1", "255.255.255.255")
_TAIL = ("b=AS:64", "b=TIAS:0", "b=RS:0", "i=x", "k=prompt", "b=X", "b=:", "b=AS:")


def odd_description(chance: random.Random) -> str:
    """Make a description that can be read, and may hold anything that a peer can ask for."""
    lines = ["v=0", f"o=- {chance.randrange(9)} {chance.randrange(99)} IN IP4 127.0.0.1", "s=-"]
    has_address = chance.random() < 0.8
    if has_address:
        lines.append(_address(chance))
    lines.append("t=0 0")
    lines += _some(chance, _ATTRIBUTES, (0, 0, 0, 1, 3))
    for number in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        is_plain = number == 0 and chance.random() < 0.5
        lines += _stream(chance, is_plain=is_plain, needs_address=not has_address)
    return "\r\n".join(lines) + "\r\n"


def _stream(chance: random.Random, *, is_plain: bool, needs_address: bool) -> list[str]:
    formats = " ".join(chance.choices(_FORMATS, k=chance.choice((1, 2, 3, 3, 8))))
    line = (
        f"m={chance.choice(_KINDS)} {chance.choice(_PORTS)} {chance.choice(_TRANSPORTS)} {formats}"
    )
    if is_plain:
        line = f"m=audio 40000 {chance.choice(('RTP/AVP', 'RTP/SAVP'))} 0 8 101"
    lines = [line]
    if needs_address or chance.random() < 0.2:
        lines.append(_address(chance))
    lines += _some(chance, _TAIL, (0, 0, 0, 1, 2))
    if is_plain or chance.random() < 0.7:
        lines += ["a=rtpmap:101 telephone-event/8000", "a=rtpmap:96 X/8000", "a=rtpmap:97 X/8000"]
        lines += ["a=rtpmap:110 X/8000", "a=rtpmap:127 X/8000"]
    if chance.random() < 0.1:
        return lines + ["a=" + chance.choice(_ATTRIBUTES)] * chance.choice((9, 17, 64, 65, 100))
    return lines + _some(chance, _ATTRIBUTES, (0, 1, 2, 4, 8, 20))


def _address(chance: random.Random) -> str:
    address = chance.choice(_ADDRESSES)
    return f"c=IN IP{6 if ':' in address else 4} {address}"


def _some(chance: random.Random, known: Sequence[str], counts: Sequence[int]) -> list[str]:
    mark = "a=" if known is _ATTRIBUTES else ""
    return [mark + chance.choice(known) for _ in range(chance.choice(counts))]
