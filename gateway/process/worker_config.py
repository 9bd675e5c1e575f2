"""The configuration as one worker sees it: its ports, and which sources may call it.  Pure."""

from __future__ import annotations

from gateway.config.models import GatewayConfig
from gateway.config.port_assignment import PortAssignment
from gateway.sip.edge_peer import local_signalling_address


def with_assigned_ports(config: GatewayConfig, assignment: PortAssignment) -> GatewayConfig:
    """Return a worker's configuration.

    Behind an edge it takes calls from the edge only, which has identified the caller, and
    registers nowhere: that is the edge's work, too.
    """
    ports: dict[str, object] = {"port": assignment.sip_port, "rtp_ports": assignment.rtp_ports}
    if config.workers.edge == "none":
        return config.model_copy(update={"sip": config.sip.model_copy(update=ports)})
    behind: dict[str, object] = {"allow_sources": (), "users": {}}
    trunks = tuple(trunk.model_copy(update={"register_": False}) for trunk in config.trunks)
    sip = config.sip.model_copy(update=ports | behind)
    return config.model_copy(update={"sip": sip, "trunks": trunks})


def address_of(config: GatewayConfig) -> str:
    """Return the address that this host's workers are reached at from this host."""
    return local_signalling_address(config.sip.bind)
