"""Client secrets: keys that live for minutes, for browsers; each opens sessions as it was set."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "ek_"
LEAST_S, MOST_S, DEFAULT_S = 10, 7200, 600
_KEPT = 10_000
"""The oldest are forgotten: a client that makes this number uses few of them."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """What a secret stands for."""

    expires_s: float
    """Monotonic."""
    agent: str
    """Empty = what the client names."""
    settings: Mapping[str, Any]


class ClientSecrets:
    """The secrets of this gateway, by their hashes; a restart forgets them.  Pure."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, ClientSecret] = OrderedDict()

    def make(self, lifetime_s: int, agent: str, settings: Mapping[str, Any], now_s: float) -> str:
        """Make a secret."""
        value = PREFIX + secrets.token_urlsafe(32)
        self._known[_digest(value)] = ClientSecret(now_s + lifetime_s, agent, settings)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return value

    def find(self, value: str, now_s: float) -> ClientSecret | None:
        """Return what a secret stands for; None = it is unknown or has expired."""
        digest = _digest(value)
        found = self._known.get(digest)
        if found is not None and found.expires_s <= now_s:
            del self._known[digest]
            return None
        return found


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
