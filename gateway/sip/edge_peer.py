"""A worker's view of its edge: where it is, what it says of a request's real source.  Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass

from gateway.config.models import GatewayConfig
from gateway.sip.message import SipRequest

SOURCE_HEADER = "X-Gateway-Source"
"""`address:port` of the real sender.  The edge removes it from what strangers send."""
TRUNK_HEADER = "X-Gateway-Trunk"
FINAL_HEADER = "X-Gateway-Final"
"""On a refusal that the dialplan wanted: the edge does not try the next worker."""
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from."""

    address: str
    port: int
    trunk: str = ""
    """Name of the trunk, where the edge knows it."""

    def __str__(self) -> str:
        """Format as `address:port`."""
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class EdgePeer:
    """The edge in front of this worker."""

    host: str
    """Address or name."""
    port: int
    is_local: bool
    """It runs on this host."""
    bind: str
    """Where the worker's SIP listens: the loopback for an edge on this host (media is elsewhere).
    Empty: all interfaces."""

    @classmethod
    def of(cls, config: GatewayConfig) -> EdgePeer | None:
        """Tell where the edge is, by the configuration as loaded; None when there is none."""
        if config.workers.edge == "none":
            return None
        if config.edge.join:
            host, _, port = config.edge.join.partition(":")
            bind = "" if config.sip.bind == "0.0.0.0" else config.sip.bind  # noqa: S104 (compared)
            return cls(host, int(port or 5060), is_local=False, bind=bind)
        host = local_signalling_address(config.sip.bind)
        return cls(host, config.sip.port, is_local=True, bind=host)

    @property
    def uri(self) -> str:
        """Route of every call that this worker places."""
        return f"sip:{self.host}:{self.port};lr"

    def origin(
        self, request: SipRequest, source: str, port: int, edge_addresses: Collection[str]
    ) -> Origin:
        """Tell who really sent a request: what the edge says, if it is the edge who says so."""
        seen = Origin(source, port)
        if port != self.port or source not in edge_addresses:
            return seen
        address, _, number = request.header(SOURCE_HEADER).rpartition(":")
        if not _is_address(address) or not number.isdecimal():
            return seen
        return Origin(address, int(number), request.header(TRUNK_HEADER))


def local_signalling_address(bind: str) -> str:
    """Where edge and workers of one host talk: the loopback, or which one `sip.bind` names."""
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        return _LOOPBACK
    return bind if address.is_loopback else _LOOPBACK


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
