"""Where calls may go: patterns of `outgoing.allow`, and whether a target fits one.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Destination:
    """A target, reduced to what decides where a call goes."""

    address: str
    """`user@host:port`; the user part is empty when there is none."""
    number: str = ""
    """The number, when a trunk or no host at all is asked to reach it."""


class Destinations:
    """What `outgoing.allow` allows."""

    def __init__(self, allow: Iterable[str], servers: Mapping[str, str]) -> None:
        """Take the patterns, which must be good, and the servers of the trunks by trunk name."""
        self._servers = {name: _with_port(server.lower()) for name, server in servers.items()}
        self._patterns = [_compiled(pattern) for pattern in allow]

    def allow(self, target: str, trunk: str = "") -> bool:
        """Say whether a call may go to a SIP URI, or over this trunk to a number."""
        found = self._destination(target, trunk)
        return found is not None and any(
            wanted.fullmatch(found.number if of_numbers else found.address)
            for of_numbers, wanted in self._patterns
        )

    def _destination(self, target: str, trunk: str) -> Destination | None:
        if _NUMBER.fullmatch(target):
            return Destination(f"{target}@{self._servers.get(trunk, '')}", target)
        found = _URI.fullmatch(target)
        if found is None:
            return None
        port = found["port"] or _PORTS[found["scheme"].lower()]
        server = f"{found['host'].lower()}:{int(port)}"
        user = found["user"] or ""
        is_number = server in self._servers.values() and _NUMBER.fullmatch(user)
        return Destination(f"{user}@{server}", user if is_number else "")


def pattern_fault(pattern: str) -> str:
    """Say what is wrong with a pattern, empty for a good one."""
    if _NUMBER_PATTERN.fullmatch(pattern) or _URI_PATTERN.fullmatch(pattern):
        return ""
    return (
        f'must be a number such as "+49*" or an address such as "sip:*@pbx.example",'
        f' with * for any digits or characters, not "{pattern}"'
    )


def _compiled(pattern: str) -> tuple[bool, re.Pattern[str]]:
    """Give (is it about numbers, the whole of what must match).

    A `*` stands for digits in a number, or for itself in the whole of the pattern ("*21#"): the
    keys * and # switch call forwarding.  It never stands for an @, or for a colon in a host.
    """
    found = _URI_PATTERN.fullmatch(pattern)
    if found is None:
        return True, re.compile(f"{re.escape(pattern)}|{_wild(pattern, '[0-9]*').pattern}")
    host = f"{found['host'].lower()}:{found['port'] or _PORTS['sip']}"
    user = _wild(found["user"], "[^@]*").pattern
    return False, re.compile(f"{user}@{_wild(host, '[^@:]*').pattern}")


def _wild(pattern: str, star: str) -> re.Pattern[str]:
    return re.compile(star.join(re.escape(part) for part in pattern.split("*")))


def _with_port(server: str) -> str:
    return server if ":" in server else f"{server}:{_PORTS['sip']}"
