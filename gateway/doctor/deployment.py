"""What the checks look at: the configuration, and the gateway that runs with it, if one does."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from gateway.api_keys import own_key
from gateway.config.models import GatewayConfig, HttpConfig

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the HTTP API."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    """Empty when it was no JSON object."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One installation.  Reads only; the test call is the one thing that leaves a trace."""

    config: GatewayConfig
    config_path: Path | None = None
    is_running: bool = False
    """A gateway answers at `[http]`."""
    call_to: str = ""
    """SIP URI of the test call; empty = straight to the gateway's own port."""
    may_call: bool = True
    may_ask_engines: bool = True
    """False: nothing is sent to speech engines and language models."""

    def get(self, path: str) -> Reply:
        """Ask the running gateway, with the API key, if there are any.

        Raises:
            OSError: it does not answer.
        """
        return http_get(self.config.http, path, with_key=True)


def is_gateway_running(http: HttpConfig) -> bool:
    """Tell whether a gateway answers at this address."""
    try:
        reply = http_get(http, "/healthz", with_key=False)
    except OSError:
        return False
    return reply.status == 200 and reply.body.get("status") == "ok"


def http_get(http: HttpConfig, path: str, *, with_key: bool, host: str = "") -> Reply:
    """GET one path of the API, straight, without any proxy.

    Args:
        http: where it listens.
        path: starts with a slash.
        with_key: send the API key, if we know one.
        host: another address than the one it is bound to.

    Raises:
        OSError: nobody answers, or not in HTTP.
    """
    headers: Mapping[str, str] = {}
    if with_key and (key := api_key(http)):
        headers = {"Authorization": f"Bearer {key}"}
    address = host or ANY_ADDRESS.get(http.bind, http.bind)
    connection = HTTPConnection(address, http.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        return Reply(answer.status, _json_object(answer.read()))
    except HTTPException as error:
        raise OSError(f"no HTTP answer from {address}:{http.port}: {error!r}") from error
    finally:
        connection.close()


def api_key(http: HttpConfig) -> str | None:
    """Give the key to ask with; None = none is needed, or only hashes are known here."""
    return own_key([entry.get_secret_value() for entry in http.api_keys], os.environ)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
