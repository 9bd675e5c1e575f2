"""What the checks look at: the configuration, the running gateway, and what is to run here."""

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
from gateway.config.port_assignment import (
    PortAssignment,
    automatic_recognizers,
    decoders_of,
    port_assignments,
)
from gateway.process.deployment import worker_count
from gateway.setup.engines import helpers_of
from gateway.telemetry.process import usable_cores

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
    """Return whether a gateway answers at this address."""
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
        OSError: there is no answer, or none in HTTP.
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
    """Return the key to ask with; None = none is needed, or only hashes are known here."""
    return own_key([entry.get_secret_value() for entry in http.api_keys], os.environ)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Plan:
    """What this host is to run."""

    workers: int
    slots: int
    """Calls of all of them."""
    recognizers: int
    """Processes; 0 = no agent recognizes here."""
    assignments: tuple[PortAssignment, ...]
    """Ports that workers may take: with an edge twice as many as workers."""
    runs_edge: bool = False
    """Kamailio is started here."""
    joins: str = ""
    """Address of the edge on another host that the workers here belong to."""


def plan_of(config: GatewayConfig) -> Plan:
    """Work it out from the configuration and, where that says auto, this machine."""
    workers = worker_count(config)
    edge = config.edge
    wanted = config.workers.recognizers
    recognizers = automatic_recognizers(usable_cores(), workers) if wanted == "auto" else wanted
    return Plan(
        workers,
        workers * config.sip.max_calls,
        len(decoders_of(recognizers)) if helpers_of(config) else 0,
        port_assignments(config, workers),
        runs_edge=config.workers.edge == "kamailio" and edge.run and not edge.join,
        joins=edge.join,
    )
