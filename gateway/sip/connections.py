"""Which TCP connections may stay: the library has 64 handles for all of them.  Pure.

A connection of an untrusted source stays for a few seconds without a whole message, a
while after its last one, and as long as it likes when a call was let in over it.  Where there are
too many, those go that have been silent for longest.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_MESSAGE_S = 5.0
"""A whole message must have come by then (RFC 3261 has no such limit; T1 * 10)."""
SILENCE_S = 32.0
"""64 * T1: no transaction of an untrusted source lasts longer."""
CALL_SILENCE_S = 300.0
"""A call's connection may go after that, when others want its place: the call is not its
connection (RFC 3261 section 18)."""
PER_SOURCE, UNTRUSTED, ALL = 6, 16, 36
"""The rest of PJ_IOQUEUE_MAX_HANDLES (64) is for the sockets that listen, for connections that we
open, and for those that were just closed: the library uses their handles again half a second later.
"""


@dataclass(slots=True)
class _Connection:
    source: str
    is_known: bool
    opened_s: float
    spoken_s: float | None = None
    has_call: bool = False

    def may_go(self, now_s: float) -> bool:
        return not self.has_call or now_s - self.last_s > CALL_SILENCE_S

    @property
    def last_s(self) -> float:
        return self.opened_s if self.spoken_s is None else self.spoken_s


class Connections:
    """Keeps count of connections that others have opened; keys are whatever tells them apart."""

    def __init__(self) -> None:
        self._open: dict[int, _Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, key: int, source: str, *, is_known: bool, now_s: float) -> list[int]:
        """Note a connection from an IP address; return those that must be closed for it."""
        self._open[key] = _Connection(source, is_known, now_s)
        closing: list[int] = []
        untrusted = [k for k, one in self._open.items() if not one.is_known]
        mine = [k for k in untrusted if self._open[k].source == source]
        for group, most in ((mine, PER_SOURCE), (untrusted, UNTRUSTED), (list(self._open), ALL)):
            left = [k for k in group if k not in closing]
            closing += self._superfluous(left, most, key, now_s)
        for gone in closing:
            self._open.pop(gone, None)
        return closing

    def spoke(self, key: int, now_s: float) -> None:
        """A whole message came over it."""
        if key in self._open:
            self._open[key].spoken_s = now_s

    def has_call(self, key: int) -> None:
        """Trust a connection: a call was admitted over it."""
        if key in self._open:
            self._open[key].has_call = True

    def closed(self, key: int) -> None:
        """It is gone."""
        self._open.pop(key, None)

    def overdue(self, now_s: float) -> list[int]:
        """Return those whose time is over, each once."""
        late = [key for key, one in self._open.items() if _is_late(one, now_s)]
        for key in late:
            del self._open[key]
        return late

    def _superfluous(self, keys: list[int], most: int, newest: int, now_s: float) -> list[int]:
        """Choose the connection to close: untrusted ones first, then the longest silent."""
        if len(keys) <= most:
            return []
        old = [key for key in keys if key != newest and self._open[key].may_go(now_s)]
        old.sort(key=lambda key: (self._open[key].is_known, self._open[key].last_s))
        return [*old, newest][: len(keys) - most]


def _is_late(one: _Connection, now_s: float) -> bool:
    if one.is_known or one.has_call:
        return False
    limit_s = FIRST_MESSAGE_S if one.spoken_s is None else SILENCE_S
    return now_s - one.last_s > limit_s
