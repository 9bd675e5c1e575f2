"""Addresses of host names: looked up on threads of their own, and believed for a while."""

from __future__ import annotations

import socket
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from gateway.threads import BlockingPool

_T = TypeVar("_T", bound=Hashable)
_AT_ONCE = 3
_KEPT_S = 3600.0
_MOST = 64


class Lookups:
    """Asks name servers; what they leave unanswered holds up nothing else.  Loop thread only."""

    def __init__(self, name: str) -> None:
        """Accept the name of its threads."""
        self._pool = BlockingPool(name, _AT_ONCE)

    async def addresses(self, host: str) -> list[str]:
        """Find the IPv4 addresses of a host.

        Raises:
            OSError: it has none, or no server answers.
            ValueError: no host name at all.
        """
        found = await self._pool.call(_look_up, host)
        return list(dict.fromkeys(found))


SERVERS = Lookups("servers")
"""For what the configuration names; what callers name must not be in its way."""


class Recent(Generic[_T]):
    """Addresses of one name: those of the last answer, and of others of the last hour.  Pure.

    A name with many addresses is often answered with some of them, other ones each time.
    """

    def __init__(self) -> None:
        self._seen_s: dict[_T, float] = {}

    def found(self, addresses: Iterable[_T], now_s: float) -> tuple[_T, ...]:
        """Accept an answer; return all addresses that are believed, the answer's first."""
        answer = dict.fromkeys(addresses, now_s)
        old = {a: at for a, at in self._seen_s.items() if now_s - at < _KEPT_S and a not in answer}
        self._seen_s = dict(list((answer | old).items())[:_MOST])
        return tuple(self._seen_s)


def _look_up(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    return [str(entry[4][0]) for entry in found]
