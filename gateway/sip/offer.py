"""Session descriptions (RFC 8866) in requests: what they offer, and which the library cannot take.

Pure.  The library trusts a description more than it should: without an address it reads through a
null pointer, and every audio line costs two of its 64 handles, beyond which it aborts the process.
"""

from __future__ import annotations

import re

from gateway.sip.message import SipRequest, with_plain_ends

MAX_AUDIO_LINES = 2
"""The same audio with and without SRTP, say."""
MAX_MEDIA_LINES = 8
_STATIC_PAYLOADS = {
    "0": "PCMU",
    "3": "GSM",
    "4": "G723",
    "8": "PCMA",
    "9": "G722",
    "18": "G729",
}
_LINE = re.compile(r"[a-z]=[^\x00-\x08\x0a-\x1f]*")
_ADDRESS = re.compile(r"c=IN IP[46] \S+\s*")
_PART = re.compile(r"content-type\s*:\s*application/sdp", re.IGNORECASE)


def descriptions(request: SipRequest) -> list[str]:
    """Every session description that a request carries, in its body or in a part of that."""
    kind, body = request.header("content-type").lower(), request.body
    if not body.strip():
        return []
    if "multipart" not in kind:
        return [body] if "sdp" in kind else []
    parts = with_plain_ends(body).split("\n--")
    return [part.partition("\n\n")[2] for part in parts if _PART.search(part)]


def structure_fault(sdp: str) -> str:
    """Say what about a description the library cannot take; empty for nothing."""
    sections: list[list[str]] = [[]]
    for line in with_plain_ends(sdp).rstrip("\n").split("\n"):
        if not _LINE.fullmatch(line):
            return f"bad line: {line[:80]!r}"
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    has_address = [any(_ADDRESS.fullmatch(line) for line in section) for section in sections]
    if not has_address[0] and not all(has_address[1:]):
        return "no address (c=)"
    if len(sections) - 1 > MAX_MEDIA_LINES:
        return f"more than {MAX_MEDIA_LINES} media lines"
    if audio_lines(sdp) > MAX_AUDIO_LINES:
        return f"more than {MAX_AUDIO_LINES} audio lines"
    return ""


def audio_lines(sdp: str) -> int:
    """Count the audio streams of a description."""
    lines = with_plain_ends(sdp).split("\n")
    return sum(line.lower().startswith("m=audio") for line in lines)


def offered_codecs(sdp: str) -> list[str] | None:
    """Upper-case names of the audio codecs an SDP offers, in order; None when there is no audio.

    Raises:
        ValueError: an audio line that cannot be read.
    """
    payloads: list[str] | None = None
    names = dict(_STATIC_PAYLOADS)
    for line in with_plain_ends(sdp).split("\n"):
        if line.startswith("m="):
            if payloads is not None:
                break
            if line.startswith("m=audio"):
                payloads = _payloads(line)
        elif line.startswith("a=rtpmap:") and payloads is not None:
            number, _, codec = line[9:].partition(" ")
            names[number.strip()] = codec.split("/")[0].strip().upper()
    if payloads is None:
        return None
    return [names.get(number, f"PT{number}") for number in payloads]


def _payloads(line: str) -> list[str]:
    parts = line.split()
    port = parts[1].split("/")[0] if len(parts) > 1 else ""
    if len(parts) < 4 or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"bad media line: {line[:80]!r}")
    return parts[3:]
