"""Resolve where requests come from: a trunk's server, the edge of this worker, or another host."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import replace

import structlog

from gateway.call.line import CallFacts
from gateway.sip.admission import Network
from gateway.sip.edge_peer import EdgePeer, Origin
from gateway.sip.lookups import SERVERS, Recent
from gateway.sip.message import SipRequest
from gateway.sip.parties import called_party, caller_number, choose_trunk
from gateway.sip.trunk import Trunk

log = structlog.get_logger(__name__)


class Origins:
    """Knows the addresses of the trunks and of the edge.  Loop thread only."""

    def __init__(self, trunks: Mapping[str, Trunk], edge: EdgePeer | None) -> None:
        """Accept the trunks by name, and the edge of all calls."""
        self._trunks = trunks
        self._edge = edge
        self.edge_addresses: tuple[str, ...] = (edge.host,) if edge and edge.is_local else ()

    def of(self, request: SipRequest, source: str, port: int) -> Origin:
        """Return the sender of a request that came from an address and port."""
        if self._edge is None:
            at_source = [t.config for t in self._trunks.values() if t.is_at(source)]
            return Origin(source, port, choose_trunk(at_source, request))
        origin = self.edge_word(request, source, port) or Origin(source, port)
        return origin if origin.trunk in self._trunks else replace(origin, trunk="")

    def edge_word(self, request: SipRequest, source: str, port: int) -> Origin | None:
        """Return the sender that the edge names; None without its signature."""
        if self._edge is None:
            return None
        return self._edge.word(request, source, port, self.edge_addresses)

    def trunk_networks(self) -> list[Network]:
        """Addresses that the trunks' calls come from."""
        if self._edge:
            return [ipaddress.ip_network(address) for address in self.edge_addresses]
        return [network for trunk in self._trunks.values() for network in trunk.networks]

    def facts(self, call_id: str, request: SipRequest, origin: Origin) -> CallFacts:
        """Gather what is known of an incoming call."""
        trunk = self._trunks[origin.trunk].config if origin.trunk else None
        return CallFacts(
            call_id=call_id,
            direction="in",
            called=called_party(request, trunk).number,
            caller=caller_number(request, trunk),
            trunk=origin.trunk,
            source=str(origin),
            sip_call_id=request.header("call-id"),
            headers=request.first_headers(),
        )

    async def keep_edge_addresses(self, edge: EdgePeer) -> None:
        """Look the edge's name up now and every minute; runs until cancelled."""
        loop, recent = asyncio.get_running_loop(), Recent[str]()
        while True:
            try:
                found = await SERVERS.addresses(edge.host)
            except OSError as error:
                log.warning("edge_lookup_failed", edge=edge.host, error=str(error))
            else:
                self.edge_addresses = recent.found(found, loop.time())
            await asyncio.sleep(60 if self.edge_addresses else 2)
