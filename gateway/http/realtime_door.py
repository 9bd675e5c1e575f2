"""RealtimeDoor: which clients may open a realtime session, and the way to a process that serves it.

The request is judged here; then the connection itself is passed on.  No frame of a session, and no
audio, is read in this process.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, cast
from urllib.parse import parse_qs, urlsplit

import structlog

from gateway.allowance import LogLimiter, SourceAllowances
from gateway.config.models import RealtimeConfig
from gateway.http.access import Access, Refusal
from gateway.http.client_secrets import PREFIX, ClientSecrets

log = structlog.get_logger(__name__)

PATHS = frozenset({"/v1/realtime", "/realtime"})
KEY_PROTOCOL = "openai-insecure-api-key."
_RETRY_S = 5
Outcome = Literal["passed", "absent"]


@dataclass(frozen=True, slots=True)
class Admitted:
    """A client that may have a session."""

    head: str
    source: str
    agent: str
    intent: str
    is_beta: bool
    settings: Mapping[str, Any] | None


Pass = Callable[[Admitted, int], Outcome]
"""Passes a connection, a file descriptor, to a process that serves it."""


class RealtimeDoor:
    """Judges requests for a session."""

    def __init__(
        self, config: RealtimeConfig, access: Access, secrets: ClientSecrets, hand_over: Pass
    ) -> None:
        """Prepare.

        Args:
            config: `[realtime]`.
            access: the keys of the API.
            secrets: those of browsers.
            hand_over: passes a connection on.
        """
        self._config = config
        self._access = access
        self._secrets = secrets
        self.hand_over = hand_over
        self._arrivals = SourceAllowances(config.new_sessions_per_minute, 60.0)
        self._log_limiter = LogLimiter()

    def judge(
        self, peer: str, target: str, headers: Mapping[str, str], now_s: float
    ) -> Admitted | Refusal:
        """Decide over one request.

        Args:
            peer: host:port of the client.
            target: of the request.
            headers: lower-case names.
            now_s: monotonic.
        """
        url = urlsplit(target)
        if not self._config.enabled or url.path not in PATHS:
            return Refusal(404, "not_found", "there is no WebSocket here; see [realtime] enabled")
        host = peer.rpartition(":")[0]
        if not self._arrivals.spend(host, now_s):
            return Refusal(429, "rate_limit_exceeded", "too many sessions from your address")
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if "call_id" in query:
            told = "this version has no sessions beside a call (call_id)"
            return Refusal(404, "call_id_not_supported", told)
        found = self._client(host, headers, now_s)
        if isinstance(found, Refusal):
            return found
        agent, settings = found
        return Admitted(
            head="", source=peer, agent=agent or query.get("model", ""),
            intent=query.get("intent", ""),
            is_beta="realtime=v1" in headers.get("openai-beta", ""), settings=settings,
        )  # fmt: skip

    def _client(
        self, host: str, headers: Mapping[str, str], now_s: float
    ) -> Refusal | tuple[str, Mapping[str, Any] | None]:
        key = _key_of(headers)
        if key is not None and key.startswith(PREFIX):
            secret = self._secrets.find(key, now_s)
            if secret is None:
                told = "this client secret is unknown or has expired: make another one"
                return Refusal(401, "invalid_api_key", told)
            return self._foreign(headers) or (secret.agent, secret.settings)
        judged = dict(headers)
        if key is not None:
            judged["authorization"] = f"Bearer {key}"
        is_allowed = self._is_allowed(headers.get("origin"))
        if is_allowed:  # the site was named: it is not foreign
            for name in ("origin", "referer", "sec-fetch-site"):
                judged.pop(name, None)
        # A session acts: a key that may only look opens none.
        refusal = self._access.refusal(host, judged, "POST", now_s, path="/v1/realtime")
        return refusal or self._foreign(headers) or ("", None)

    def _foreign(self, headers: Mapping[str, str]) -> Refusal | None:
        origin = headers.get("origin")
        if origin is None or self._is_allowed(origin):
            return None
        if urlsplit(origin).netloc.lower() == headers.get("host", "").lower():
            return None
        told = f"pages of {origin[:100]} may not open sessions; see [realtime] allowed_origins"
        return Refusal(403, "foreign_origin", told)

    def _is_allowed(self, origin: str | None) -> bool:
        known = self._config.allowed_origins
        return origin is not None and ("*" in known or origin.lower() in map(str.lower, known))

    def note(self, refusal: Refusal, peer: str) -> None:
        """Log a refused client, within reason."""
        if self._log_limiter.passes(refusal.code, time.monotonic()):
            held_back = self._log_limiter.held_back(refusal.code)
            log.info("session_refused", code=refusal.code, peer=peer, not_logged=held_back)


def _key_of(headers: Mapping[str, str]) -> str | None:
    offered = [each.strip() for each in headers.get("sec-websocket-protocol", "").split(",")]
    for each in offered:
        if each.startswith(KEY_PROTOCOL):
            return each.removeprefix(KEY_PROTOCOL)
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return headers.get("x-api-key") or headers.get("api-key")


def upgrade_protocol(door: RealtimeDoor) -> type[asyncio.Protocol]:
    """Make the class that uvicorn gives a connection to which asks for a WebSocket."""

    class Upgrade(_Upgrade):
        """One such connection."""

        the_door = door

    return Upgrade


class _Upgrade(asyncio.Protocol):
    the_door: RealtimeDoor

    def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:  # noqa: ANN401
        """Take what uvicorn passes; nothing of it is needed."""
        del config, server_state, app_state
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by uvicorn."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Called once by uvicorn, with the head of the request."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        peer = ":".join(map(str, (transport.get_extra_info("peername") or ("", 0))[:2]))
        head = data.decode("latin-1")
        target, headers = _parsed(head)
        found = self.the_door.judge(peer, target, headers, time.monotonic())
        refusal = found if isinstance(found, Refusal) else self._pass_on(transport, found, head)
        if refusal is not None:
            self.the_door.note(refusal, peer)
            transport.write(_answer(refusal))
        transport.close()

    def _pass_on(self, transport: asyncio.Transport, found: Admitted, head: str) -> Refusal | None:
        connection = transport.get_extra_info("socket")
        passed = Admitted(
            head, found.source, found.agent, found.intent, found.is_beta, found.settings
        )
        if self.the_door.hand_over(passed, connection.fileno()) == "passed":
            return None
        return Refusal(503, "starting", "no worker serves sessions now")


def _parsed(head: str) -> tuple[str, dict[str, str]]:
    """Return target and headers of a request that uvicorn has read and written out again."""
    first, *lines = head.split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, found, value = line.partition(":")
        if found:
            name = name.strip().lower()
            headers[name] = (
                f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
            )
    return [*first.split(" "), ""][1], headers


def _answer(refusal: Refusal) -> bytes:
    body = json.dumps({
        "error": {
            "type": "invalid_request_error", "code": refusal.code, "message": refusal.message,
            "param": None,
        }
    }).encode()  # fmt: skip
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        lines.append("WWW-Authenticate: Bearer")
    if refusal.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        lines.append(f"Retry-After: {_RETRY_S}")
    return "\r\n".join([*lines, "", ""]).encode() + body
