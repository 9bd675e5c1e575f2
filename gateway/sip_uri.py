"""SIP and tel URIs and name-addrs, as headers carry them.  Pure.  Rejects what is ambiguous.

RFC 3261 sections 19.1, 20.10 and 25.1; tel URIs: RFC 3966; parameters within the user part: RFC
4694 (npdi, rn), RFC 4904 (tgrp, trunk-context).  What is not a URI has no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

_HOST = re.compile(r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])"
                   r"(?::(?P<port>[0-9]{1,5}))?", re.ASCII)  # fmt: skip
_SCHEME = re.compile(r"\s*(sips?|tel):", re.IGNORECASE)
_ESCAPE_FAULT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_VISUAL = re.compile(r"[-.() ]")
_DIALLED = re.compile(r"\+?[0-9A-Fa-f*#]+", re.ASCII)
_MEMBER = re.compile(r'(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^",<])+', re.DOTALL)
MAX_LENGTH = 4096
"""A longer value is not read."""


@dataclass(frozen=True, slots=True)
class Uri:
    """A SIP, SIPS or tel URI."""

    scheme: str
    user: str
    """Unescaped, without parameters and password."""
    host: str = ""
    """Lower case; empty in a tel URI."""
    port: int = 0
    """0 = none is named."""
    user_parameters: Mapping[str, str] = field(default_factory=dict)
    """Those within the user part, such as `rn`; of a tel URI all there are."""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def number(self) -> str:
        """What was dialled: of telephone numbers without visual separators, else the user."""
        is_number = (
            self.scheme == "tel"
            or self.user.startswith("+")
            or self.parameters.get("user", "").lower() == "phone"
        )
        bare = _VISUAL.sub("", self.user)
        return bare if is_number and _DIALLED.fullmatch(bare) else self.user


@dataclass(frozen=True, slots=True)
class NameAddr:
    """A URI with what stands around it."""

    uri: Uri
    display_name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of the header, such as `tag`."""


def parse_uri(text: str) -> Uri:
    """Read a URI.

    Raises:
        ValueError: it is none; says why.
    """
    found = _SCHEME.match(text)
    if found is None or len(text) > MAX_LENGTH:
        raise ValueError(f"no SIP or tel URI: {text[:80]!r}")
    scheme, rest = found[1].lower(), text[found.end() :].strip()
    if scheme == "tel":
        number, *parameters = rest.split(";")
        if not number:
            raise ValueError(f"no number: {text[:80]!r}")
        return Uri(scheme, _unescaped(number), user_parameters=_parameters(parameters))
    userinfo, at, place = rest.rpartition("@")
    if "@" in userinfo:  # neither users nor parameters may hold one
        raise ValueError(f"more than one @: {text[:80]!r}")
    user, *inner = userinfo.split(":", 1)[0].split(";")
    if at and not user:
        raise ValueError(f"no user before @: {text[:80]!r}")
    hostport, *outer = place.partition("?")[0].split(";")
    server = _HOST.fullmatch(hostport.strip())
    port = int(server["port"] or 0) if server else 0
    if server is None or port > 65535:
        raise ValueError(f"bad host: {text[:80]!r}")
    host = server["host"].lower()
    return Uri(scheme, _unescaped(user), host, port, _parameters(inner), _parameters(outer))


def parse_name_addr(text: str) -> NameAddr:
    """Read one value of From, To, Contact, Diversion, P-Asserted-Identity and the like.

    Raises:
        ValueError: it is none; says why.
    """
    text = text.strip()
    if len(text) > MAX_LENGTH:
        raise ValueError("too long")
    quoted = _QUOTED.match(text)
    name, rest = ("", text)
    if quoted:
        name, rest = _PAIR.sub(r"\1", quoted[1]), text[quoted.end() :].lstrip()
        if not rest.startswith("<"):
            raise ValueError(f"no URI in < > after the name: {text[:80]!r}")
    front, bracket, rest = rest.partition("<") if "<" in rest else ("", "", rest)
    if not bracket:  # an addr-spec: parameters after the host are the header's
        user, at, tail = rest.rpartition("@")
        host, *parameters = tail.split(";")
        return NameAddr(parse_uri(f"{user}{at}{host}"), "", _parameters(parameters))
    if any(mark in front for mark in '">;,'):
        raise ValueError(f"bad display name: {text[:80]!r}")
    uri, closing, tail = rest.partition(">")
    junk, *parameters = tail.split(";")
    if not closing or junk.strip():
        raise ValueError(f"no end of the URI: {text[:80]!r}")
    return NameAddr(parse_uri(uri), name or front.strip(), _parameters(parameters))


def members(values: Iterable[str]) -> Iterator[str]:
    """Split header lines at the commas between their values, not at those within them."""
    for value in values:
        for found in _MEMBER.finditer(value[:MAX_LENGTH]):
            if text := found[0].strip():
                yield text


def first_number(values: Iterable[str]) -> str:
    """Return the number of the first value that is a name-addr with a user; empty when none is."""
    for text in members(values):
        try:
            number = parse_name_addr(text).uri.number
        except ValueError:
            continue
        if number:
            return number
    return ""


def number_of(value: str) -> str:
    """Return the number of one name-addr; empty when it is none or has no user."""
    try:
        return parse_name_addr(value).uri.number
    except ValueError:
        return ""


def uri_number(uri: str) -> str:
    """Return the number of a URI; empty when it is none or has no user."""
    try:
        return parse_uri(uri).number
    except ValueError:
        return ""


def _unescaped(text: str) -> str:
    if _ESCAPE_FAULT.search(text) or any(mark in text for mark in ' \t<>"'):
        raise ValueError(f"bad user: {text[:80]!r}")
    raw = unquote_to_bytes(text).decode("utf-8", "replace")
    if _UNPRINTABLE.search(raw):
        raise ValueError(f"control characters in the user: {text[:80]!r}")
    return raw


def _parameters(parts: Iterable[str]) -> dict[str, str]:
    """Read `name=value` parts; the first of a name counts."""
    found: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition("=")
        if name.strip():
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found
