"""What differs between two configurations, and what of it a running gateway cannot take.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config.models import GatewayConfig
from gateway.config.toml_file import dotted

_ALWAYS = ("http", "log", "realtime", "records", "webhooks", "workers")
_ANYTIME = ("workers.drain_limit_s", "workers.stuck_after_s")
_EDGE_SIP = ("bind", "port", "public_address", "rtp_ports", "transports", "max_calls",
             "log_messages")  # fmt: skip
"""Sockets and shares of ports belong to these."""
_EDGE = ("run", "directory", "join", "key")
"""Of `[edge]`, what it was started with."""
_CALL_SIP = ("ring_timeout_s", "no_media_timeout_s", "max_hold_s", "max_call_s")
"""Each call is begun with these; all others belong to the worker's SIP endpoint."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Dotted keys, sorted."""

    keys: tuple[str, ...]
    need_restart: tuple[str, ...]
    """Those among them that only a new start of the gateway can take."""


def changes(old: GatewayConfig, new: GatewayConfig) -> Changes:
    """Compare two configurations."""
    keys = sorted(set(_differing(old.model_dump(by_alias=True), new.model_dump(by_alias=True))))
    has_edge = old.workers.edge != "none"
    fixed = tuple(key for key in keys if _needs_restart(key, has_edge=has_edge))
    return Changes(tuple(keys), fixed)


def _needs_restart(key: str, *, has_edge: bool) -> bool:
    table, _, rest = key.partition(".")
    if key in _ANYTIME:
        return False
    if table == "sip":
        name = rest.partition(".")[0]
        return name in _EDGE_SIP if has_edge else name not in _CALL_SIP
    if table == "edge":
        return not has_edge or rest in _EDGE
    return table in _ALWAYS or (table == "trunks" and not has_edge)


def _differing(old: object, new: object, loc: tuple[str, ...] = ()) -> Iterator[str]:
    if old == new:
        return
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        yield dotted(loc)
        return
    missing: Any = object()
    for key in [*old, *(key for key in new if key not in old)]:
        yield from _differing(old.get(key, missing), new.get(key, missing), (*loc, str(key)))
