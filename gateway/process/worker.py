"""What any worker does: takes calls from its transport and commands from the supervisor."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import structlog
from pydantic import BaseModel

from gateway.call.line import Line
from gateway.call.transport import Transport
from gateway.config.dialplans import Talk
from gateway.config.models import GatewayConfig
from gateway.config.secrets import secrets_of
from gateway.dialplan.router import Route, route
from gateway.errors import CommandError, SipError
from gateway.process import messages as m
from gateway.process.agents import Service
from gateway.process.call_commands import act_on_call, change_settings
from gateway.process.heartbeat import LoopLateness
from gateway.process.worker_calls import Parts, WorkerCalls
from gateway.process.worker_config import with_assigned_ports
from gateway.setup.checked_config import kept_setup
from gateway.sip.trunk_status import TrunkStatus
from gateway.telemetry.logging import hide_in_logs
from gateway.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


class Worker:
    """Takes calls from its transport and commands from the supervisor; one kind per transport."""

    def __init__(self, parts: Parts, service: Service, group: asyncio.TaskGroup) -> None:
        self._parts = parts
        self._service = service
        """What new calls are served with."""
        self._group = group
        self._changing = asyncio.Lock()
        self.lateness = LoopLateness()
        self._calls = WorkerCalls(parts, group, self._release)
        self._draining = asyncio.Event()
        self._rendering: asyncio.Task[None] | None = None
        self.transport: Transport | None = None
        """Carries the calls, once it is there."""

    # --- what the transport says (CallSink) ---

    def new_call_id(self) -> str:
        """Make an id for a call."""
        return self._parts.records.new_call_id()

    def on_incoming(self, line: Line) -> None:
        """Serve an admitted call."""
        service = self._service
        self._calls.begin(line, route(service.plan, line.facts), service)

    # --- what the supervisor says (CommandReceiver) ---

    async def do(self, command: m.Command) -> BaseModel:  # noqa: PLR0911 (one per command)
        """Execute a command.  Raises GatewayError."""
        match command:
            case m.PlaceCall():
                return m.CallPlaced(call_id=self._place(command))
            case m.ListCalls():
                return m.CallList(calls=self._calls.summaries())
            case m.GetCall(call_id=call_id):
                return m.CallDetail(call=self._calls.session(call_id).record)
            case m.GetTrunks():
                return m.TrunkList(trunks=self.trunks())
            case m.GetMetrics():
                return m.MetricsText(text=self._metrics_text())
            case m.GetStatus():
                return self._status()
            case m.Drain():
                self._transport.draining = True
                self._draining.set()
                self._service.agents.cool_down()
                return m.Done()
            case m.Reload(setup=file):
                await self._change_service(Path(file))
                return m.Done()
            case m.ChangeSettings():
                return await change_settings(self._calls.session(command.call_id), command)
            case _:
                await act_on_call(self._calls.session(command.call_id), command)
                return m.Done()

    async def _change_service(self, file: Path) -> None:
        """Serve new calls by another configuration; calls in progress keep theirs."""
        async with self._changing:
            setup = kept_setup(file)
            hide_in_logs(secrets_of(setup.config))
            fresh = Service(
                setup, with_assigned_ports(setup.config, self._parts.assignment), self._parts.pool
            )
            try:
                await fresh.agents.warm_up()
            except BaseException:
                await fresh.agents.close()
                raise
            await self._stop_rendering()
            old, self._service = self._service, fresh
            old.agents.cool_down(but=fresh.agents)
            if self._draining.is_set():
                fresh.agents.cool_down()
            self.render_known_texts()
            self.use(fresh.config)
            self._group.create_task(old.close_when_idle())
            log.info("configuration_changed", agents=list(fresh.agents.by_name))

    def render_known_texts(self) -> None:
        """Begin to render, while there is no call, what the language models are known to say."""
        rendering = self._service.agents.render_known_texts(self._calls.wait_idle)
        self._rendering = self._group.create_task(rendering)

    async def _stop_rendering(self) -> None:
        if self._rendering is not None:
            self._rendering.cancel()
            await asyncio.wait([self._rendering])

    async def close(self) -> None:
        """Return the engines back; there are no calls any more."""
        await self._stop_rendering()
        await self._service.agents.close()

    async def stop_when_drained(self, stop: asyncio.Event) -> None:
        """Stop the worker once it was drained and its last call has ended."""
        await self._draining.wait()
        await self._calls.wait_idle()
        stop.set()

    async def end_calls(self) -> None:
        """End every call and wait for the records."""
        await self._calls.end_all()

    # --- calls ---

    @property
    def _transport(self) -> Transport:
        """The transport that carries the calls of this worker."""
        if self.transport is None:
            raise SipError(503, "starting")
        return self.transport

    def _release(self, line: Line) -> None:
        self._transport.release(line)

    def _place(self, command: m.PlaceCall) -> str:
        service = self._service
        agent = command.agent or service.plan.default_agent
        if agent not in service.agents.by_name:
            raise CommandError(422, f"no agent named {agent!r}")
        if command.trunk and all(t.name != command.trunk for t in self._parts.config.trunks):
            raise CommandError(422, f"no trunk named {command.trunk!r}")
        line = self._transport.place(
            command.to, command.trunk, command.caller_id, command.variables
        )
        steps = (Talk(agent=agent),)
        self._calls.begin(line, Route("", "", steps, "placed by request"), service)
        return line.facts.call_id

    # --- what differs between transports ---

    def trunks(self) -> tuple[TrunkStatus, ...]:
        """Return the state of every trunk; there are none here."""
        return ()

    def use(self, config: GatewayConfig) -> None:
        """Take over what of a new configuration belongs to the transport."""

    def observe(self, metrics: Metrics) -> None:
        """Set figures of the transport."""

    # --- what can be seen ---

    def _status(self) -> m.WorkerStatus:
        slots = self._transport.slots
        used = self._transport.active_calls()
        draining = self._transport.draining
        reason = "draining" if draining else "all call slots taken" if used >= slots else ""
        return m.WorkerStatus(
            ready=not reason, reason=reason, slots=slots, slots_used=used,
            draining=draining, pid=os.getpid(), unwritten=self._parts.records.unwritten,
            loop_late_s=self.lateness.worst_s, clock_late_s=self._transport.clock_late_s(),
        )  # fmt: skip

    def _metrics_text(self) -> str:
        metrics = self._parts.metrics
        metrics.observe_process()
        used = self._transport.active_calls()
        metrics.call_slots.set(self._transport.slots)
        metrics.call_slots_used.set(used)
        metrics.observe_calls(used)
        metrics.loop_late.set(self.lateness.worst_s)
        metrics.clock_late.set(self._transport.clock_late_s())
        self.observe(metrics)
        return metrics.text()
