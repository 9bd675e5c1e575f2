"""The fleet with workers that misbehave on demand: who is started, told, drained, ended, when."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config.port_assignment import PortAssignment
from gateway.errors import CommandError, leaves
from gateway.process.fleet import Fleet, WorkerStartError
from gateway.process.worker_process import Launch, WorkerSnapshot
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.process import is_process_alive

PROGRAM = (sys.executable, "-m", "tests.support.dummy_worker")


class Told:
    """Keeps every list that an observer was told."""

    def __init__(self) -> None:
        self.lists: list[dict[int, str]] = []
        self.slow_s = 0.0

    async def observe(self, snapshots: Sequence[WorkerSnapshot]) -> None:
        await asyncio.sleep(self.slow_s)
        self.lists.append({snapshot.number: snapshot.state for snapshot in snapshots})

    def went_through(self, *states: dict[int, str]) -> bool:
        """Whether these lists came in this order, others between them."""
        rest = iter(self.lists)
        return all(any(seen == wanted for seen in rest) for wanted in states)


class Rig:
    """A fleet and the ways its next workers will have."""

    def __init__(self, folder: Path, count: int, assignments: int, drain_limit_s: float) -> None:
        self.folder = folder
        self.ways: dict[str, Any] = {}
        self.started = 0
        self.told = Told()
        self.metrics = Metrics()
        self.fleet = Fleet(
            count,
            [
                PortAssignment(n, 6000 + n, (20000 + 100 * n, 20099 + 100 * n))
                for n in range(1, assignments + 1)
            ],
            folder,
            self.metrics,
            launcher=self.launch,
            drain_limit_s=lambda: drain_limit_s,
        )
        self.fleet.observe(self.told.observe)

    def launch(self, assignment: PortAssignment) -> Launch:
        self.started += 1
        setup = self.folder / f"{self.started}.json"
        setup.write_text(json.dumps(self.ways))
        socket = self.folder / f"{self.started}.sock"
        return Launch(setup, socket, "127.0.0.1", 1.0, {}, PROGRAM)

    @property
    def states(self) -> dict[int, str]:
        return {snapshot.number: snapshot.state for snapshot in self.fleet.snapshots()}

    @property
    def pids(self) -> list[int]:
        return [snapshot.pid for snapshot in self.fleet.snapshots()]

    def restarts(self, cause: str) -> float:
        labels = {"cause": cause}
        return self.metrics.registry.get_sample_value("gateway_worker_restarts_total", labels) or 0

    async def until(self, is_so: Callable[[], bool], timeout_s: float = 20) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_so():  # noqa: ASYNC110 - nothing tells of all that is waited for
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(
    folder: Path, *, count: int = 2, assignments: int = 4, drain_limit_s: float = 30, **ways: Any
) -> AsyncIterator[Rig]:
    """A fleet that is ready; at the end all of it is gone."""
    rig = Rig(folder, count, assignments, drain_limit_s)
    rig.ways = ways
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        living = group.create_task(rig.fleet.run())
        await rig.until(rig.fleet.is_ready.is_set)
        yield rig
        pids = rig.pids
        if not living.done():
            await rig.fleet.end_now()
            await living
    assert not any(map(is_process_alive, pids))
    assert not rig.fleet.workers


def test_a_dead_worker_is_replaced_in_its_seat(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as rig:
            victim = rig.fleet.workers[0]
            await victim.end()
            await rig.until(lambda: rig.started == 3 and rig.states == {1: "up", 2: "up"})
            assert rig.restarts("died") == 1
            up = {1: "up", 2: "up"}
            history = (up, {2: "up"}, {1: "starting", 2: "up"}, up)
            await rig.until(lambda: rig.told.went_through(*history))

    asyncio.run(body())


def test_the_first_start_must_succeed(tmp_path: Path) -> None:
    async def body() -> set[int]:
        rig = Rig(tmp_path, 2, 4, 30)
        rig.ways = {"fails": True}
        with pytest.raises(BaseExceptionGroup) as caught:
            async with asyncio.timeout(30):
                await rig.fleet.run()
        found = leaves(caught.value)  # of one worker, or of both at once
        return {error.exit_code for error in found if isinstance(error, WorkerStartError)}

    assert asyncio.run(body()) == {3}


def test_each_is_announced_before_the_one_it_replaces_drains(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, has_calls=True) as rig:
            rig.ways = {}
            old = rig.pids
            assert await rig.fleet.roll() == 2
            assert rig.states == {1: "draining", 2: "draining", 3: "up", 4: "up"}
            history = (
                {1: "up", 2: "up", 3: "starting"},
                {1: "draining", 2: "up", 3: "up", 4: "starting"},
                {1: "draining", 2: "draining", 3: "up", 4: "up"},
            )
            await rig.until(lambda: rig.told.went_through(*history))
            assert all(map(is_process_alive, old))  # they have calls
            with pytest.raises(TimeoutError):  # no assignment is free
                async with asyncio.timeout(0.5):
                    await rig.fleet.roll()

    asyncio.run(body())


def test_one_that_does_not_come_up_changes_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as rig:
            before = rig.pids
            rig.ways = {"fails": True}
            with pytest.raises(CommandError, match=r"503 .*exit code 3.*old worker goes on"):
                await rig.fleet.roll()
            assert rig.pids == before
            assert rig.states == {1: "up", 2: "up"}
            rig.ways = {}
            await rig.fleet.roll()  # the assignment is free again
            assert sorted(rig.states.items())[-1] == (4, "up")

    asyncio.run(body())


def test_a_replacement_that_fails_half_way_can_be_taken_back(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, version=1) as rig:
            second = rig.fleet.workers[1].pid
            start = rig.launch

            def fail_after_one(assignment: PortAssignment) -> Launch:
                launch = start(assignment)
                rig.ways = {"fails": True}
                return launch

            rig.ways = {"version": 2}
            rig.fleet._launcher = fail_after_one
            with pytest.raises(CommandError):
                await rig.fleet.roll()
            rig.fleet._launcher, rig.ways = start, {"version": 1}
            await rig.fleet.roll_back()
            await rig.until(lambda: len(rig.pids) == 2)
            assert second in rig.pids  # it had not been replaced
            assert rig.started == 2 + 2 + 1

    asyncio.run(body())


def test_without_a_spare_seat_nothing_is_replaced(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, count=1, assignments=1) as rig:
            with pytest.raises(CommandError, match="409"):
                await rig.fleet.roll()

    asyncio.run(body())


def test_a_late_clock_is_found_and_its_worker_replaced(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(
            tmp_path, count=1, assignments=2, clock_late_s=1.5, has_calls=True
        ) as rig:
            rig.ways = {}
            await rig.until(lambda: rig.states == {1: "draining", 2: "up"})
            assert rig.restarts("stuck") == 1
            # It never gets better: the calls that it has are given up in the end.
            await rig.until(lambda: rig.states == {2: "up"})

    asyncio.run(body())


def test_one_that_is_stopped_is_trusted_again_or_killed(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, count=1, assignments=1) as rig:
            (stopped,) = rig.pids
            os.kill(stopped, signal.SIGSTOP)
            await rig.until(lambda: rig.states == {1: "stuck"})
            os.kill(stopped, signal.SIGCONT)
            await rig.until(lambda: rig.states == {1: "up"})
            assert rig.pids == [stopped]
            os.kill(stopped, signal.SIGSTOP)  # it cannot even take a SIGTERM
            await rig.until(lambda: rig.states == {1: "up"} and rig.pids != [stopped])
            assert rig.restarts("lost") == 1

    asyncio.run(body())


def test_drain_ends_who_has_no_call_and_waits_for_who_has(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, drain_limit_s=2, has_calls=True) as rig:
            rig.ways = {}
            (one, two) = rig.fleet.workers
            await one.end()
            await rig.until(lambda: rig.started == 3 and rig.states == {1: "up", 2: "up"})
            rig.fleet.drain()
            await rig.until(lambda: rig.states == {2: "draining"})
            assert rig.told.went_through({1: "draining", 2: "draining"})
            assert not two.has_ended.is_set()
            await rig.until(two.has_ended.is_set)  # the limit
            assert rig.started == 3

    asyncio.run(body())


def test_a_drain_waits_until_the_edge_knows(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, count=1, assignments=2) as rig:
            rig.told.slow_s = 0.5
            rig.fleet.drain()
            await asyncio.sleep(0.2)
            assert not rig.fleet.workers[0].has_ended.is_set()
            await rig.until(lambda: not rig.fleet.workers)
            assert {1: "draining"} in rig.told.lists

    asyncio.run(body())


def test_an_observer_that_fails_stops_nobody(tmp_path: Path) -> None:
    async def fail(_views: Sequence[WorkerSnapshot]) -> None:
        raise ZeroDivisionError("a bug of the observer")

    async def body() -> None:
        async with running(tmp_path, count=1, assignments=2) as rig:
            rig.fleet.observe(fail)
            await rig.fleet.roll()
            await rig.until(lambda: rig.states == {2: "up"})

    asyncio.run(body())
