"""Trunks at the edge: addresses of their servers, registrations that Kamailio keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal

import structlog

from gateway.config.models import GatewayConfig, TrunkConfig
from gateway.edge.control import Control
from gateway.edge.listing import is_taken_back, trunk_status
from gateway.edge.render import Servers, registering
from gateway.sip.lookups import Recent
from gateway.sip.srv import Located, locate
from gateway.sip.trunk_status import TrunkStatus

log = structlog.get_logger(__name__)

LOOKUP_S, LOOKUP_AGAIN_S = 300.0, 15.0
_LOOK_AGAIN_S = 0.05


class EdgeTrunks:
    """What is known of trunks.  Loop thread only."""

    def __init__(self, control: Control, on_state: Callable[[TrunkStatus], None]) -> None:
        self._control = control
        self._on_state = on_state
        self._states: dict[str, TrunkStatus] = {}
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._servers: dict[str, tuple[tuple[str, int], ...]] = {}
        self._recent: dict[tuple[str, str], Recent[str]] = {}
        """(Trunk, its server) -> what look-ups have found."""
        self._by_srv: set[str] = set()

    @property
    def addresses(self) -> Mapping[str, Sequence[str]]:
        """Trunk -> addresses of its server, from the look-ups of the last hour that found some."""
        return self._addresses

    @property
    def servers(self) -> Servers:
        """Addresses by the last look-up that found some."""
        return self._servers

    async def look_up(self, config: GatewayConfig) -> float:
        """Look up the addresses of all servers; return in how many seconds to do so again."""
        servers = {trunk.name: trunk.server for trunk in config.trunks}
        for name, found in (await look_up(config.trunks, self._by_srv)).items():
            recent = self._recent.setdefault((name, servers[name]), Recent())
            believed = recent.found(hosts_of(found), asyncio.get_running_loop().time())
            self._addresses[name] = tuple(sorted(believed))
            self._servers[name] = servers_of(found)
            self._by_srv.discard(name)
            if found.by_srv:
                self._by_srv.add(name)
        is_whole = all(trunk.name in self._servers for trunk in config.trunks)
        return LOOKUP_S if is_whole else LOOKUP_AGAIN_S

    async def refresh(self, config: GatewayConfig) -> None:
        """Ask Kamailio for every registration; yield those that have changed.

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

    async def unregister(self, config: GatewayConfig) -> None:
        """Unregister everywhere, and wait until the servers have confirmed it.

        Raises:
            EdgeError: Kamailio does not answer.
        """
        left = [trunk.name for trunk in registering(config)]
        for name in left:
            if await self._is_registered(name):
                await self._control.call("uac.reg_unregister", "l_uuid", name)
        while left:  # there is nothing to wait for but the next look
            left = [name for name in left if await self._is_registered(name)]
            await asyncio.sleep(_LOOK_AGAIN_S if left else 0)

    async def register_again(self, config: GatewayConfig) -> None:
        """Have a Kamailio that outlived the gateway before us take up what that has taken back.

        Raises:
            EdgeError: it does not answer.
        """
        for trunk in registering(config):
            info = await self._control.call("uac.reg_info", "l_uuid", trunk.name)
            if is_taken_back(info):
                await self._control.call("uac.reg_refresh", trunk.name)

    async def _is_registered(self, name: str) -> bool:
        info = await self._control.call("uac.reg_info", "l_uuid", name)
        return trunk_status(name, info).state == "registered"

    def states(self, config: GatewayConfig) -> list[TrunkStatus]:
        """Return the state of every trunk."""
        wanted = {trunk.name for trunk in registering(config)}
        found = []
        for trunk in config.trunks:
            first: Literal["registering", "static"] = "static"
            if trunk.name in wanted:
                first = "registering"
            known = self._states.get(trunk.name)
            found.append(known or TrunkStatus(name=trunk.name, state=first))
        return found


def hosts_of(found: Located) -> tuple[str, ...]:
    """Return the addresses of a server."""
    return tuple(sorted({target.host for target in found.targets}))


def servers_of(found: Located) -> tuple[tuple[str, int], ...]:
    """Return address and port of each, in the order to try them."""
    return tuple(target.address for target in found.targets)


async def look_up(
    trunks: Iterable[TrunkConfig], by_srv: Collection[str] = ()
) -> dict[str, Located]:
    """Look up the servers of trunks; those that are not found are left out.

    Args:
        trunks: which.
        by_srv: names of those that had SRV records.
    """
    found = {}
    for trunk in trunks:
        needs_srv = trunk.name in by_srv
        try:
            found[trunk.name] = await locate(trunk.server, trunk.transport, needs_srv=needs_srv)
        except (OSError, ValueError) as error:  # ValueError: no host name at all
            log.warning(
                "trunk_lookup_failed", trunk=trunk.name, server=trunk.server, error=str(error)
            )
    return found
