"""The configuration as one worker sees it: the ports of its seat, and who may call it.  Pure."""

from __future__ import annotations

from gateway.config.models import GatewayConfig
from gateway.config.seats import Seat
from gateway.sip.edge_peer import local_signalling_address


def seated(config: GatewayConfig, seat: Seat) -> GatewayConfig:
    """Give a worker's configuration.

    Behind an edge it takes calls from the edge only, which has asked who the caller is, and
    registers nowhere: that is the edge's work, too.
    """
    ports: dict[str, object] = {"port": seat.sip_port, "rtp_ports": seat.rtp_ports}
    if config.workers.edge == "none":
        return config.model_copy(update={"sip": config.sip.model_copy(update=ports)})
    behind: dict[str, object] = {"allow_sources": (), "users": {}}
    trunks = tuple(trunk.model_copy(update={"register_": False}) for trunk in config.trunks)
    sip = config.sip.model_copy(update=ports | behind)
    return config.model_copy(update={"sip": sip, "trunks": trunks})


def address_of(config: GatewayConfig) -> str:
    """Give the address that this host's workers are reached at from this host."""
    return local_signalling_address(config.sip.bind)
