"""Decide which clients may use the API: loopback peers only, or those with a key.  Pure."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.allowance import LogLimiter, SourceAllowances
from gateway.api_keys import KeyRing, name_of
from gateway.http.errors import error_response

log = structlog.get_logger(__name__)

OPEN_PATHS = frozenset({"/healthz"})
"""For everybody: it says that something answers, and no more."""
DESCRIPTION_PATHS = frozenset({"/", "/docs", "/openapi.json"})
"""They hold nothing of this installation: open on this machine, in a browser, which has no key."""
METRICS_PATHS = frozenset({"/metrics", "/readyz"})
MAX_BODY_BYTES = 64 * 1024
WRONG_KEYS_PER_MINUTE = 10
"""Per peer; then only keys that cannot be guessed, or were right before, are looked at."""
_PROVEN_KEYS = 1024
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_PROXY_HEADER = re.compile(
    r"(x-)?forwarded(-.*)?|via|(.*-)?(client|connecting|real)-?ip|(x-)?(remote|proxyuser)-.*"
    r"|x-(original|rewrite|client|cluster|real|scheme|host|url-scheme|ssl|auth-request|consumer)(-.*)?"
    r"|x-(envoy|azure|amz|amzn|appengine|goog|cloud-trace|ms-client|akamai|kong|tyk|traefik)-.*"
    r"|x-(nginx|haproxy|varnish|squid|arr|ngrok|vercel|nf|bluecoat|cache|heroku)(-.*)?"
    r"|(cf|cdn|fly|fastly|akamai|tailscale|proxy|ssl|rndr|front-end|surrogate)-.*|early-data"
)
"""What proxies, load balancers, tunnels and content networks add; "_" is taken for "-"."""
_LOCAL_HOST = re.compile(r"(localhost|[0-9.]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served."""

    status: int
    code: str
    message: str
    closes: bool = False
    """What follows on this connection could be taken for a request."""


class Access:
    """Decides over one request from its peer address, method, path and headers."""

    def __init__(
        self,
        api_keys: Sequence[str],
        read_keys: Sequence[str] = (),
        metrics_keys: Sequence[str] = (),
    ) -> None:
        self._acting = KeyRing(api_keys)
        self._reading = KeyRing(read_keys)
        self._measuring = KeyRing(metrics_keys)
        self._wrong = SourceAllowances(WRONG_KEYS_PER_MINUTE, 60.0)
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()
        """The latest right keys, each with the source that has sent it."""

    def refusal(
        self,
        peer: str,
        headers: Mapping[str, str],
        method: str = "GET",
        now_s: float = 0.0,
        *,
        path: str = "/v1/calls",
        http_version: str = "1.1",
    ) -> Refusal | None:
        """Decide.

        Args:
            peer: address at the other end of the TCP connection.
            headers: lower-case names.
            method: of the request, upper case.
            now_s: monotonic.
            path: without a query.
            http_version: such as "1.1".

        Returns:
            None when the request may pass.
        """
        local = _loopback_refusal(peer, headers, http_version)
        if not self._has_keys:
            return local
        if local is None and path in DESCRIPTION_PATHS:
            return None
        key = _given_key(headers)
        if key is None:
            return Refusal(401, "key_required", "send Authorization: Bearer KEY or X-API-Key: KEY")
        if not self._wrong.has_one(peer, now_s) and not self._is_trusted(peer, key):
            told = "too many wrong API keys from your address"
            return Refusal(429, "too_many_wrong_keys", told)
        return self._judge(peer, key, method, path, now_s)

    def may_act(self, headers: Mapping[str, str]) -> bool:
        """Return whether a client that was let in may do more than read."""
        key = _given_key(headers)
        return not self._has_keys or (key is not None and self._acting.holds(key))

    def caller(self, headers: Mapping[str, str]) -> str:
        """Name the client, for the log: a key by its hash, never the key."""
        key = _given_key(headers)
        if key is None or not self._has_keys:
            return "this machine, without a key"
        return name_of(key)

    @property
    def _has_keys(self) -> bool:
        return bool(self._acting or self._reading or self._measuring)

    def _judge(self, peer: str, key: str, method: str, path: str, now_s: float) -> Refusal | None:
        if self._acting.holds(key):
            refusal = None
        elif self._reading.holds(key):
            refusal = _reader_refusal(method)
        elif self._measuring.holds(key):
            refusal = _metrics_refusal(method, path)
        else:
            self._wrong.spend(peer, now_s)
            return Refusal(401, "key_unknown", "this API key is not valid")
        self._proven[peer, name_of(key)] = None
        self._proven.move_to_end((peer, name_of(key)))
        if len(self._proven) > _PROVEN_KEYS:
            self._proven.popitem(last=False)
        return refusal

    def _is_trusted(self, peer: str, key: str) -> bool:
        """Look at a key where many wrong ones came from: a proxy may stand there for others too."""
        if (peer, name_of(key)) in self._proven:
            return True
        return any(
            ring.holds_strong(key) for ring in (self._acting, self._reading, self._measuring)
        )


class AccessGate:
    """ASGI layer in front of everything: access first, then the size of the body."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._log_limiter = LogLimiter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request; one that acts leaves a line in the log, served or not."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # no rule decides over them: none is let in
                await send({"type": "websocket.close", "code": 1008})
            return
        headers = _all_of(Headers(scope=scope))
        refusal = self._decide(scope, headers)
        if refusal is not None:
            self._log_refusal(scope, refusal)
            response = error_response(refusal.status, refusal.code, refusal.message)
            if refusal.status == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
            if refusal.closes:
                response.headers["Connection"] = "close"
            await response(scope, receive, send)
        elif scope["method"] in _READING:
            scope.setdefault("state", {})["may_act"] = self._access.may_act(headers)
            await self._app(scope, receive, send)
        else:
            await self._act(scope, headers, receive, send)

    async def _act(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> None:
        """Serve a request that acts, and log its client, its purpose and its outcome."""
        status, is_whole = 0, True

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def received() -> Message:
            nonlocal is_whole
            message = await receive()
            if message["type"] == "http.disconnect" and not status:
                is_whole = False
            return message

        try:
            await self._app(scope, received, noted)
        finally:
            # A request that broke off asked for nothing, and may come at any rate.
            if is_whole or self._log_limiter.passes("broken_off", time.monotonic()):
                log.info(
                    "api_request", method=scope["method"], path=scope["path"][:200],
                    status=status, by=self._access.caller(headers), peer=_peer_of(scope),
                )  # fmt: skip

    def _log_refusal(self, scope: Scope, refusal: Refusal) -> None:
        if self._log_limiter.passes(refusal.code, time.monotonic()):
            held_back = self._log_limiter.held_back(refusal.code)
            log.info(
                "http_refused", code=refusal.code, method=scope["method"],
                path=scope["path"][:200], peer=_peer_of(scope), not_logged=held_back,
            )  # fmt: skip

    def _decide(self, scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
        if scope["path"] not in OPEN_PATHS:
            refusal = self._access.refusal(
                _peer_of(scope), headers, scope["method"], time.monotonic(),
                path=scope["path"], http_version=scope["http_version"],
            )  # fmt: skip
            if refusal is not None:
                return refusal
        return _body_refusal(headers)


def _all_of(headers: Headers) -> dict[str, str]:
    """Join the values of each name: what is sent twice is judged as a whole."""
    return {name: ", ".join(headers.getlist(name)) for name in headers}


def _peer_of(scope: Scope) -> str:
    return str((scope.get("client") or ("", 0))[0])


def _reader_refusal(method: str) -> Refusal | None:
    if method in _READING:
        return None
    return Refusal(403, "read_only_key", "this API key may look, but not act")


def _metrics_refusal(method: str, path: str) -> Refusal | None:
    if method in _READING and path in METRICS_PATHS:
        return None
    return Refusal(403, "metrics_only_key", "this API key may read /metrics and /readyz only")


def _loopback_refusal(peer: str, headers: Mapping[str, str], http_version: str) -> Refusal | None:
    """Pass loopback peers, unless a browser or a proxy acts for another client."""
    if not _is_loopback(peer):
        told = "only this machine may use the API until [http] api_keys is set"
        return Refusal(403, "loopback_only", told)
    # A plain `proxy_pass` of nginx adds nothing, but speaks HTTP/1.0, as no client of today does.
    if http_version == "1.0" or _is_proxied(headers):
        told = "behind a proxy, and for HTTP/1.0, the API needs [http] api_keys"
        return Refusal(403, "proxied", told)
    host = headers.get("host", "")
    if not _is_local_name(host):  # a foreign name that was made to resolve to us
        return Refusal(403, "foreign_host", "the Host header must name this machine's loopback")
    if _is_from_elsewhere(headers, host):
        return Refusal(403, "foreign_origin", "requests from other web sites are not served")
    return None


def _is_proxied(headers: Mapping[str, str]) -> bool:
    return any(_PROXY_HEADER.fullmatch(name.replace("_", "-")) for name in headers)


def _is_from_elsewhere(headers: Mapping[str, str], host: str) -> bool:
    """Return whether a browser says that another site made it ask (Fetch Metadata, Origin)."""
    if headers.get("sec-fetch-site", "none").lower() not in {"none", "same-origin"}:
        return True
    for name in ("origin", "referer"):
        said = headers.get(name)
        try:
            if said is not None and urlsplit(said).netloc.lower() != host.lower():
                return True
        except ValueError:
            return True
    return False


def _body_refusal(headers: Mapping[str, str]) -> Refusal | None:
    if "transfer-encoding" in headers:
        is_double = "content-length" in headers  # two parties may see two requests in it
        return Refusal(
            411, "length_required", "send a Content-Length, not chunks", closes=is_double
        )
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
    """Take names and addresses of this machine, and nothing that two could read in two ways."""
    found = _LOCAL_HOST.fullmatch(host)
    if found is None:
        return False
    return found[1].lower() == "localhost" or _is_loopback(found[1].strip("[]"))
