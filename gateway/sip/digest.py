"""Digest authentication of incoming calls (RFC 7616, RFC 8760): stateless, pure functions."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

_PAIR = re.compile(r'\b(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_STAMP = re.compile(r"[0-9a-f]{1,12}")
NONCE_LIFE_S = 60


class Verdict(Enum):
    """What the Authorization header proves."""

    ABSENT = "absent"
    STALE = "stale"
    WRONG = "wrong"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class DigestRealm:
    """Users of one realm.  Nonces are signed times, so nothing is remembered between requests."""

    realm: str
    users: Mapping[str, str]
    """Name = password."""
    key: bytes
    """Secret that signs nonces; random per process."""

    def challenges(self, now_s: float, *, stale: bool = False) -> tuple[str, ...]:
        """Values of WWW-Authenticate.

        RFC 8760 section 2.4 wants the strongest first, but many phones (and SIPp) read only the
        first header and know only MD5; those that know both choose for themselves.
        """
        nonce = self._nonce(int(now_s))
        tail = ", stale=true" if stale else ""
        return tuple(
            f'Digest realm="{self.realm}", nonce="{nonce}", algorithm={name}, qop="auth"{tail}'
            for name in ("MD5", "SHA-256")
        )

    def verify(self, authorization: str, method: str, now_s: float) -> tuple[Verdict, str]:
        """Check an Authorization header; returns the verdict and the user it names."""
        fields = _fields(authorization)
        user = fields.get("username", "")
        if fields.get("realm") != self.realm or "response" not in fields:
            return Verdict.ABSENT, user
        if not self._nonce_is_fresh(fields.get("nonce", ""), now_s):
            return Verdict.STALE, user
        password = self.users.get(user)
        expected = _response(fields, user, password or "", method)
        given = fields["response"].lower().encode()
        right = expected is not None and hmac.compare_digest(expected.encode(), given)
        return (Verdict.RIGHT if right and password is not None else Verdict.WRONG), user

    def _nonce(self, now_s: int) -> str:
        stamp = f"{now_s:x}"
        return f"{stamp}-{hmac.new(self.key, stamp.encode(), hashlib.sha256).hexdigest()[:32]}"

    def _nonce_is_fresh(self, nonce: str, now_s: float) -> bool:
        stamp = nonce.partition("-")[0]
        if not _STAMP.fullmatch(stamp):
            return False
        issued = int(stamp, 16)
        if not 0 <= now_s - issued <= NONCE_LIFE_S:
            return False
        return hmac.compare_digest(self._nonce(issued).encode(), nonce.encode())


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
