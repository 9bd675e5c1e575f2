"""Who may use the API: loopback peers only, or whoever has a key.  The decision is pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.errors import error_response

log = structlog.get_logger(__name__)

OPEN_PATHS = frozenset({"/healthz", "/docs", "/openapi.json"})
"""They hold nothing of this installation; `/docs` must open in a browser, which has no key."""
MAX_BODY_BYTES = 64 * 1024
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served."""

    status: int
    code: str
    message: str


class Access:
    """Decides over one request from its peer address and headers."""

    def __init__(self, api_keys: Sequence[str]) -> None:
        self._digests = [_digest(key) for key in api_keys]

    def refusal(self, peer: str, headers: Mapping[str, str]) -> Refusal | None:
        """Decide.

        Args:
            peer: address at the other end of the TCP connection.
            headers: lower-case names.

        Returns:
            None when the request may pass.
        """
        return self._key_refusal(headers) if self._digests else _loopback_refusal(peer, headers)

    def _key_refusal(self, headers: Mapping[str, str]) -> Refusal | None:
        key = _given_key(headers)
        if key is None:
            return Refusal(401, "key_required", "send Authorization: Bearer KEY or X-API-Key: KEY")
        given = _digest(key)
        matches = [hmac.compare_digest(given, known) for known in self._digests]
        return None if any(matches) else Refusal(401, "key_unknown", "this API key is not valid")


class AccessGate:
    """ASGI layer in front of everything: access first, then the size of the body."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        refusal = self._decide(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        peer = (scope.get("client") or ("", 0))[0]
        log.info("http_refused", code=refusal.code, peer=peer, path=scope["path"])
        response = error_response(refusal.status, refusal.code, refusal.message)
        if refusal.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        await response(scope, receive, send)

    def _decide(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        if scope["path"] not in OPEN_PATHS:
            peer = (scope.get("client") or ("", 0))[0]
            refusal = self._access.refusal(peer, headers)
            if refusal is not None:
                return refusal
        return _body_refusal(headers)


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


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
