"""The calls of one worker, from admission to their written records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog

from gateway.audio import echo
from gateway.audio.echo_control import EchoControl
from gateway.call.line import CallFacts, End, Line
from gateway.call.live_call import LiveCall
from gateway.call.session import CallSession, Flow
from gateway.config.dialplans import Action as Step
from gateway.config.dialplans import Answer, Talk
from gateway.config.models import GatewayConfig, MediaConfig, SipConfig
from gateway.config.port_assignment import PortAssignment
from gateway.dialplan.router import Route
from gateway.dialplan.runner import Runner
from gateway.dialplan.steps import StepScope
from gateway.errors import CallNotFound
from gateway.process import messages as m
from gateway.process.agents import Service
from gateway.process.control import ControlServer
from gateway.process.engine_pool import EnginePool
from gateway.records.model import CallRecord, CallSummary
from gateway.records.store import CallRecords
from gateway.sip.edge_peer import EdgePeer
from gateway.telemetry.logging import call_context, masked
from gateway.telemetry.metrics import Metrics
from gateway.threads import collect_between_calls

log = structlog.get_logger(__name__)

_RECORD_SETTLES_S = 2.0
"""How long to wait for the record to be written before the call is reported as ended."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every call of this worker shares."""

    config: GatewayConfig
    """As it was at the start: what belongs to the endpoint does not change."""
    assignment: PortAssignment
    edge: EdgePeer | None
    pool: EnginePool
    records: CallRecords
    metrics: Metrics
    control: ControlServer


class WorkerCalls:
    """Runs the calls of this worker: a session for each, in one task group."""

    def __init__(
        self, parts: Parts, group: asyncio.TaskGroup, release: Callable[[Line], None]
    ) -> None:
        """Prepare; there are no calls yet.

        Args:
            parts: what the calls share.
            group: owns their tasks.
            release: makes the slot of a call that is over free.  Idempotent.
        """
        self._parts = parts
        self._group = group
        self._release_line = release
        self._sessions: dict[str, CallSession] = {}
        self._count = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def summaries(self) -> tuple[CallSummary, ...]:
        """Return what is known of each call in progress."""
        return tuple(session.record.summary() for session in self._sessions.values())

    def session(self, call_id: str) -> CallSession:
        """Return the session of a call in progress.  Raises CallNotFound."""
        try:
            return self._sessions[call_id]
        except KeyError:
            raise CallNotFound(404, f"no call {call_id} in progress") from None

    async def wait_idle(self) -> None:
        """Wait until there is no call."""
        await self._is_idle.wait()

    async def end_all(self) -> None:
        """End every call and wait for the records."""
        for session in list(self._sessions.values()):
            self._group.create_task(
                session.hang_up(End("shutdown", "the gateway is shutting down"))
            )
        await self.wait_idle()

    def begin(
        self,
        line: Line,
        where: Route,
        service: Service,
        flow: Flow | None = None,
        limits: SipConfig | None = None,
    ) -> None:
        """Serve an admitted or placed call in a task of its own.

        Args:
            line: of the call.
            where: what happens to it.
            service: at work.
            flow: what happens instead, where a client of the call decides; it does without echo
                control, for no line is at its end.
            limits: of the call; None = as configured.
        """
        self._is_idle.clear()  # at once: a wait for the last call must not miss this one
        self._count += 1
        self._group.create_task(self._serve(line, where, service, flow, limits))

    async def _serve(
        self,
        line: Line,
        where: Route,
        service: Service,
        flow: Flow | None,
        limits: SipConfig | None,
    ) -> None:
        facts = line.facts
        with call_context(call_id=facts.call_id, trunk=facts.trunk):
            log.info(
                "call_started", direction=facts.direction, caller=masked(facts.caller),
                called=masked(facts.called), source=facts.source, rule=where.rule,
            )  # fmt: skip
            try:
                with service.call():
                    await self._run_session(line, where, service, flow, limits)
            except Exception:  # the other calls of this worker go on
                log.exception("call_lost")
                line.hang_up_nowait(End("crashed"))
            finally:
                self._release(line)
                self._count -= 1
                if not self._count:
                    self._is_idle.set()
                collect_between_calls()

    def _release(self, line: Line) -> None:
        """Its slot is free; nothing can be asked of the call any more.  Idempotent."""
        self._sessions.pop(line.facts.call_id, None)
        self._release_line(line)

    async def _run_session(
        self,
        line: Line,
        where: Route,
        service: Service,
        flow: Flow | None,
        limits: SipConfig | None,
    ) -> None:
        parts = self._parts
        bundle = parts.records.open(
            record_of(line.facts, datetime.now(UTC)),
            is_recorded=begins_recorded(where.steps, service.config),
        )
        record = bundle.record
        echo_control = None if flow is not None else _echo_control(service.config.media)
        session = CallSession(
            line, bundle, record, parts.metrics, limits or service.config.sip, echo_control
        )
        self._sessions[line.facts.call_id] = session
        parts.control.publish(m.CallStarted(call=record.summary()))
        own = _RouteFlow(service, where)
        ended = await session.run(
            flow or own.run,
            where.rule,
            on_closed=partial(self._release, line),
            on_ringing=own.ring,
        )
        if not await parts.records.settled(_RECORD_SETTLES_S):
            log.warning("disk_too_slow", call_id=ended.call_id, waited_s=_RECORD_SETTLES_S)
        self._report(ended)
        if line.is_untrusted and ended.answered_at is None:
            parts.records.make_refusal(bundle, ended, now_s=asyncio.get_running_loop().time())

    def _report(self, record: CallRecord) -> None:
        log.info(
            "call_ended", reason=record.end_reason, sip_status=record.sip_status,
            duration_s=record.duration_s, turns=len(record.turns), codec=record.codec,
        )  # fmt: skip
        metrics = self._parts.metrics.of_variant(record.variant)
        metrics.calls.labels(record.direction, record.end_reason).inc()
        metrics.call_duration.observe(record.duration_s or 0.0)
        self._parts.control.publish(m.CallEnded(call=record.summary()))


def begins_recorded(steps: Sequence[Step], config: GatewayConfig) -> bool:
    """Return whether a call is recorded from its first sample on.  Pure.

    False when all that comes before an agent that is not recorded is the answer.
    """
    for step in steps:
        if isinstance(step, Talk):
            return config.agents[step.agent].record
        if not isinstance(step, Answer):
            return True
    return True


def _echo_control(media: MediaConfig) -> EchoControl | None:
    if not media.echo_cancel or echo.probe():
        return None
    return EchoControl(media.echo_tail_ms, media.max_echo_delay_ms)


class _RouteFlow:
    """Follows a route of the dialplan to the call's end."""

    def __init__(self, service: Service, where: Route) -> None:
        self._service = service
        self._where = where
        self._runner: Runner | None = None

    def ring(self, call: LiveCall) -> None:
        """Get ready while a placed call rings."""
        self._runner = self._made(call)
        self._runner.ring(self._where)

    async def run(self, call: LiveCall) -> End:
        """Follow it."""
        runner = self._runner or self._made(call)
        return await runner.run(self._where, is_answered=call.line.facts.direction == "out")

    def _made(self, call: LiveCall) -> Runner:
        plan = self._service.plan
        return Runner(plan, StepScope(call, self._service.agents.by_name, plan.default_agent))


def record_of(facts: CallFacts, now: datetime) -> CallRecord:
    """Return the first record of a call."""
    return CallRecord(
        call_id=facts.call_id,
        sip_call_id=facts.sip_call_id,
        direction=facts.direction,
        caller=facts.caller,
        called=facts.called,
        trunk=facts.trunk,
        source=facts.source,
        started_at=now,
    )
