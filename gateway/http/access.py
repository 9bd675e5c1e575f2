"""Who may use the API: loopback peers only, or whoever has a key.  The decision is pure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.allowance import Muffler, SourceAllowances
from gateway.api_keys import KeyRing
from gateway.http.errors import error_response

log = structlog.get_logger(__name__)

OPEN_PATHS = frozenset({"/healthz", "/docs", "/openapi.json"})
"""They hold nothing of this installation; `/docs` must open in a browser, which has no key."""
MAX_BODY_BYTES = 64 * 1024
WRONG_KEYS_PER_MINUTE = 10
"""Per peer; then only keys that cannot be guessed are looked at for a while."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served."""

    status: int
    code: str
    message: str


class Access:
    """Decides over one request from its peer address, method and headers."""

    def __init__(self, api_keys: Sequence[str], read_keys: Sequence[str] = ()) -> None:
        self._acting = KeyRing(api_keys)
        self._reading = KeyRing(read_keys)
        self._wrong = SourceAllowances(WRONG_KEYS_PER_MINUTE, 60.0)

    def refusal(
        self, peer: str, headers: Mapping[str, str], method: str = "GET", now_s: float = 0.0
    ) -> Refusal | None:
        """Decide.

        Args:
            peer: address at the other end of the TCP connection.
            headers: lower-case names.
            method: of the request, upper case.
            now_s: monotonic.

        Returns:
            None when the request may pass.
        """
        if not (self._acting or self._reading):
            return _loopback_refusal(peer, headers)
        key = _given_key(headers)
        if key is None:
            return Refusal(401, "key_required", "send Authorization: Bearer KEY or X-API-Key: KEY")
        if not self._wrong.has_one(peer, now_s):
            return self._suspect_refusal(key, method)
        if self._acting.holds(key):
            return None
        if self._reading.holds(key):
            return _reader_refusal(method)
        self._wrong.spend(peer, now_s)
        return Refusal(401, "key_unknown", "this API key is not valid")

    def _suspect_refusal(self, key: str, method: str) -> Refusal | None:
        """Decide where many wrong keys came from, which may be a proxy that others use too."""
        if self._acting.holds_strong(key):
            return None
        if self._reading.holds_strong(key):
            return _reader_refusal(method)
        return Refusal(429, "too_many_wrong_keys", "too many wrong API keys from your address")


class AccessGate:
    """ASGI layer in front of everything: access first, then the size of the body."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._muffler = Muffler()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        refusal = self._decide(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        peer = (scope.get("client") or ("", 0))[0]
        if self._muffler.passes(refusal.code, time.monotonic()):
            held_back = self._muffler.held_back(refusal.code)
            path = scope["path"][:200]
            log.info("http_refused", code=refusal.code, peer=peer, path=path, not_logged=held_back)
        response = error_response(refusal.status, refusal.code, refusal.message)
        if refusal.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        await response(scope, receive, send)

    def _decide(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        if scope["path"] not in OPEN_PATHS:
            peer = (scope.get("client") or ("", 0))[0]
            refusal = self._access.refusal(peer, headers, scope["method"], time.monotonic())
            if refusal is not None:
                return refusal
        return _body_refusal(headers)


def _reader_refusal(method: str) -> Refusal | None:
    if method in _READING:
        return None
    return Refusal(403, "read_only_key", "this API key may look, but not act")


def _loopback_refusal(peer: str, headers: Mapping[str, str]) -> Refusal | None:
    """Pass loopback peers, unless a browser or a proxy acts for somebody else."""
    if not _is_loopback(peer):
        told = "only this machine may use the API until [http] api_keys is set"
        return Refusal(403, "loopback_only", told)
    if any(name in headers for name in _FORWARDED):
        told = "behind a proxy the API needs [http] api_keys"
        return Refusal(403, "proxied", told)
    host = headers.get("host", "")
    if not _is_local_name(host):  # a foreign name that was made to resolve to us
        return Refusal(403, "foreign_host", "the Host header must name this machine's loopback")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return Refusal(403, "foreign_origin", "requests from other web sites are not served")
    return None


def _body_refusal(headers: Mapping[str, str]) -> Refusal | None:
    if "transfer-encoding" in headers:
        return Refusal(411, "length_required", "send a Content-Length, not chunks")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:10]) > MAX_BODY_BYTES:
        return Refusal(413, "body_too_large", f"at most {MAX_BODY_BYTES} bytes")
    return None


def _given_key(headers: Mapping[str, str]) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return headers.get("x-api-key") or None


def _is_loopback(address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def _is_local_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)
