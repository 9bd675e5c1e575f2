"""One worker process as the supervisor sees it, from its start to its end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from gateway.child_processes import end_child
from gateway.config.port_assignment import PortAssignment
from gateway.errors import CommandError, GatewayError
from gateway.process import messages as m
from gateway.process.call_directory import CallDirectory
from gateway.process.control_client import ControlClient, connect
from gateway.process.heartbeat import HEARTBEAT_S, Condition, Heartbeat, HeartbeatMonitor

WorkerState = Literal["starting", "up", "stuck", "draining"]
"""starting: not warm yet; up: takes calls; stuck: takes none, may come back; draining: takes none
any more, has calls.  One that has ended is no longer listed."""


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One worker process at one moment."""

    number: int
    """Of its port assignment: `worker-3`.  Another process may have it later."""
    host: str
    """Where its SIP is reached from this machine."""
    port: int
    slots: int
    slots_used: int
    """At its last heartbeat."""
    state: WorkerState
    pid: int

    @property
    def takes_calls(self) -> bool:
        """True when new calls may be sent there."""
        return self.state == "up"


FleetObserver = Callable[[Sequence[WorkerSnapshot]], Awaitable[None]]
"""Awaited with all workers whenever one comes, goes, or changes its state.

Never two at a time.  A worker that is to drain refuses calls only after this has returned, one that
is up was announced before the one it replaces drains: when the edge has taken the list over by
then, no call is refused.  An observer must not raise and should give up after a few seconds.
"""


log = structlog.get_logger(__name__)

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 15.0
_EX_OSERR = 71  # sysexits.h
_LAST_EVENTS_S = 1.0
_KILL_TIMEOUT_S = 3.0
"""For one that has not answered for long."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a worker is started."""

    setup: Path
    """What `Setup.keep` wrote."""
    socket: Path
    address: str
    """Where its SIP is reached from this machine."""
    stuck_after_s: float
    environ: Mapping[str, str]
    """Added to ours."""
    program: Sequence[str] = (sys.executable, "-m", "gateway", "worker")
    kind: str = "worker"
    """Its name is this and its number."""


OnChange = Callable[["WorkerProcess"], None]


class WorkerProcess:
    """One process; `run` is its life.  Loop thread only."""

    def __init__(
        self, assignment: PortAssignment, launch: Launch, on_change: OnChange, calls: CallDirectory
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            assignment: where it listens.
            launch: how it is started.
            on_change: called when its state changes.
            calls: is told of its calls.
        """
        self.assignment = assignment
        self.kind = launch.kind
        self.name = f"{launch.kind}-{assignment.number}"
        self.state: WorkerState = "starting"
        self.client: ControlClient | None = None
        """Commands go here once it is ready."""
        self.status = m.WorkerStatus(ready=False, reason="starting", slots=0)
        """What it said last."""
        self.is_ready = asyncio.Event()
        self.is_left = asyncio.Event()
        """It takes no new calls any more: it has ended, or is to end."""
        self.has_ended = asyncio.Event()
        self.is_lost = asyncio.Event()
        """It has been stuck for too long."""
        self.exit_code: int | None = None
        self._launch = launch
        self._on_change = on_change
        self._calls = calls
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 before it was started."""
        return self._process.pid if self._process else 0

    def snapshot(self) -> WorkerSnapshot:
        """Return a snapshot of this worker."""
        status = self.status
        return WorkerSnapshot(
            self.assignment.number, self._launch.address, self.assignment.sip_port,
            status.slots, status.slots_used, self.state, self.pid,
        )  # fmt: skip

    @property
    def socket(self) -> Path:
        """Where it takes commands."""
        return self._launch.socket

    async def run(self) -> int:
        """Start it and stay with it until it ends; cancelled, end it.  Returns the exit code."""
        try:
            async with self._started() as process:
                await self._follow(process)
                await self.end()
                self.exit_code = process.returncode or 0
        except OSError as error:
            log.error("worker_not_started", worker=self.name, problem=str(error))  # noqa: TRY400
            self.exit_code = _EX_OSERR
        finally:
            self.client = None
            self._calls.lose(self)
            self.is_left.set()
            self.has_ended.set()
            self._on_change(self)
        return self.exit_code

    async def retire(self, limit_s: float) -> None:
        """Have it take no more calls and end with its last one; returns when it has ended.

        Args:
            limit_s: then the calls that are left are ended.
        """
        self.set_state("draining")
        try:
            async with asyncio.timeout(limit_s):
                await self._tell_to_drain()
                await first_of(self.has_ended, self.is_lost)
        except TimeoutError:
            log.warning("drain_limit_reached", worker=self.name, limit_s=limit_s)
        await self.end()

    async def end(self) -> None:
        """End it and its calls now: politely where it answers, else by force."""
        process = self._process
        if process is None:
            return
        timeout_s = _KILL_TIMEOUT_S if self.is_lost.is_set() else _STOP_TIMEOUT_S
        if not await end_child(process, timeout_s):
            log.warning("worker_killed", worker=self.name, reason="it did not end by itself")

    def set_state(self, state: WorkerState) -> None:
        """Change the state; one that drains never takes calls again."""
        if self.state in (state, "draining"):
            return
        self.state = state
        if state == "draining":
            self.is_left.set()
        self._on_change(self)

    async def _tell_to_drain(self) -> None:
        """Repeat the command until the worker has received it or has ended."""
        while not (self.has_ended.is_set() or self.is_lost.is_set()):
            if self.client is None:  # still starting: it has no calls
                await self.end()
                return
            try:
                await self.client.request(m.Drain(), m.Done, HEARTBEAT_S)
            except CommandError:  # stuck; it gets no calls while it is
                await asyncio.sleep(HEARTBEAT_S)
            else:
                return

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        """Stay connected as long as it lives; what cannot be reached is ended."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(process.wait())
            talk = group.create_task(self._talk())
            try:
                await asyncio.wait([watch, talk], return_when=asyncio.FIRST_COMPLETED)
                if self.client is not None:  # its last events are still to be read
                    await asyncio.wait([talk], timeout=_LAST_EVENTS_S)
            finally:  # told before it is left alone
                if not watch.done():
                    with suppress(ProcessLookupError):  # it has ended already
                        process.terminate()
                watch.cancel()
                talk.cancel()

    async def _talk(self) -> None:
        try:
            async with connect(self._launch.socket, _START_TIMEOUT_S) as client:
                self.status = await client.request(m.GetStatus(), m.WorkerStatus)
                self.client = client
                self.is_ready.set()
                if self.state == "starting":
                    self.set_state("up")
                async with asyncio.TaskGroup() as group:
                    beats = group.create_task(self._beat(client))
                    await self._adopt_calls(client)
                    async for event in client.events():
                        self._calls.take(self, event)
                    beats.cancel()
        except CommandError as error:
            log.warning("worker_not_reached", worker=self.name, problem=error.reason)

    async def _adopt_calls(self, client: ControlClient) -> None:
        """Ask for the calls that came before there was a connection."""
        with suppress(CommandError):  # gone, or stuck: the heartbeat acts on it
            listed = await client.request(m.ListCalls(), m.CallList, HEARTBEAT_S)
            self._calls.adopt(self, listed.calls)

    async def _beat(self, client: ControlClient) -> None:
        """Ask how it is, over and over."""
        heartbeats = HeartbeatMonitor(self._launch.stuck_after_s)
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self._judge(heartbeats.judge(await self._ask(client)))

    async def _ask(self, client: ControlClient) -> Heartbeat:
        try:
            status = await client.request(m.GetStatus(), m.WorkerStatus, HEARTBEAT_S)
        except GatewayError:
            return Heartbeat(answered=False)
        self.status = status
        return Heartbeat(True, status.loop_late_s, status.clock_late_s)  # noqa: FBT003 - a record

    def _judge(self, condition: Condition) -> None:
        if condition == "healthy":
            if self.state == "stuck":
                log.info("worker_recovered", worker=self.name)
                self.set_state("up")
            return
        if self.state not in ("stuck", "draining"):
            status = self.status
            log.error("worker_stuck", worker=self.name, pid=self.pid,
                      loop_late_s=status.loop_late_s, clock_late_s=status.clock_late_s)  # fmt: skip
            self.set_state("stuck")
        if condition == "lost" and not self.is_lost.is_set():
            log.error("worker_lost", worker=self.name, pid=self.pid)
            self.is_lost.set()
        self._on_change(self)  # with every heartbeat: what could not be done may be possible now

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[asyncio.subprocess.Process]:
        assignment, launch = self.assignment, self._launch
        command = [*launch.program, "--index", str(assignment.number)]
        command += ["--socket", str(launch.socket), "--setup", str(launch.setup)]
        command += ["--sip-port", str(assignment.sip_port)]
        command += ["--rtp-ports", *map(str, assignment.rtp_ports)]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, env={**os.environ, **launch.environ}
        )
        self._process = process
        try:
            yield process
        finally:
            await self.end()


async def first_of(*events: asyncio.Event) -> None:
    """Wait for one of several events."""
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(event.wait()) for event in events]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
