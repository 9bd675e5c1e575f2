"""The fleet: keeps as many workers alive as are wanted, replaces them, drains them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from gateway.child_processes import BackOff
from gateway.config.port_assignment import PortAssignment
from gateway.errors import CommandError, GatewayError
from gateway.process.call_directory import CallDirectory
from gateway.process.worker_process import (
    FleetObserver,
    Launch,
    WorkerProcess,
    WorkerSnapshot,
    first_of,
)
from gateway.records.repair import repair
from gateway.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

_TELLING_LIMIT_S = 10.0

Launcher = Callable[[PortAssignment], Launch]
"""How a worker is to be started on a port assignment, at this moment."""


class WorkerStartError(GatewayError):
    """A worker ended before it was ready; it has printed why."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(f"the worker ended with exit code {exit_code} before it was ready")


class _Place:
    """One of the workers that are wanted, whatever process it is."""

    def __init__(self) -> None:
        self.current: WorkerProcess | None = None
        self.back_off = BackOff()


class Fleet:
    """All workers of this host.  Loop thread only."""

    def __init__(
        self,
        count: int,
        assignments: Sequence[PortAssignment],
        records: Path,
        metrics: Metrics,
        *,
        launcher: Launcher,
        drain_limit_s: Callable[[], float],
        calls: CallDirectory | None = None,
    ) -> None:
        """Prepare; `run` starts it.

        Args:
            count: workers wanted.
            assignments: ports for them; more than `count`, so that one can be replaced in time.
            records: `records.directory`, where the calls of dead workers are completed.
            metrics: the supervisor's.
            launcher: how a worker is started.
            drain_limit_s: how long calls of a worker that is to end may go on.
            calls: shared with another fleet; an own one when not given.
        """
        self._places = [_Place() for _ in range(count)]
        self.can_replace = len(assignments) > count
        """Whether a worker can follow another before that has ended."""
        self._free_assignments: asyncio.PriorityQueue[tuple[int, PortAssignment]] = (
            asyncio.PriorityQueue()
        )
        for assignment in assignments:
            self._free_assignments.put_nowait((assignment.number, assignment))
        self.calls = calls or CallDirectory()
        """Which worker has which call."""
        self._records = records
        self._metrics = metrics
        self._launcher = launcher
        self._drain_limit_s = drain_limit_s
        self._workers: list[WorkerProcess] = []
        self._observers: list[FleetObserver] = []
        self._told = asyncio.Condition()
        self._has_news = asyncio.Event()
        self._changes = self._changes_told = 0
        self._tasks: asyncio.TaskGroup | None = None
        self._rolling = asyncio.Lock()
        self._rolled: list[_Place] = []
        """Replaced by the latest `roll`."""
        self._has_started = False
        self.is_draining = asyncio.Event()
        self.is_ready = asyncio.Event()
        """Set once every worker has been ready for the first time."""

    # --- what can be seen ---

    @property
    def workers(self) -> Sequence[WorkerProcess]:
        """Every process that has not ended."""
        return tuple(self._workers)

    @property
    def absence(self) -> str:
        """Why no worker can be asked, when none can be."""
        if self.is_draining.is_set():
            return "draining"
        return "the worker is being restarted" if self._has_started else "the worker is starting"

    def snapshots(self) -> tuple[WorkerSnapshot, ...]:
        """Return a snapshot of every worker."""
        return tuple(worker.snapshot() for worker in self._workers)

    def observe(self, observer: FleetObserver) -> None:
        """Report every change to an observer from now on."""
        self._observers.append(observer)

    # --- life ---

    async def run(self) -> None:
        """Keep the workers until they were drained and the last has ended; cancelled, end them.

        Raises:
            WorkerStartError: one did not even start once.
        """
        async with asyncio.TaskGroup() as group:
            self._tasks = group
            telling = group.create_task(self._tell())
            keepers = [group.create_task(self._keep(place)) for place in self._places]
            await self.is_draining.wait()
            for keeper in keepers:
                keeper.cancel()
            for worker in self._workers:
                worker.set_state("draining")
            await self._all_told()
            async with asyncio.TaskGroup() as retiring:
                for worker in self._workers:
                    retiring.create_task(worker.retire(self._drain_limit_s()))
            telling.cancel()

    def drain(self) -> None:
        """Accept no more calls; `run` returns when the last has ended.  Idempotent."""
        if not self.is_draining.is_set():
            log.info("draining", calls=sum(snapshot.slots_used for snapshot in self.snapshots()))
            self.is_draining.set()

    async def end_now(self) -> None:
        """End every call and every worker."""
        self.drain()
        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(worker.end())

    async def roll(self) -> int:
        """Replace every worker by one that is started now, one after the other.

        Calls in progress go on in the old ones.  Returns how many were replaced.

        Raises:
            CommandError: 409 a replacement is going on already, or there is but one assignment;
                503 a new worker did not start: it has said why, those not yet replaced go on.
        """
        if self._rolling.locked():
            raise CommandError(409, "the workers are being replaced already")
        if not self.can_replace:
            raise CommandError(409, "one worker without an edge cannot be replaced under calls")
        async with self._rolling:
            self._rolled = []
            for place in self._places:
                await self._replace(place)
                self._rolled.append(place)
        return len(self._places)

    async def roll_back(self) -> None:
        """Replace again, as workers are started now, those that a failed `roll` had replaced.

        Raises:
            CommandError: one did not start; it goes on as it is.
        """
        async with self._rolling:
            rolled, self._rolled = self._rolled, []
            for place in rolled:
                await self._replace(place)

    # --- inside ---

    async def _keep(self, place: _Place) -> None:
        """Have a worker in this place; runs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            worker = place.current
            if worker is None:
                if self.is_draining.is_set():
                    return
                worker = place.current = await self._launch()
            started_s = loop.time()
            await worker.is_left.wait()
            if place.current is not worker:  # it was replaced
                continue
            place.current = None
            if not worker.has_ended.is_set():  # stuck: it drains while another takes its place
                continue
            if not worker.is_ready.is_set() and not self._has_started:
                raise WorkerStartError(worker.exit_code or 1)
            delay_s = place.back_off.after(loop.time() - started_s)
            self._count("died")
            log.error("worker_died", worker=worker.name, exit_code=worker.exit_code,
                      restart_in_s=delay_s)  # fmt: skip
            await asyncio.sleep(delay_s)

    async def _launch(self) -> WorkerProcess:
        """Start a worker on the first port assignment that is free, or becomes free."""
        _, assignment = await self._free_assignments.get()
        if self.is_draining.is_set():
            raise CommandError(503, "draining")
        worker = WorkerProcess(assignment, self._launcher(assignment), self._on_change, self.calls)
        self._workers.append(worker)
        self._group.create_task(self._live(worker))
        self._note_change()
        return worker

    async def _live(self, worker: WorkerProcess) -> None:
        """Be with a worker until its end, and clear up after it."""
        try:
            await worker.run()
        finally:
            self._workers.remove(worker)
            self._repair()
            self._free_assignments.put_nowait((worker.assignment.number, worker.assignment))
            self._note_change()

    def _repair(self) -> None:
        for call_id in repair(self._records):
            log.warning("record_completed_after_crash", call_id=call_id)

    async def _replace(self, place: _Place) -> None:
        fresh = await self._launch()
        await first_of(fresh.is_ready, fresh.has_ended)
        if fresh.has_ended.is_set():
            raise CommandError(
                503, f"the new {fresh.name} ended with exit code {fresh.exit_code} before it was"
                " ready, see the log; the old worker goes on")  # fmt: skip
        old, place.current = place.current, fresh
        if old is not None and not old.is_left.is_set():
            log.info("worker_replaced", old=old.name, new=fresh.name)
            self._retire(old)

    def _retire(self, worker: WorkerProcess) -> None:
        worker.set_state("draining")
        self._group.create_task(self._retire_when_told(worker))

    async def _retire_when_told(self, worker: WorkerProcess) -> None:
        await self._all_told()
        await worker.retire(self._drain_limit_s())

    def _on_change(self, worker: WorkerProcess) -> None:
        """Act on a worker's change of state."""
        self._note_change()
        if all(place.current and place.current.is_ready.is_set() for place in self._places):
            self._has_started = True
            self.is_ready.set()
        if worker.has_ended.is_set() or self.is_draining.is_set():
            return
        if worker.is_lost.is_set() and worker.state != "draining":
            self._count("lost")
            worker.set_state("draining")
            self._group.create_task(worker.end())
        elif worker.state == "stuck" and self._may_replace_now():
            self._count("stuck")
            self._retire(worker)

    def _may_replace_now(self) -> bool:
        """Allow one replacement at a time: when all are stuck, the machine is at fault."""
        return not self._free_assignments.empty() and not any(
            worker.state == "starting" for worker in self._workers
        )

    def _count(self, cause: str) -> None:
        self._metrics.worker_restarts.labels(cause).inc()

    @property
    def _group(self) -> asyncio.TaskGroup:
        assert self._tasks is not None  # noqa: S101 - `run` has begun
        return self._tasks

    # --- observers ---

    def _note_change(self) -> None:
        self._changes += 1
        self._has_news.set()

    async def _tell(self) -> None:
        """Notify the observers of changes, one list after the other; runs until cancelled."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            number, snapshots = self._changes, self.snapshots()
            for observer in self._observers:
                try:
                    await observer(snapshots)
                except Exception:  # the workers go on whatever becomes of an observer
                    log.exception("fleet_observer_failed")
            async with self._told:
                self._changes_told = number
                self._told.notify_all()

    async def _all_told(self) -> None:
        """Wait until the observers know how things are now, but not for ever."""
        wanted = self._changes
        try:
            async with asyncio.timeout(_TELLING_LIMIT_S), self._told:
                await self._told.wait_for(lambda: self._changes_told >= wanted)
        except TimeoutError:
            log.warning("fleet_observers_too_slow", limit_s=_TELLING_LIMIT_S)
