"""The edge as the supervisor sees it: kept running, told of workers, asked about trunks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from gateway.config.models import GatewayConfig
from gateway.edge import folder as files
from gateway.edge.control import Control
from gateway.edge.host_facts import host_facts
from gateway.edge.listing import Lost, calls, destinations, started
from gateway.edge.program import check_files, keep_running
from gateway.edge.render import (
    ACCOUNTS,
    CONTROL,
    RESTART_FOR,
    SERVERS,
    SOURCES,
    TRUNKS,
    USERS,
    render,
    servers_table,
    sources_list,
    trunks_table,
)
from gateway.edge.targets import SET, Target, changes, gone, remote_targets
from gateway.edge.trunks import EdgeTrunks
from gateway.errors import EdgeError
from gateway.sip.trunk_status import TrunkStatus

log = structlog.get_logger(__name__)

_LOOK_S, _LOOK_SOON_S = 1.0, 0.1
_SETTLE_S = 0.1
"""Between two changes of the list: Kamailio frees the list before last at each."""

_UNREGISTER_S = 3.0
"""More than a registrar takes to challenge and to answer."""
_READ_AGAIN: Mapping[str, tuple[str, ...]] = {
    SOURCES: ("permissions.addressReload",),
    USERS: ("htable.reload", "users"),
    TRUNKS: ("htable.reload", "trunks"),
    SERVERS: ("htable.reload", "servers"),
    ACCOUNTS: ("uac.reg_reload",),
}
"""File -> call that has the running Kamailio read it again."""


class Edge:
    """Kamailio in front of the workers.  Loop thread only."""

    def __init__(
        self,
        config: GatewayConfig,
        folder: Path,
        own_workers: int,
        on_trunk: Callable[[TrunkStatus], None] = lambda _: None,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            config: as loaded.
            folder: where its files go, when the configuration names none.
            own_workers: how many this host has.
            on_trunk: told when a registration has changed.
        """
        self._config = config
        self._folder = config.edge.directory or folder
        self._own_workers = own_workers
        self._control = Control(self._folder / CONTROL)
        self._trunks = EdgeTrunks(self._control, on_trunk)
        self._local: tuple[Target, ...] = ()
        self._remote = remote_targets(config, own_workers)
        self._applied: tuple[Target, ...] = ()
        """What the running Kamailio knows."""
        self._lost = Lost(config.edge.lost_after_s)
        self._changing = asyncio.Lock()
        self._restart = asyncio.Event()
        self._up_since = ""
        """When the Kamailio that was told of the workers had started, in its own words."""
        self._unread: set[str] = set()
        """Files that a Kamailio which ran before us has yet to read."""
        self.is_up = asyncio.Event()
        """Kamailio runs and answers."""
        self._was_up = asyncio.Event()
        """It has answered at least once."""

    async def keep(self) -> None:
        """Render, check, start and watch Kamailio until cancelled.

        Raises:
            EdgeError: it is not installed, refuses its files, or did not even start once.
        """
        files.prepare(self._folder)
        again_s = await self._trunks.look_up(self._config)
        runs_already = not self._config.edge.run and await self._answers()
        changed = self._render()
        await check_files(self._folder)
        if runs_already:
            self._unread = changed
            self._ask_for_restart(changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_trunk_addresses(again_s))
            group.create_task(self._watch())
            if self._config.edge.run:
                running = keep_running(self._folder, self._restart, self.is_up, self._was_up)
                group.create_task(running)
            else:
                log.info("edge_expected", files=str(self._folder))

    # --- what the supervisor says and asks ---

    def key(self) -> str:
        """Return the key that the workers of this host know its word by.

        Raises:
            EdgeError: the folder that it is kept in cannot be made.
        """
        files.prepare(self._folder)
        return files.mask_key(self._folder)

    async def show_workers(self, workers: Iterable[Target]) -> None:
        """Apply the workers of this host; never raises."""
        self._local = tuple(workers)
        try:
            await self._apply()
        except EdgeError as error:
            log.warning("edge_not_told", problem=str(error))
            self.is_up.clear()  # then it is told everything again

    async def reconfigure(self, config: GatewayConfig) -> None:
        """Apply a changed configuration; calls in progress go on.

        Raises:
            EdgeError: Kamailio refuses the new files; nothing has changed.
        """
        old, remote = self._config, self._remote
        lives = {target.address: target.life for target in remote}
        self._config = config
        self._remote = tuple(
            replace(target, life=lives.get(target.address, target.life))
            for target in remote_targets(config, self._own_workers)
        )
        try:
            await self._trunks.look_up(config)
            await self._check_beside()
        except EdgeError:
            self._config, self._remote = old, remote
            raise
        changed = self._render()
        if changed & set(RESTART_FOR) and config.edge.run:
            self._restart.set()  # it then reads all the others too
            return
        self._ask_for_restart(changed)
        await self._apply()
        await self._have_read(changed - {ACCOUNTS})
        await self._trunks.change(old, config)

    async def unregister(self) -> None:
        """Have trunks send no more calls here; never raises.

        Else they would ring a gateway that is no more until the registration expires.
        """
        try:
            async with asyncio.timeout(_UNREGISTER_S):
                await self._trunks.unregister(self._config)
        except TimeoutError:
            log.warning("edge_still_registered", problem=f"no answer in {_UNREGISTER_S:g} s")
        except EdgeError as error:
            log.warning("edge_still_registered", problem=str(error))

    def trunks(self) -> Sequence[TrunkStatus]:
        """Return the state of every trunk."""
        return self._trunks.states(self._config)

    # --- the running Kamailio ---

    async def _watch(self) -> None:
        """Look at it once a second: does it answer, which workers do, what do trunks say?"""
        while True:
            try:
                since = started(await self._control.call("core.uptime"))
                if not self.is_up.is_set() or since != self._up_since:
                    await self._take_up(since)
                else:
                    await self._look()
            except EdgeError as error:
                if self.is_up.is_set():
                    log.warning("edge_silent", problem=str(error))
                self.is_up.clear()
            await asyncio.sleep(_LOOK_S if self.is_up.is_set() else _LOOK_SOON_S)

    async def _take_up(self, since: str) -> None:
        """Have a Kamailio that has just started, or that we do not know, begin with what is so."""
        async with self._changing:
            self._render()
            dead = gone(self._applied, self._targets)
            self._applied = self._targets
            if self._applied:
                await self._control.call("dispatcher.reload")
            else:  # an empty list would be refused
                await self._remove_all()
            await self._have_read(self._unread)
            self._unread = set()
            await self._trunks.register_again(self._config)
            self._lost.forget()
            self._up_since = since
            self.is_up.set()
            self._was_up.set()
        log.info("edge_up", workers=len(self._applied))
        for address in dead:
            await self._end_calls(address)

    async def _answers(self) -> bool:
        try:
            await self._control.call("core.uptime")
        except EdgeError:
            return False
        return True

    async def _have_read(self, changed: Collection[str]) -> None:
        for name, command in _READ_AGAIN.items():
            if name in changed:
                await self._control.call(*command)

    async def _remove_all(self) -> None:
        """Have a Kamailio forget the workers of a gateway before us, or those of a mere render."""
        try:
            known = destinations(await self._control.call("dispatcher.list"))
        except EdgeError:  # it says so when there are none
            return
        for uri in {worker.uri for worker in known}:
            await self._control.call("dispatcher.remove", SET, uri)
            await asyncio.sleep(_SETTLE_S)

    async def _look(self) -> None:
        """Notice workers of other hosts that are lost, and news of trunks."""
        lost: list[str] = []
        if self._remote:
            seen = destinations(await self._control.call("dispatcher.list"))
            remote = {target.address for target in self._remote}
            now_s = asyncio.get_running_loop().time()
            lost = self._lost.observe([s for s in seen if s.address in remote], now_s)
        if lost:
            log.warning("edge_lost_workers", workers=lost)
            self._remote = tuple(t.reborn() if t.address in lost else t for t in self._remote)
            await self._apply()
        await self._trunks.refresh(self._config)

    async def _apply(self) -> None:
        """Bring files and the running Kamailio up to date; end the calls of dead workers."""
        async with self._changing:
            wanted = self._targets
            if not self.is_up.is_set():  # it is told when it is
                return
            self._render()
            dead = gone(self._applied, wanted)
            for command in changes(self._applied, wanted):
                await self._control.call(command.method, *command.parameters)
                if command.method != "dispatcher.set_state":
                    await asyncio.sleep(_SETTLE_S)
            self._applied = wanted
        for address in dead:
            await self._end_calls(address)

    async def _end_calls(self, address: str) -> None:
        """Send BYE to the peers of a worker that has ended."""
        found = calls(await self._control.call("dlg.profile_list", "worker", address))
        for call in found:
            with suppress(EdgeError):  # over in the meantime
                await self._control.call("dlg.end_dlg", call.entry, call.number)
        if found:
            log.info("edge_ended_calls", worker=address, calls=len(found))

    # --- files ---

    def _ask_for_restart(self, changed: Collection[str]) -> None:
        """Log that a Kamailio run by others must read its files again."""
        if needed := sorted(set(changed) & set(RESTART_FOR)):
            log.warning("edge_needs_restart", folder=str(self._folder), changed=needed)

    @property
    def _targets(self) -> tuple[Target, ...]:
        return (*self._local, *self._remote)

    def _render(self) -> set[str]:
        return files.write(self._folder, self._files(self._folder))

    def _files(self, folder: Path) -> Mapping[str, str]:
        trunks, key = self._trunks, files.mask_key(self._folder)
        around = host_facts(folder, trunks.addresses, trunks.servers, key)
        return render(self._config, self._targets, around)

    async def _check_beside(self) -> None:
        """Check new files in a folder of their own."""
        trial = self._folder / "trial"
        files.prepare(trial)
        files.write(trial, self._files(trial))
        await check_files(trial)

    async def _keep_trunk_addresses(self, again_s: float) -> None:
        while True:
            await asyncio.sleep(again_s)
            again_s = await self._trunks.look_up(self._config)
            found = self._trunks.addresses
            texts = {
                SOURCES: sources_list(self._config, found),
                TRUNKS: trunks_table(self._config, found),
                SERVERS: servers_table(self._config, self._trunks.servers),
            }
            changed = files.write(self._folder, texts)
            with suppress(EdgeError):  # it reads the files when it starts
                await self._have_read(changed)
