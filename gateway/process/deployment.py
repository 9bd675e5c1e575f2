"""What runs, and how it changes while calls go on: reload, replacement, drain."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gateway.config.models import GatewayConfig
from gateway.config.port_assignment import (
    PortAssignment,
    automatic_count,
    most_workers,
    port_assignments,
)
from gateway.config.secrets import secrets_of
from gateway.edge.edge import Edge
from gateway.errors import CommandError, ConfigError, EdgeError
from gateway.process import messages as m
from gateway.process.call_directory import CallDirectory
from gateway.process.fleet import Fleet
from gateway.process.worker_config import address_of
from gateway.process.worker_process import Launch, WorkerProcess
from gateway.providers.contracts import Helper, HelperProcess
from gateway.setup.changes import changes
from gateway.setup.checked_config import Setup, read_setup, used_files
from gateway.setup.engines import helpers_of
from gateway.telemetry.logging import hide_in_logs
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.process import usable_cores, usable_memory_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = structlog.get_logger(__name__)

Helpers = Mapping[Helper, Sequence[HelperProcess]]
"""The helper processes that run, by the wish of a provider."""
_RELOAD_TIMEOUT_S = 120.0
"""The worker warms what is new."""
_CHECK_TIMEOUT_S = 60.0
_EX_CONFIG = 78


class Deployment:
    """The present configuration and the workers that run with it.  Loop thread only."""

    def __init__(
        self,
        setup: Setup,
        folder: Path,
        helpers: Helpers,
        metrics: Metrics,
    ) -> None:
        """Prepare the fleet; `fleet.run` starts it.

        Args:
            setup: as checked.
            folder: private to this user; for sockets and the kept texts of the configuration.
            helpers: which the workers share; none = not needed.
            metrics: the supervisor's.
        """
        self._folder = folder
        self._helpers = helpers
        self._launches = 0
        self._generation = 0
        self._changing = asyncio.Lock()
        self.edge: Edge | None = None
        """Told of a new configuration before the workers are."""
        self.setup = setup
        self._file = self._keep(setup)
        self._used = used_files(setup.config)
        count = worker_count(setup.config)
        self.fleet = Fleet(
            count,
            port_assignments(setup.config, count),
            setup.config.records.directory,
            metrics,
            launcher=self._launch,
            drain_limit_s=lambda: self.setup.config.workers.drain_limit_s,
        )
        self.realtime = self._realtime_fleet(metrics)
        """Of realtime sessions, if there are to be any."""

    @property
    def workers(self) -> Sequence[WorkerProcess]:
        """Every worker process that has not ended, of telephone calls first."""
        return tuple(worker for fleet in self.fleets for worker in fleet.workers)

    @property
    def absence(self) -> str:
        """Why no worker can be asked, when none can be."""
        return self.fleet.absence

    @property
    def calls(self) -> CallDirectory:
        """Which worker has which call."""
        return self.fleet.calls

    def processes(self) -> Mapping[str, int]:
        """Name and id of every process of this gateway."""
        found = {"supervisor": os.getpid()}
        found |= {worker.name: worker.pid for worker in self.workers if worker.pid}
        for helper, processes in self._helpers.items():
            running = {f"{helper.name}-{n}": each.pid for n, each in enumerate(processes)}
            found |= {name: pid for name, pid in running.items() if pid}
        return found

    def drain(self) -> None:
        """Accept no more calls and end with the last one.  Idempotent."""
        for fleet in self.fleets:
            fleet.drain()

    @property
    def fleets(self) -> tuple[Fleet, ...]:
        """All fleets."""
        return (self.fleet,) if self.realtime is None else (self.fleet, self.realtime)

    async def run(self) -> None:
        """Keep all workers until they were drained.  Raises WorkerStartError."""
        async with asyncio.TaskGroup() as group:
            for fleet in self.fleets:
                group.create_task(fleet.run())

    async def end_now(self) -> None:
        """End every call and every worker."""
        async with asyncio.TaskGroup() as group:
            for fleet in self.fleets:
                group.create_task(fleet.end_now())

    async def reload(self) -> tuple[str, ...]:
        """Serve new calls by the files now on disk; calls in progress keep what they began with.

        Either all of it holds from now on or nothing has changed.

        Returns:
            Dotted keys and names of files that are different now.

        Raises:
            ConfigError: a file is wrong.
            CommandError: 409 a key has changed that needs a restart, or something else is being
                changed; 422 the thorough check found a fault; 503 a worker did not take it.
        """
        async with self._alone():
            try:
                fresh = await self._checked()
            except (ConfigError, CommandError) as error:
                log.error("configuration_refused", problems=str(error).splitlines())  # noqa: TRY400
                raise
            used = used_files(fresh.config)
            different = (*_differences(self.setup, fresh), *_changed(self._used, used))
            await self._take_over(fresh)
            self._used = used
            log.info("configuration_loaded", changed=different)
            return different

    async def replace(self) -> int:
        """Replace each worker by one of the program now on disk, one after the other.

        Returns:
            How many.

        Raises:
            CommandError: see `Fleet.roll`.
        """
        async with self._alone():
            count = await self.fleet.roll()
            if self.realtime is not None:
                count += await self.realtime.roll()
            log.info("workers_replaced", count=count)
            return count

    # --- inside ---

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        if self.fleet.is_draining.is_set():
            raise CommandError(503, "draining")
        if self._changing.locked():
            raise CommandError(409, "the workers are being changed already")
        async with self._changing:
            yield

    async def _checked(self) -> Setup:
        path = self.setup.path
        if path is None:
            raise CommandError(409, "without a configuration file there is nothing to reload")
        fresh = read_setup(path)
        found = changes(self.setup.config, fresh.config)
        if found.need_restart:
            keys = ", ".join(found.need_restart)
            raise CommandError(409, f"these need a restart, nothing was changed: {keys}")
        missing = [helper for helper in helpers_of(fresh.config) if helper not in self._helpers]
        if missing:
            problem = f"the first agent with a {missing[0].name} of its own needs a restart"
            raise CommandError(409, f"{problem}, nothing was changed")
        await _check_thoroughly(path)
        return fresh

    async def _take_over(self, fresh: Setup) -> None:
        old, old_file = self.setup, self._file
        hide_in_logs(secrets_of(fresh.config))
        await self._tell_the_edge(fresh.config)
        self.setup, self._file = fresh, self._keep(fresh)
        try:
            if self.fleet.can_replace:
                await self.fleet.roll()
            else:
                await self._tell_the_worker()
            if self.realtime is not None:
                await self.realtime.roll()
        except BaseException:
            self.setup, self._file = old, old_file
            await self._tell_the_edge(old.config)
            for fleet in self.fleets:
                await fleet.roll_back()
            raise

    async def _tell_the_edge(self, config: GatewayConfig) -> None:
        if self.edge is None:
            return
        try:
            await self.edge.reconfigure(config)
        except EdgeError as error:
            raise CommandError(422, f"{error}; nothing was changed") from error

    async def _tell_the_worker(self) -> None:
        client = next((worker.client for worker in self.fleet.workers if worker.client), None)
        if client is None:
            raise CommandError(503, f"{self.fleet.absence}; nothing was changed")
        await client.request(m.Reload(setup=str(self._file)), m.Done, _RELOAD_TIMEOUT_S)

    def _keep(self, setup: Setup) -> Path:
        self._generation += 1
        file = self._folder / f"setup-{self._generation}.json"
        setup.keep(file)
        return file

    def _realtime_fleet(self, metrics: Metrics) -> Fleet | None:
        config = self.setup.config
        count = realtime_count(config)
        if not count:
            return None
        return Fleet(
            count,
            [PortAssignment(number, 0, (0, 0)) for number in range(1, 2 * count + 1)],
            config.records.directory,
            metrics,
            launcher=self._launch_realtime,
            drain_limit_s=lambda: self.setup.config.workers.drain_limit_s,
            calls=self.fleet.calls,
        )

    def _launch_realtime(self, assignment: PortAssignment) -> Launch:
        launch = self._launch(assignment)
        program = (sys.executable, "-m", "gateway", "realtime-worker")
        socket = self._folder / f"realtime-{assignment.number}-{self._launches}.sock"
        return replace(launch, program=program, kind="realtime", socket=socket)

    def _launch(self, assignment: PortAssignment) -> Launch:
        self._launches += 1
        config = self.setup.config
        return Launch(
            setup=self._file,
            socket=self._folder / f"worker-{assignment.number}-{self._launches}.sock",
            address=address_of(config),
            stuck_after_s=config.workers.stuck_after_s,
            environ=_sockets_of(assignment, self._helpers),
        )


def worker_count(config: GatewayConfig) -> int:
    """Return the number of workers that the configuration means on this machine."""
    workers = config.workers
    if workers.edge == "none":
        return 1
    if isinstance(workers.count, int):
        return workers.count
    wanted = automatic_count(usable_cores(), usable_memory_bytes())
    return min(wanted, most_workers(config))


def realtime_count(config: GatewayConfig) -> int:
    """Return the number of workers of realtime sessions."""
    if not config.realtime.enabled:
        return 0
    count = config.realtime.workers
    return usable_cores() if count == "auto" else count


def _sockets_of(assignment: PortAssignment, helpers: Helpers) -> Mapping[str, str]:
    """Return the environment that leads a worker to its share of the helper processes."""
    return {
        helper.variable: str(processes[assignment.number % len(processes)].socket)
        for helper, processes in helpers.items()
    }


def _differences(old: Setup, new: Setup) -> tuple[str, ...]:
    names = sorted({*old.texts, *new.texts} - {str((new.path or Path()).absolute())})
    files = (name for name in names if old.texts.get(name) != new.texts.get(name))
    return (*changes(old.config, new.config).keys, *files)


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """Name the files that are used as before but hold something else."""
    return tuple(name for name, state in new.items() if old.get(name, state) != state)


async def _check_thoroughly(path: Path) -> None:
    """Run `gateway check`: it imports tools and reads scripts as a new worker will."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "check", "--config", str(path)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=_give_way,
    )
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            said = (await process.communicate())[1].decode(errors="replace").strip()
    except TimeoutError as error:
        raise CommandError(503, "the configuration could not be checked in time") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == _EX_CONFIG:
        raise CommandError(422, said)
    if process.returncode:
        raise CommandError(500, f"`gateway check` failed: {said}")


def _give_way() -> None:
    os.nice(10)  # calls go first
