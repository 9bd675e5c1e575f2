"""A SIP request as text: start line, headers, body.  Pure and lenient."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# RFC 3261 section 7.3.3: compact header names.
_COMPACT = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "e": "content-encoding",
    "f": "from", "i": "call-id", "k": "supported", "l": "content-length", "m": "contact",
    "o": "event", "r": "refer-to", "s": "subject", "t": "to", "u": "allow-events", "v": "via",
    "x": "session-expires", "d": "request-disposition", "j": "reject-contact",
}  # fmt: skip
_BLANK_LINE = re.compile(r"(?:\r\n|(?<!\r)\n|\r(?!\n)){2}")


@dataclass(frozen=True, slots=True)
class SipRequest:
    """One request as received."""

    method: str
    uri: str
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lower-case long names; several header lines of one name in order."""
    body: str = ""
    to_tag: str = ""
    """As the SIP library has read it (`received`): where parsers differ, its reading counts."""

    def header(self, name: str) -> str:
        """First value of a header, empty when absent."""
        values = self.headers.get(name.lower(), ())
        return values[0] if values else ""

    @property
    def is_initial(self) -> bool:
        """True when it starts a dialog: no tag in To (RFC 3261 section 12.2)."""
        return not self.to_tag

    def first_headers(self) -> dict[str, str]:
        """Each header's first value, for the dialplan."""
        return {name: values[0] for name, values in self.headers.items()}


def parse_request(text: str) -> SipRequest:
    """Read a request.

    Raises:
        ValueError: not a SIP request; says what is wrong.
    """
    first, headers, body = _taken_apart(text)
    parts = first.split(" ")
    if len(parts) != 3 or parts[2].strip() != "SIP/2.0":
        raise ValueError(f"bad request line: {first[:80]!r}")
    return SipRequest(parts[0], parts[1], headers, body)


def parse_answer(text: str) -> SipRequest:
    """Read a response, as a message without method whose `uri` is the status.

    Raises:
        ValueError: not a SIP response.
    """
    first, headers, body = _taken_apart(text)
    version, _, rest = first.partition(" ")
    if version != "SIP/2.0":
        raise ValueError(f"bad status line: {first[:80]!r}")
    return SipRequest("", rest.partition(" ")[0], headers, body)


def _taken_apart(text: str) -> tuple[str, dict[str, tuple[str, ...]], str]:
    blank = _BLANK_LINE.search(text)
    head, body = (text[: blank.start()], text[blank.end() :]) if blank else (text, "")
    head = with_plain_ends(head)
    first, *lines = head.split("\n")
    return first, header_lines(lines), body


def with_plain_ends(text: str) -> str:
    """Return lines with one kind of end; a bare CR ends one for the library, too."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def header_lines(lines: list[str]) -> dict[str, tuple[str, ...]]:
    """Parse header lines: long lower-case names, values in order."""
    unfolded: list[str] = []
    for line in lines:
        if line[:1] in " \t" and unfolded:
            unfolded[-1] += " " + line.strip()
        else:
            unfolded.append(line)
    headers: dict[str, list[str]] = {}
    for line in unfolded:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(long_name(name), []).append(value.strip())
    return {name: tuple(values) for name, values in headers.items()}


def long_name(name: str) -> str:
    """Return a header's name in lower case, spelled out."""
    key = name.strip().lower()
    return _COMPACT.get(key, key)


def ambiguity(request: SipRequest) -> str:
    """Return what two readers could read in two ways, empty for nothing.

    What we judge and what the library does must be the same message.
    """
    for name in ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type"):
        if len(request.headers.get(name, ())) > 1:
            return f"more than one {name.title()}"  # RFC 3261 section 7.3.1
    length = request.header("content-length")
    if length and not (length.isascii() and length.isdecimal() and len(length) < 10):
        return "Content-Length is no number"
    return ""
