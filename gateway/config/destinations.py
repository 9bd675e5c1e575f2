"""Where calls may go: patterns of `outgoing.allow` and `outgoing.deny`, and what fits them.  Pure.

Numbers over a trunk and addresses are two notions.  A number costs money wherever it leads, so
only patterns that say numbers open numbers: `sip:*@HOST` does not, when HOST is a trunk's server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.sip_uri import parse_uri

_PORTS = {"sip": "5060", "sips": "5061"}
_NUMBER = re.compile(r"\+?[0-9*#]{1,32}", re.ASCII)
# RFC 3261 section 19.1.  Of its parameters only those that do not change where a request goes: with
# `maddr`, `lr` or a header such as Route, an allowed address would be a way to any other.
_URI = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[A-Za-z0-9\-_.!~*'()&=+$,;?/%#]{1,128})@)?"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:;(?:transport=(?:udp|tcp|tls)|user=phone))*",
    re.ASCII | re.IGNORECASE,
)
_NUMBER_PATTERN = re.compile(r"\+?[0-9*#]+", re.ASCII)
_URI_PATTERN = re.compile(
    r"sip:(?P<user>[^@\s<>\"]*)@(?P<host>[A-Za-z0-9.*-]+)(?::(?P<port>[0-9*]{1,5}))?",
    re.ASCII | re.IGNORECASE,
)
_VISUAL = re.compile(r"[-.() ]")
_KEYS = re.compile(r"\+?[0-9A-Da-d*#]*[0-9][0-9A-Da-d*#]*", re.ASCII)
"""What an exchange could take for a number."""
_INTERNATIONAL = ("00", "011")
"""What is dialled for the + of a number abroad."""

Verdict = Literal["allowed", "not allowed", "denied"]


@dataclass(frozen=True, slots=True)
class Destination:
    """A target, reduced to what decides where a call goes."""

    address: str
    """`user@host:port`; the user part is empty when there is none."""
    number: str = ""
    """The number, when a trunk or no host at all is asked to reach it."""
    is_dialled: bool = False
    """It is at a trunk's server, or nowhere, and may be taken for a number there."""
    dialled: tuple[str, ...] = ()
    """All numbers in it, in the ways in which they could be written."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One pattern; what must match the whole."""

    number: re.Pattern[str] | None = None
    """Of a number over a trunk."""
    address: re.Pattern[str] | None = None
    """Of an address."""
    numbers_at: re.Pattern[str] | None = None
    """Of an address at a trunk whose user is dialled: what it says of numbers, if anything."""


class Destinations:
    """What `outgoing.allow` allows and `outgoing.deny` does not."""

    def __init__(
        self, allow: Iterable[str], servers: Mapping[str, str], deny: Iterable[str] = ()
    ) -> None:
        """Compile the patterns, which must be good, with the trunks' servers by trunk name."""
        self._servers = {name: _with_port(server.lower()) for name, server in servers.items()}
        self._allow = [_compiled(pattern) for pattern in allow]
        self._deny = [_compiled(pattern) for pattern in deny]

    def allow(self, target: str, trunk: str = "") -> bool:
        """Return whether a call may go to a SIP URI, or over this trunk to a number."""
        return self.verdict(target, trunk) == "allowed"

    def verdict(self, target: str, trunk: str = "") -> Verdict:
        """Return the same with the reason; what is denied stays denied, whatever is allowed."""
        found = self._destination(target, trunk)
        if found is None:
            return "not allowed"
        if any(_denies(pattern, found) for pattern in self._deny):
            return "denied"
        return "allowed" if any(_allows(p, found) for p in self._allow) else "not allowed"

    def _destination(self, target: str, trunk: str) -> Destination | None:
        if _NUMBER.fullmatch(target):
            address = f"{target}@{self._servers.get(trunk, '')}"
            return Destination(address, target, is_dialled=True, dialled=_ways(target))
        found = _URI.fullmatch(target)
        if found is None:
            return None
        port = found["port"] or _PORTS[found["scheme"].lower()]
        server = f"{found['host'].lower()}:{int(port)}"
        user = found["user"] or ""
        numbers = _numbers_in(target)
        is_dialled = server in self._servers.values() and (numbers is None or bool(numbers))
        number = user if is_dialled and _NUMBER.fullmatch(user) else ""
        return Destination(f"{user}@{server}", number, is_dialled, numbers or ())


def is_number(text: str) -> bool:
    """Return whether this is a number that a trunk can be asked for."""
    return _NUMBER.fullmatch(text) is not None


def opens_names_only(pattern: str, server: str) -> bool:
    """Return whether a pattern looks as if it opened every number at a trunk's server.

    It opens the names there.
    """
    found = _URI_PATTERN.fullmatch(pattern)
    compiled = _compiled(pattern)
    if found is None or compiled.address is None or compiled.numbers_at is not None:
        return False
    return compiled.address.fullmatch(f"0@{_with_port(server.lower())}") is not None


def pattern_fault(pattern: str) -> str:
    """Describe what is wrong with a pattern; empty for a good one."""
    if _NUMBER_PATTERN.fullmatch(pattern) or _URI_PATTERN.fullmatch(pattern):
        return ""
    return (
        f'must be a number such as "+49*" or an address such as "sip:*@pbx.example",'
        f' with * for any digits or characters, not "{pattern}"'
    )


def _allows(pattern: _Pattern, found: Destination) -> bool:
    if found.is_dialled:
        by_number = pattern.number is not None and pattern.number.fullmatch(found.number)
        by_address = pattern.numbers_at is not None and pattern.numbers_at.fullmatch(found.address)
        return bool(by_number or by_address)
    return pattern.address is not None and pattern.address.fullmatch(found.address) is not None


def _denies(pattern: _Pattern, found: Destination) -> bool:
    if pattern.number is not None:
        return any(pattern.number.fullmatch(number) for number in found.dialled)
    return pattern.address is not None and pattern.address.fullmatch(found.address) is not None


def _numbers_in(target: str) -> tuple[str, ...] | None:
    """List what could be dialled: the user and where it is routed to; None = it cannot be read."""
    try:
        uri = parse_uri(target)
    except ValueError:
        return None
    bare = (_VISUAL.sub("", text) for text in (uri.user, uri.user_parameters.get("rn", "")))
    return tuple(way for text in bare if _KEYS.fullmatch(text) for way in _ways(text))


def _ways(number: str) -> tuple[str, ...]:
    """Return a number as it is, and with + for the prefixes that mean it."""
    found = [f"+{number.removeprefix(p)}" for p in _INTERNATIONAL if number.startswith(p)]
    return (number, *found)


def _compiled(pattern: str) -> _Pattern:
    """Read a pattern.

    A `*` stands for digits in a number, or for itself in the whole of the pattern ("*21#"): the
    keys * and # switch call forwarding.  It never stands for an @, or for a colon in a host.
    """
    found = _URI_PATTERN.fullmatch(pattern)
    if found is None:
        whole = f"{re.escape(pattern)}|{_wild(pattern, '[0-9]*')}"
        return _Pattern(number=re.compile(whole))
    host = _wild(f"{found['host'].lower()}:{found['port'] or _PORTS['sip']}", "[^@:]*")
    user = found["user"]
    address = re.compile(f"{_wild(user, '[^@]*')}@{host}")
    says_numbers = "*" not in user or (
        _NUMBER_PATTERN.fullmatch(user) and any(map(str.isdecimal, user))
    )
    numbers_at = re.compile(f"{_wild(user, '[0-9]*')}@{host}") if says_numbers else None
    return _Pattern(address=address, numbers_at=numbers_at)


def _wild(pattern: str, star: str) -> str:
    return star.join(re.escape(part) for part in pattern.split("*"))


def _with_port(server: str) -> str:
    return server if ":" in server else f"{server}:{_PORTS['sip']}"
