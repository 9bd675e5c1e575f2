"""SIP messages as values: parse, build, and the header forms that calls need.  Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

# RFC 3261 section 7.3.3 and RFC 6665/3515: compact header names still seen in the field.
_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "k": "supported",
    "r": "refer-to",
    "o": "event",
    "x": "session-expires",
}
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
_URI = re.compile(r"sips?:(?:([^@;>]*)@)?(\[[^\]]+\]|[^:;>?]+)(?::(\d+))?", re.IGNORECASE)
_PARAMETER = re.compile(r'(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|[^,\s]+)')


class SipSyntaxError(ValueError):
    """A datagram that is not a SIP message; the text names the field at fault."""


@dataclass(frozen=True, slots=True)
class Message:
    """A SIP request (`method`, `uri`) or response (`status`, `reason`)."""

    headers: tuple[tuple[str, str], ...]
    """Name and value in order, names as they are sent."""
    body: bytes = b""
    method: str = ""
    """Empty in a response."""
    uri: str = ""
    status: int = 0
    """0 in a request."""
    reason: str = ""

    def get(self, name: str) -> str:
        """First value of a header, empty when absent."""
        values = self.get_all(name)
        return values[0] if values else ""

    def get_all(self, name: str) -> list[str]:
        """All values of a header in order; the long name finds compact forms too."""
        wanted = name.lower()
        return [value for key, value in self.headers if _long_name(key) == wanted]

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of CSeq; (0, "") when it is unreadable."""
        number, _, method = self.get("CSeq").partition(" ")
        return (int(number), method.strip()) if number.isdigit() else (0, "")

    @property
    def branch(self) -> str:
        """Branch of the topmost Via: the transaction it belongs to (RFC 3261 section 17)."""
        return parameter(self.get("Via"), "branch")

    def serialise(self) -> bytes:
        """Bytes for the wire; Content-Length is added here."""
        start = (
            f"{self.method} {self.uri} SIP/2.0"
            if self.method
            else f"SIP/2.0 {self.status} {self.reason}"
        )
        lines = [start, *(f"{name}: {value}" for name, value in self.headers)]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


@dataclass(frozen=True, slots=True)
class Credentials:
    """User and password for a digest challenge."""

    user: str
    password: str


def parse(datagram: bytes) -> Message:
    """Read one SIP message out of a datagram.

    Raises:
        SipSyntaxError: no start line, or a header line without a colon.
    """
    head, _, body = datagram.partition(b"\r\n\r\n")
    lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace")).split("\r\n")
    headers = tuple(_header(line) for line in lines[1:] if line)
    start = lines[0].split(" ", 2)
    if len(start) == 3 and start[0] == "SIP/2.0" and start[1].isdigit():
        message = Message(headers, status=int(start[1]), reason=start[2])
    elif len(start) == 3 and start[2] == "SIP/2.0":
        message = Message(headers, method=start[0], uri=start[1])
    else:
        raise SipSyntaxError(f"start line: {lines[0][:80]!r}")
    length = message.get("Content-Length")
    size = int(length) if length.isdigit() else len(body)
    return Message(
        headers, body[:size], message.method, message.uri, message.status, message.reason
    )


def respond(
    request: Message,
    status: int,
    reason: str,
    *,
    to_tag: str = "",
    extra: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
) -> Message:
    """Build a response: Via, From, To, Call-ID, CSeq are copied (RFC 3261 section 8.2.6)."""
    to = request.get("To")
    if to_tag and not parameter(to, "tag"):
        to = f"{to};tag={to_tag}"
    headers = [("Via", via) for via in request.get_all("Via")]
    headers += [("Record-Route", route) for route in request.get_all("Record-Route")]
    headers += [("From", request.get("From")), ("To", to)]
    headers += [("Call-ID", request.get("Call-ID")), ("CSeq", request.get("CSeq")), *extra]
    return Message(tuple(headers), body, status=status, reason=reason)


def uri_of(header: str) -> str:
    """The URI inside a From, To, Contact, Route or Refer-To value."""
    match = re.search(r"<([^>]*)>", header)
    return match.group(1) if match else header.split(";", 1)[0].strip()


def address_of(uri: str) -> tuple[str, int]:
    """Host and port of a SIP URI; port 5060 when it names none.

    Raises:
        SipSyntaxError: not a SIP URI.
    """
    match = _URI.match(uri)
    if match is None:
        raise SipSyntaxError(f"URI: {uri[:80]!r}")
    return match.group(2).strip("[]"), int(match.group(3) or 5060)


def parameter(header: str, name: str) -> str:
    """A `;name=value` parameter that stands outside the angle brackets, empty when absent."""
    outside = re.sub(r"<[^>]*>", "", header)
    match = re.search(rf";\s*{re.escape(name)}\s*=\s*([^;,\s]+)", outside, re.IGNORECASE)
    return match.group(1) if match else ""


def authorization(
    challenges: Sequence[str], credentials: Credentials, method: str, uri: str, cnonce: str
) -> str:
    """Answer the first digest challenge whose algorithm we know (RFC 8760 section 2.4).

    Args:
        challenges: values of `WWW-Authenticate` or `Proxy-Authenticate`, in order.
        credentials: our user and password.
        method: of the request that was challenged.
        uri: its Request-URI.
        cnonce: random text.

    Raises:
        SipSyntaxError: none of them is MD5 or SHA-256.
    """
    for challenge in challenges:
        asked = {key.lower(): value.strip('"') for key, value in _PARAMETER.findall(challenge)}
        algorithm = asked.get("algorithm", "MD5")
        if algorithm.upper() in _HASHES:
            return _answer_challenge(asked, algorithm, credentials, method, uri, cnonce)
    raise SipSyntaxError(f"no challenge that we can answer: {challenges}")


def _answer_challenge(
    asked: dict[str, str],
    algorithm: str,
    credentials: Credentials,
    method: str,
    uri: str,
    cnonce: str,
) -> str:
    """RFC 7616 section 3.4: with qop "auth", or the older form without qop."""

    def digest(text: str) -> str:
        # MD5 is the protocol's choice (RFC 2617), not ours.
        name = _HASHES[algorithm.upper()]
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = asked.get("realm", ""), asked.get("nonce", "")
    secret = digest(f"{credentials.user}:{realm}:{credentials.password}")
    action = digest(f"{method}:{uri}")
    fields = f'username="{credentials.user}", realm="{realm}", nonce="{nonce}", uri="{uri}"'
    if "auth" in asked.get("qop", "").replace(" ", "").split(","):
        response = digest(f"{secret}:{nonce}:00000001:{cnonce}:auth:{action}")
        fields += f', qop=auth, nc=00000001, cnonce="{cnonce}"'
    else:
        response = digest(f"{secret}:{nonce}:{action}")
    if "opaque" in asked:
        fields += f', opaque="{asked["opaque"]}"'
    return f'Digest {fields}, response="{response}", algorithm={algorithm}'


def _long_name(name: str) -> str:
    return _COMPACT.get(name.lower(), name.lower())


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise SipSyntaxError(f"header line: {line[:80]!r}")
    return name.strip(), value.strip()
