"""Session descriptions (RFC 8866) in requests: what they offer, and which the library cannot take.

Pure.  The library trusts a description more than it should: without an address it reads through a
null pointer, with DTLS it calls through one, a name it looks up while all calls stand still, and
every audio line costs two of its 64 handles, beyond which it aborts the process.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.sip.message import SipRequest, header_lines, with_plain_ends

MAX_AUDIO_LINES = 2
"""The same audio with and without SRTP, say."""
MAX_MEDIA_LINES = 8
MAX_LINES = 400
MAX_ATTRIBUTES = 64
"""For each stream and for the session; the library has room for 68."""
MAX_CRYPTO_LINES = 16
"""For each stream (RFC 4568); beyond 64 the library writes over what is behind its table."""
MAX_FORMATS = 32
"""For each stream; the library leaves out what is more, attributes of it find nothing."""
MAX_PARTS = 8
"""Of a multipart body (RFC 2046)."""
MAX_PACKET_MS = 1000
"""The library computes lengths of buffers from it without a look (CVE-2026-41416)."""
AUDIO_TRANSPORTS = ("RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF")
"""No DTLS (RFC 5764): the library was built without it and does not check."""
PLAIN = ("RTP/AVP", "RTP/AVPF")
ENCRYPTED = ("RTP/SAVP", "RTP/SAVPF")
CRYPTO_SUITES = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
}
"""Suites of SDES (RFC 4568, RFC 6188) that the library has, and bytes of their key and salt."""
_STATIC_PAYLOADS = {
    "0": "PCMU",
    "3": "GSM",
    "4": "G723",
    "8": "PCMA",
    "9": "G722",
    "18": "G729",
}
_LINE = re.compile(r"[a-z]=[^\x00-\x08\x0a-\x1f]*")
_MEDIA = re.compile(r"m=([\w-]+) +(\d{1,5})(?:/\d{1,5})? +([\w/-]+)((?: +[^\s]+)*)\s*")
_ADDRESS = re.compile(r"c=IN IP([46]) (\S+)\s*")
_PACKET_TIME = re.compile(r"a=(?:max)?ptime:\s*(\d+)", re.IGNORECASE)
_CRYPTO = re.compile(
    r"a=crypto:\d{1,9} +(\S+) +inline:([A-Za-z0-9+/]+={0,2})(?:\|\S*)?(?: .*)?", re.I
)
_RTCP = re.compile(r"a=rtcp:\d{1,5}(?: IN IP([46]) (\S+))?\s*")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a description is not taken."""

    text: str
    status: int = 400
    """488 where it is well-formed, but describes what is not served."""


@dataclass(frozen=True, slots=True)
class MediaLine:
    """One m= line."""

    kind: str
    port: int
    transport: str
    """In capitals."""
    formats: tuple[str, ...]


def descriptions(request: SipRequest) -> list[str]:
    """Every session description that a request carries, in its body or in a part of that.

    All that follows the headers counts: over UDP the library reads to the end of the datagram,
    whatever Content-Length says.
    """
    kind, body = request.header("content-type").lower(), request.body
    if not body.strip():
        return []
    if "multipart" not in kind:
        return [body] if "sdp" in kind else []
    return [content for kind, content in _parts(body) if "sdp" in kind or content[:2] == "v="]


def too_many_parts(request: SipRequest) -> bool:
    """Return whether a multipart body has too many parts."""
    is_multipart = "multipart" in request.header("content-type").lower()
    return is_multipart and len(_parts(request.body)) > MAX_PARTS + 2  # preamble and epilogue


def _parts(body: str) -> list[tuple[str, str]]:
    """Content-Type and content of every part, whatever the boundary is."""
    found = []
    for part in with_plain_ends(body).split("\n--"):
        head, _, content = part.partition("\n\n")
        kinds = header_lines(head.split("\n")[1:]).get("content-type", ())
        found.append((" ".join(kinds).lower(), content))
    return found


def structure_fault(sdp: str) -> Fault | None:
    """Return what about a description the library cannot take; None for nothing."""
    sections = _sections(sdp)
    lines = [line for section in sections for line in section]
    if len(lines) > MAX_LINES:
        return Fault(f"more than {MAX_LINES} lines")
    for line in lines:
        if not _LINE.fullmatch(line):
            return Fault(f"bad line: {line[:80]!r}")
    return _missing_address(sections) or _too_much(sections) or _unserved(sections)


def _sections(sdp: str) -> list[list[str]]:
    """Lines of the session, then of each stream."""
    sections: list[list[str]] = [[]]
    for line in with_plain_ends(sdp).rstrip("\n").split("\n"):
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    return sections


def _missing_address(sections: list[list[str]]) -> Fault | None:
    has_address = [any(_ADDRESS.fullmatch(line) for line in section) for section in sections]
    if not has_address[0] and not all(has_address[1:]):
        return Fault("no address (c=)")
    return None


def _too_much(sections: list[list[str]]) -> Fault | None:
    """Count what the library keeps in tables of fixed length."""
    if len(sections) - 1 > MAX_MEDIA_LINES:
        return Fault(f"more than {MAX_MEDIA_LINES} media lines")
    audio = sum(section[0].lower().startswith("m=audio") for section in sections if section)
    if audio > MAX_AUDIO_LINES:
        return Fault(f"more than {MAX_AUDIO_LINES} audio lines")
    for section in sections:
        if sum(line.startswith("a=") for line in section) > MAX_ATTRIBUTES:
            return Fault(f"more than {MAX_ATTRIBUTES} attributes")
        if sum(line.lower().startswith("a=crypto") for line in section) > MAX_CRYPTO_LINES:
            return Fault(f"more than {MAX_CRYPTO_LINES} crypto lines")
    return None


def _unserved(sections: list[list[str]]) -> Fault | None:
    """Judge addresses and transports."""
    for section in sections:
        for line in section:
            found = _bad_value(line) if line[0] in "ca" else None
            if line[0] == "m":
                found = _bad_media(line)
            if found:
                return found
    keys = [fault for section in sections[1:] for fault in _bad_keys(section)]
    return keys[0] if keys and all(keys) else None  # no stream could be taken


def _bad_keys(section: list[str]) -> Iterator[Fault | None]:
    """Judge the keys of an audio stream; None = it has what it needs.

    The library would answer 406 to what cannot be used, and to one such key among good ones; suites
    that it does not know it passes over.
    """
    media = media_line(section[0])
    if media is None or media.kind != "audio" or not media.port:
        return
    yield _key_fault(section) if media.transport in ENCRYPTED else None


def _key_fault(section: list[str]) -> Fault | None:
    keys = [is_usable_key(line) for line in section if line.lower().startswith("a=crypto")]
    if None in keys:
        return Fault("bad key of SRTP", 488)
    return None if True in keys else Fault("SRTP without a key that can be used", 488)


def is_usable_key(line: str) -> bool | None:
    """Judge a crypto line: False for a suite that the library does not know, None for a bad one."""
    found = _CRYPTO.fullmatch(line)
    size = CRYPTO_SUITES.get(found[1].upper()) if found else 0
    if not found or (size and _decoded_size(found[2]) != size):
        return None
    return size is not None


def _decoded_size(text: str) -> int:
    """Bytes of base64 text, which may go without its padding."""
    bare = text.rstrip("=")
    return len(bare) * 3 // 4


def _bad_value(line: str) -> Fault | None:
    """Refuse what the library would look up (whatever is no plain address), or compute with."""
    if line.startswith("c="):
        found = _ADDRESS.fullmatch(line)
        return None if found and _is_host(*found.groups()) else Fault(f"bad address: {line!r}", 488)
    if line.lower().startswith("a=rtcp:"):
        found = _RTCP.fullmatch(line)
        version, host = found.groups() if found else ("4", "")
        if not found or (host is not None and not _is_host(version, host)):
            return Fault(f"bad address: {line[:80]!r}", 488)
    packet_time = _PACKET_TIME.match(line)
    if packet_time and int(packet_time[1][:9]) > MAX_PACKET_MS:
        return Fault(f"packet time above {MAX_PACKET_MS} ms")
    return None


def _is_host(version: str, text: str) -> bool:
    """Return whether it is the address of one host: no name, no group of hosts."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    is_group = address.is_multicast or text == "255.255.255.255"
    return address.version == int(version) and not is_group


def _bad_media(line: str) -> Fault | None:
    media = media_line(line)
    if media is None:
        return Fault(f"bad media line: {line[:80]!r}")
    if len(media.formats) > MAX_FORMATS:
        return Fault(f"more than {MAX_FORMATS} formats")
    if media.kind == "audio" and media.transport not in AUDIO_TRANSPORTS:
        return Fault(f"transport {media.transport[:40]} is not served", 488)
    return None


def media_line(line: str) -> MediaLine | None:
    """Read an m= line; None for what is none."""
    found = _MEDIA.fullmatch(line)
    if not found or int(found[2]) > 65535 or not found[4].strip():
        return None
    return MediaLine(found[1].lower(), int(found[2]), found[3].upper(), tuple(found[4].split()))


def audio_lines(sdp: str) -> int:
    """Count the audio streams of a description."""
    lines = with_plain_ends(sdp).split("\n")
    return sum(line.lower().startswith("m=audio") for line in lines)


def offered_codecs(sdp: str) -> list[str] | None:
    """Upper-case names of the audio codecs an SDP offers, in order; None when there is no audio.

    The library takes the first stream that it can; those that are declined (port 0) count only
    where there are no others.

    Raises:
        ValueError: an audio line that cannot be read.
    """
    _, *streams = _sections(sdp)
    found = [(_media(s[0]), s) for s in streams if s[0].lower().startswith("m=audio")]
    if not found:
        return None
    wanted = [pair for pair in found if pair[0].port] or found
    codecs = [name for media, section in wanted for name in _codecs(media, section)]
    return list(dict.fromkeys(codecs))


def expected_codec(request: SipRequest, ours: Sequence[str]) -> str:
    """Return the codec that the library will answer an offer with: the first that both have.

    Empty where there is no offer that can be read.
    """
    found = descriptions(request)
    try:
        offered = (offered_codecs(found[0]) if found else None) or []
    except ValueError:
        return ""
    return next((codec for codec in offered if codec in ours), "")


def _media(line: str) -> MediaLine:
    media = media_line(line)
    if media is None:
        raise ValueError(f"bad media line: {line[:80]!r}")
    return media


def _codecs(media: MediaLine, section: list[str]) -> Iterator[str]:
    names = dict(_STATIC_PAYLOADS)
    for line in section:
        if line.startswith("a=rtpmap:"):
            number, _, codec = line[9:].partition(" ")
            names[number.strip()] = codec.split("/")[0].strip().upper()
    yield from (names.get(number, f"PT{number}") for number in media.formats)
