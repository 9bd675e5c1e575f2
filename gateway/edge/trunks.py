"""Trunks at the edge: addresses of their servers, registrations that Kamailio keeps."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import structlog

from gateway.config.models import GatewayConfig, TrunkConfig
from gateway.edge.control import Control
from gateway.edge.listing import trunk_status
from gateway.edge.render import registering
from gateway.process.messages import TrunkStatus

log = structlog.get_logger(__name__)

LOOKUP_S, LOOKUP_AGAIN_S = 300.0, 15.0


class EdgeTrunks:
    """What is known of trunks.  Loop thread only."""

    def __init__(self, control: Control, on_state: Callable[[TrunkStatus], None]) -> None:
        self._control = control
        self._on_state = on_state
        self._states: dict[str, TrunkStatus] = {}
        self._addresses: dict[str, tuple[str, ...]] = {}

    @property
    def addresses(self) -> Mapping[str, Sequence[str]]:
        """Trunk -> addresses of its server, at the last look-up that found some."""
        return self._addresses

    async def look_up(self, config: GatewayConfig) -> float:
        """Look up the addresses of all servers; tells in how many seconds to do so again."""
        self._addresses |= await look_up(config.trunks)
        is_whole = all(trunk.name in self._addresses for trunk in config.trunks)
        return LOOKUP_S if is_whole else LOOKUP_AGAIN_S

    async def look(self, config: GatewayConfig) -> None:
        """Ask Kamailio for every registration; tells of those that have changed.

        Raises:
            EdgeError: it does not answer.
        """
        for trunk in registering(config):
            info = await self._control.call("uac.reg_info", "l_uuid", trunk.name)
            status = trunk_status(trunk.name, info)
            if status != self._states.get(trunk.name):
                self._states[trunk.name] = status
                self._on_state(status)

    async def change(self, old: GatewayConfig, new: GatewayConfig) -> None:
        """Have Kamailio take over other accounts, which are in its files already.

        Raises:
            EdgeError: it does not answer.
        """
        before = {trunk.name: trunk for trunk in registering(old)}
        after = {trunk.name: trunk for trunk in registering(new)}
        for name in before.keys() - after.keys():
            await self._control.call("uac.reg_remove", name)
            self._states.pop(name, None)
        for name, trunk in after.items():
            if trunk != before.get(name):
                await self._control.call("uac.reg_refresh", name)

    def states(self, config: GatewayConfig) -> list[TrunkStatus]:
        """Give the state of every trunk."""
        wanted = {trunk.name for trunk in registering(config)}
        found = []
        for trunk in config.trunks:
            first: Literal["registering", "static"] = "static"
            if trunk.name in wanted:
                first = "registering"
            known = self._states.get(trunk.name)
            found.append(known or TrunkStatus(name=trunk.name, state=first))
        return found


async def look_up(trunks: Iterable[TrunkConfig]) -> dict[str, tuple[str, ...]]:
    """Look up the addresses of trunks' servers; those that are not found are left out."""
    loop = asyncio.get_running_loop()
    addresses = {}
    for trunk in trunks:
        host, _, port = trunk.server.partition(":")
        try:
            found = await loop.getaddrinfo(host, int(port or 5060), family=socket.AF_INET)
        except (OSError, ValueError) as error:  # ValueError: no host name at all
            log.warning("trunk_lookup_failed", trunk=trunk.name, server=host, error=str(error))
        else:
            addresses[trunk.name] = tuple(sorted({str(entry[4][0]) for entry in found}))
    return addresses
