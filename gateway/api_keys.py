"""API keys: how they are made, kept as hashes, and compared.  Pure but for the random source.

A key of ours has 256 random bits: a plain SHA-256 is enough to keep it by, as there is nothing to
guess.  (A password that people choose would need a slow, salted hash.)
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping

PREFIX = "vgw_"
"""Lets secret scanners find a key that was published by mistake."""
KEY_ENV = "GATEWAY_API_KEY"
"""Where our own commands look for the key when the configuration holds only hashes."""
GUESSABLE_LETTERS = 12
"""A plain key shorter than this may be found by trying over a network."""
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


def new_key() -> str:
    """Make a key."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """Return what the configuration may hold instead of a key."""
    return f"sha256:{_digest(key).hex()}"


def is_hash(entry: str) -> bool:
    """Return whether a configured entry is a hash; everything else is a plain key."""
    return _HASH.fullmatch(entry) is not None


def own_key(entries: Iterable[str], environ: Mapping[str, str]) -> str | None:
    """Return the key that our own commands send; None = the configuration has only hashes."""
    named = environ.get(KEY_ENV)
    return named or next((entry for entry in entries if not is_hash(entry)), None)


def name_of(key: str) -> str:
    """Return what a log may call a key: the beginning of its hash, as the configuration has it."""
    return hash_of(key)[: len("sha256:") + 8]


class KeyRing:
    """Some keys, of which only digests are kept."""

    def __init__(self, entries: Iterable[str]) -> None:
        entries = tuple(entries)
        self._hashed = [bytes.fromhex(e.partition(":")[2]) for e in entries if is_hash(e)]
        self._plain = [_digest(entry) for entry in entries if not is_hash(entry)]

    def __bool__(self) -> bool:
        return bool(self._hashed or self._plain)

    def holds(self, key: str) -> bool:
        """Compare with all, in a time that tells nothing."""
        return _is_in(key, self._hashed + self._plain)

    def holds_strong(self, key: str) -> bool:
        """The same for keys that cannot be guessed: kept as hashes (made by us), or long."""
        is_long = len(key) >= GUESSABLE_LETTERS
        return _is_in(key, self._hashed + self._plain if is_long else self._hashed)


def _is_in(key: str, digests: list[bytes]) -> bool:
    given = _digest(key)
    matches = [hmac.compare_digest(given, known) for known in digests]  # all of them, always
    return any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
