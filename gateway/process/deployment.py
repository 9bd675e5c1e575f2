"""What runs, and how it changes while calls go on: reload, replacement, drain."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gateway.config.models import GatewayConfig
from gateway.config.seats import Seat, automatic_count, most_workers, seats_of
from gateway.edge.edge import Edge
from gateway.errors import CommandError, ConfigError, EdgeError
from gateway.process import machine
from gateway.process import messages as m
from gateway.process.changes import changes
from gateway.process.fleet import Fleet
from gateway.process.seating import address_of
from gateway.process.setup import Setup, read_setup
from gateway.process.worker_process import Launch
from gateway.providers.stt.moonshine import SOCKET_VARIABLE
from gateway.recognizer.process import RecognizerProcess
from gateway.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = structlog.get_logger(__name__)

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
        recognizers: Sequence[RecognizerProcess],
        metrics: Metrics,
    ) -> None:
        """Prepare the fleet; `fleet.run` starts it.

        Args:
            setup: as checked.
            folder: private to this user; for sockets and the kept texts of the configuration.
            recognizers: which the workers share; none = not needed.
            metrics: the supervisor's.
        """
        self._folder = folder
        self._recognizers = recognizers
        self._launches = 0
        self._generation = 0
        self._changing = asyncio.Lock()
        self.edge: Edge | None = None
        """Told of a new configuration before the workers are."""
        self.setup = setup
        self._file = self._keep(setup)
        count = worker_count(setup.config)
        self.fleet = Fleet(
            count,
            seats_of(setup.config, count),
            setup.config.records.directory,
            metrics,
            launcher=self._launch,
            drain_limit_s=lambda: self.setup.config.workers.drain_limit_s,
        )

    def processes(self) -> Mapping[str, int]:
        """Name and id of every process of this gateway."""
        found = {"supervisor": os.getpid()}
        found |= {worker.name: worker.pid for worker in self.fleet.workers if worker.pid}
        for number, recognizer in enumerate(self._recognizers):
            if recognizer.pid:
                found[f"recognizer-{number}"] = recognizer.pid
        return found

    def drain(self) -> None:
        """Take no more calls and end with the last one.  Idempotent."""
        self.fleet.drain()

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
            different = _differences(self.setup, fresh)
            await self._take_over(fresh)
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
            raise CommandError(409, "it runs without a configuration file: there is none to reload")
        fresh = read_setup(path)
        found = changes(self.setup.config, fresh.config)
        if found.need_restart:
            keys = ", ".join(found.need_restart)
            raise CommandError(409, f"these need a restart, nothing was changed: {keys}")
        if needs_recognizer(fresh.config) and not self._recognizers:
            raise CommandError(
                409, "the first agent with moonshine needs a restart, nothing was changed"
            )
        await _check_thoroughly(path)
        return fresh

    async def _take_over(self, fresh: Setup) -> None:
        old, old_file = self.setup, self._file
        await self._tell_the_edge(fresh.config)
        self.setup, self._file = fresh, self._keep(fresh)
        try:
            if self.fleet.can_replace:
                await self.fleet.roll()
            else:
                await self._tell_the_worker()
        except BaseException:
            self.setup, self._file = old, old_file
            await self._tell_the_edge(old.config)
            await self.fleet.roll_back()
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

    def _launch(self, seat: Seat) -> Launch:
        self._launches += 1
        config = self.setup.config
        return Launch(
            setup=self._file,
            socket=self._folder / f"worker-{seat.number}-{self._launches}.sock",
            address=address_of(config),
            stuck_after_s=config.workers.stuck_after_s,
            environ=_recognizer_of(seat, self._recognizers),
        )


def worker_count(config: GatewayConfig) -> int:
    """Give the number of workers that the configuration means on this machine."""
    workers = config.workers
    if workers.edge == "none":
        return 1
    if isinstance(workers.count, int):
        return workers.count
    wanted = automatic_count(machine.cores(), machine.memory_bytes())
    return min(wanted, most_workers(config))


def needs_recognizer(config: GatewayConfig) -> bool:
    """Tell whether any agent uses the shared recognizer processes."""
    return any(
        agent.stt.get("provider") == "moonshine" and not agent.stt.get("socket")
        for agent in config.agents.values()
    )


def _recognizer_of(seat: Seat, recognizers: Sequence[RecognizerProcess]) -> Mapping[str, str]:
    if not recognizers:
        return {}
    return {SOCKET_VARIABLE: str(recognizers[seat.number % len(recognizers)].socket)}


def _differences(old: Setup, new: Setup) -> tuple[str, ...]:
    names = sorted({*old.texts, *new.texts} - {str((new.path or Path()).absolute())})
    files = (name for name in names if old.texts.get(name) != new.texts.get(name))
    return (*changes(old.config, new.config).keys, *files)


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
