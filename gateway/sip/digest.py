"""Digest authentication of incoming calls (RFC 7616, RFC 8760), safe against replays.  Pure."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

_PAIR = re.compile(r'\b(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_STAMP = re.compile(r"[0-9a-f]{1,12}-[0-9a-f]{1,16}")
_NONCE_COUNT = re.compile(r"[0-9a-fA-F]{8}")
NONCE_LIFE_S = 60
NONCES_KEPT = 4096


class Verdict(Enum):
    """What the Authorization header proves."""

    ABSENT = "absent"
    STALE = "stale"
    WRONG = "wrong"
    RIGHT = "right"


class UsedNonces:
    """The highest count (nc) with which each nonce has been used: RFC 7616 section 3.4.

    Only nonces that came with the right password are kept, so that untrusted sources cannot fill
    the table; if known users do, the oldest are removed and count as stale from then on.
    """

    def __init__(self, kept: int = NONCES_KEPT) -> None:
        self._kept = kept
        self._highest: OrderedDict[str, int] = OrderedDict()
        self._forgotten_until_s = -1
        """Nonces issued up to then may have been used."""

    def __len__(self) -> int:
        return len(self._highest)

    def use(self, nonce: str, count: int) -> bool:
        """Note one use; False when this one, or a later one, has been seen."""
        issued_s = _issued_s(nonce)
        known = self._highest.get(nonce, 0)
        if not known and issued_s <= self._forgotten_until_s:
            return False
        if count <= known:
            return False
        self._highest[nonce] = count
        self._highest.move_to_end(nonce)
        while len(self._highest) > self._kept:
            forgotten, _ = self._highest.popitem(last=False)
            self._forgotten_until_s = max(self._forgotten_until_s, _issued_s(forgotten))
        return True


@dataclass(frozen=True, slots=True)
class DigestRealm:
    """Users of one realm.  A nonce is a signed time and number; only used ones are remembered."""

    realm: str
    users: Mapping[str, str]
    """Name = password."""
    key: bytes
    """Secret that signs nonces; random per process."""
    used: UsedNonces = field(default_factory=UsedNonces)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    """Makes every nonce another, so that each is counted for one client only."""

    def challenges(self, now_s: float, call: str, *, stale: bool = False) -> tuple[str, ...]:
        """Values of WWW-Authenticate; what answers them is good for one `call` only.

        The call is what both its requests have in common: source, Call-ID, Request-URI.

        RFC 8760 section 2.4 wants the strongest first, but many phones (and SIPp) read only the
        first header and know only MD5; those that know both choose for themselves.
        """
        nonce = self._nonce(f"{int(now_s):x}-{next(self.numbers):x}", call)
        tail = ", stale=true" if stale else ""
        return tuple(
            f'Digest realm="{self.realm}", nonce="{nonce}", algorithm={name}, qop="auth"{tail}'
            for name in ("MD5", "SHA-256")
        )

    def addressed(self, headers: Iterable[str]) -> str:
        """Choose among several Authorization headers: the one for this realm (RFC 3261 22.3)."""
        ours = (value for value in headers if _fields(value).get("realm") == self.realm)
        return next(ours, "")

    def verify(
        self, authorization: str, method: str, now_s: float, call: str
    ) -> tuple[Verdict, str]:
        """Check an Authorization header; returns the verdict and the user it names."""
        fields = _fields(authorization)
        user = fields.get("username", "")
        if fields.get("realm") != self.realm or "response" not in fields:
            return Verdict.ABSENT, user
        if not self._nonce_is_fresh(fields.get("nonce", ""), now_s, call):
            return Verdict.STALE, user
        password = self.users.get(user)
        expected = _response(fields, user, password or "", method)
        given = fields["response"].lower().encode()
        right = expected is not None and hmac.compare_digest(expected.encode(), given)
        if not right or password is None:
            return Verdict.WRONG, user
        fresh = self.used.use(fields["nonce"], _count(fields))
        return (Verdict.RIGHT if fresh else Verdict.STALE), user

    def _nonce(self, stamp: str, call: str) -> str:
        signed = f"{stamp}\n{call}".encode("utf-8", "surrogateescape")
        return f"{stamp}-{hmac.new(self.key, signed, hashlib.sha256).hexdigest()[:32]}"

    def _nonce_is_fresh(self, nonce: str, now_s: float, call: str) -> bool:
        stamp = nonce.rpartition("-")[0]
        if not _STAMP.fullmatch(stamp) or not 0 <= now_s - _issued_s(nonce) <= NONCE_LIFE_S:
            return False
        return hmac.compare_digest(self._nonce(stamp, call).encode(), nonce.encode())


def proved_uri(authorization: str) -> str:
    """Return the URI that an Authorization header was made for; empty without one."""
    return _fields(authorization).get("uri", "")


def _issued_s(nonce: str) -> int:
    return int(nonce.partition("-")[0], 16)


def _count(fields: Mapping[str, str]) -> int:
    """nc; without qop there is none, and the nonce is good for one request."""
    count = fields.get("nc", "") if "qop" in fields else "00000001"
    return int(count, 16) if _NONCE_COUNT.fullmatch(count) else 0


def _fields(authorization: str) -> dict[str, str]:
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() != "digest":
        return {}
    return {
        name.lower(): quoted.replace('\\"', '"') or plain
        for name, quoted, plain in _PAIR.findall(rest)
    }


def _response(fields: Mapping[str, str], user: str, password: str, method: str) -> str | None:
    """Expected response; None for an algorithm or qop we did not offer (RFC 7616 section 3.4)."""
    make = _HASHES.get(fields.get("algorithm", "MD5").upper())
    if make is None or fields.get("qop", "auth") != "auth":
        return None

    def digest(text: str) -> str:
        return make(text.encode()).hexdigest()

    secret = digest(f"{user}:{fields['realm']}:{password}")
    request = digest(f"{method}:{fields.get('uri', '')}")
    if "qop" in fields:
        middle = f"{fields.get('nonce')}:{fields.get('nc')}:{fields.get('cnonce')}:auth"
    else:
        middle = str(fields.get("nonce"))
    return digest(f"{secret}:{middle}:{request}")
