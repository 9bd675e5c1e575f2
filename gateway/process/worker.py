"""One worker process: wires SIP, agents, dialplan and records together; decides nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
import uvloop
from pydantic import BaseModel

from gateway.allowance import Muffler
from gateway.audio import echo
from gateway.audio.echo_control import EchoControl
from gateway.config.dialplans import Action as Step
from gateway.config.dialplans import Answer, Talk
from gateway.config.models import GatewayConfig, MediaConfig
from gateway.config.seats import Seat
from gateway.conversation.line import CallFacts
from gateway.conversation.live_call import EagernessRequest, LiveCall, SayRequest
from gateway.dialplan.router import Route, route
from gateway.dialplan.runner import Runner
from gateway.dialplan.steps import StepScope
from gateway.errors import CallNotFound, CommandError, GatewayError, SipError, leaves
from gateway.process import messages as m
from gateway.process.agents import EnginePool
from gateway.process.call_session import CallSession, End
from gateway.process.control import ControlServer
from gateway.process.lateness import LoopLateness
from gateway.process.seating import seated
from gateway.process.service import Service
from gateway.process.setup import Setup, kept_setup
from gateway.providers.vad.silero import SileroModel, SpeechProbability
from gateway.records.ids import host_name
from gateway.records.model import CallRecord
from gateway.records.redaction import load_redactor
from gateway.records.store import CallRecords
from gateway.sip.admission import Refuse
from gateway.sip.call import SipLine
from gateway.sip.edge_peer import EdgePeer
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.trunk import TrunkState
from gateway.telemetry.logging import call_context, configure_logging
from gateway.telemetry.metrics import Metrics
from gateway.threads import BackgroundWriter, collect_between_calls, tune_interpreter

log = structlog.get_logger(__name__)

_RECORDS_RETRY_S = 5.0
_RECORD_SETTLES_S = 2.0
"""So long is a call's end not reported while the disk takes its record."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What every call of this worker shares."""

    config: GatewayConfig
    """As it was at the start: what belongs to the endpoint does not change."""
    seat: Seat
    edge: EdgePeer | None
    pool: EnginePool
    records: CallRecords
    metrics: Metrics
    detector: SileroModel
    control: ControlServer


class Worker:
    """Takes calls from the endpoint and commands from the supervisor."""

    def __init__(self, parts: _Parts, service: Service, group: asyncio.TaskGroup) -> None:
        self._parts = parts
        self._service = service
        """What new calls are served with."""
        self._group = group
        self._changing = asyncio.Lock()
        self.lateness = LoopLateness()
        self._sessions: dict[str, CallSession] = {}
        self._calls = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self.endpoint: SipEndpoint | None = None
        self._draining = asyncio.Event()
        self._muffler = Muffler()

    # --- what the endpoint says (CallSink) ---

    def new_call_id(self) -> str:
        """Make an id for a call."""
        return self._parts.records.new_call_id()

    def on_incoming(self, line: SipLine) -> None:
        """Serve an admitted call."""
        service = self._service
        self._begin(line, route(service.plan, line.facts), service)

    def on_refused(self, facts: CallFacts, refusal: Refuse) -> None:
        """Record a refused call, within reason."""
        self._count_refused(
            "call_refused", refusal.rule, status=refusal.status, reason=refusal.reason,
            caller=facts.caller, called=facts.called, source=facts.source,
        )  # fmt: skip
        text = f"{refusal.reason} (rule {refusal.rule})"
        now = datetime.now(UTC)
        record = _record_of(facts, now).ended(now, "refused", text, refusal.status)
        now_s = asyncio.get_running_loop().time()
        self._parts.records.record_refusal(record, now_s=now_s, details={"rule": refusal.rule})

    def on_outgoing_refused(self, rule: str, target: str) -> None:
        """Count what `[outgoing]` kept from going out."""
        self._parts.metrics.outgoing_refused.labels(rule).inc()
        if self._muffler.passes(rule, asyncio.get_running_loop().time()):
            held_back = self._muffler.held_back(rule)
            log.warning("outgoing_refused", rule=rule, target=target, not_logged=held_back)

    def on_turned_away(self, rule: str, method: str, source: str) -> None:
        """Count a request that was no call, or was not even read."""
        self._count_refused("request_refused", rule, method=method, source=source)

    def _count_refused(self, event: str, rule: str, **facts: object) -> None:
        """Count; log a few of each kind a minute: whoever floods us must not fill a disk."""
        self._parts.metrics.refused.labels(rule).inc()
        kind = f"{event} {rule}"
        if self._muffler.passes(kind, asyncio.get_running_loop().time()):
            log.warning(event, rule=rule, **facts, not_logged=self._muffler.held_back(kind))

    def on_trunk(self, state: TrunkState) -> None:
        """Pass a registration's state on."""
        log.info("trunk", **{k: getattr(state, k) for k in ("name", "state", "status", "reason")})
        is_up = state.state == "registered"
        self._parts.metrics.trunk_registered.labels(state.name).set(1 if is_up else 0)
        self._parts.control.publish(m.TrunkChanged(trunk=_trunk_status(state)))

    # --- what the supervisor says (CommandReceiver) ---

    async def do(self, command: m.Command) -> BaseModel:  # noqa: PLR0911 (one per command)
        """Do what a command says.  Raises GatewayError."""
        match command:
            case m.PlaceCall():
                return m.CallPlaced(call_id=self._place(command))
            case m.ListCalls():
                return m.CallList(calls=tuple(s.record.summary() for s in self._sessions.values()))
            case m.GetCall(call_id=call_id):
                return m.CallDetail(call=self._session(call_id).record)
            case m.GetTrunks():
                return m.TrunkList(trunks=tuple(map(_trunk_status, self._endpoint.trunks())))
            case m.GetMetrics():
                return m.MetricsText(text=self._metrics_text())
            case m.GetStatus():
                return self._status()
            case m.Drain():
                self._endpoint.draining = True
                self._draining.set()
                return m.Done()
            case m.Reload(setup=file):
                await self._change_service(Path(file))
                return m.Done()
            case _:
                await self._act_on_call(command)
                return m.Done()

    async def _act_on_call(
        self,
        command: m.HangUp | m.Transfer | m.Say | m.Dtmf | m.SetEagerness | m.SetRecording,
    ) -> None:
        session = self._session(command.call_id)
        match command:
            case m.HangUp():
                await session.hang_up(End("hung_up_by_api", "by request"))
            case m.Transfer(target=target):
                await session.line.transfer(target)
                await session.hang_up(End("transferred", target))
            case m.Dtmf(digits=digits):
                await session.line.send_digits(digits)
            case m.Say(text=text):
                _live(session).inbox.put_nowait(SayRequest(text))
            case m.SetEagerness(eagerness=eagerness):
                _live(session).inbox.put_nowait(EagernessRequest(eagerness))
            case m.SetRecording(paused=paused):
                _live(session).pause_recording(paused=paused)

    async def _change_service(self, file: Path) -> None:
        """Serve new calls by another configuration; calls in progress keep theirs."""
        async with self._changing:
            setup = kept_setup(file)
            fresh = Service(setup, seated(setup.config, self._parts.seat), self._parts.pool)
            try:
                await fresh.agents.warm_up()
            except BaseException:
                await fresh.agents.close()
                raise
            old, self._service = self._service, fresh
            self._endpoint.change_outgoing(fresh.config.outgoing)
            self._group.create_task(old.close_when_idle())
            log.info("configuration_changed", agents=list(fresh.agents.by_name))

    async def close(self) -> None:
        """Give the engines back; there are no calls any more."""
        await self._service.agents.close()

    async def stop_when_drained(self, stop: asyncio.Event) -> None:
        """Stop the worker once it was drained and its last call has ended."""
        await self._draining.wait()
        await self._is_idle.wait()
        stop.set()

    async def end_calls(self) -> None:
        """End every call and wait for the records."""
        for session in list(self._sessions.values()):
            self._group.create_task(
                session.hang_up(End("shutdown", "the gateway is shutting down", 503))
            )
        await self._is_idle.wait()

    # --- calls ---

    @property
    def _endpoint(self) -> SipEndpoint:
        if self.endpoint is None:
            raise SipError(503, "starting")
        return self.endpoint

    def _session(self, call_id: str) -> CallSession:
        try:
            return self._sessions[call_id]
        except KeyError:
            raise CallNotFound(404, f"no call {call_id} in progress") from None

    def _place(self, command: m.PlaceCall) -> str:
        service = self._service
        agent = command.agent or service.plan.default_agent
        if agent not in service.agents.by_name:
            raise CommandError(422, f"no agent named {agent!r}")
        if command.trunk and all(t.name != command.trunk for t in self._parts.config.trunks):
            raise CommandError(422, f"no trunk named {command.trunk!r}")
        line = self._endpoint.place(command.to, command.trunk)
        steps = (Talk(agent=agent),)
        self._begin(line, Route("", "", steps, "placed by request"), service)
        return line.facts.call_id

    def _begin(self, line: SipLine, where: Route, service: Service) -> None:
        self._is_idle.clear()  # at once: who waits for the last call must not miss this one
        self._calls += 1
        self._group.create_task(self._serve(line, where, service))

    async def _serve(self, line: SipLine, where: Route, service: Service) -> None:
        facts = line.facts
        with call_context(call_id=facts.call_id, trunk=facts.trunk):
            log.info("call_started", direction=facts.direction, caller=facts.caller,
                     called=facts.called, source=facts.source, route=where.explanation)  # fmt: skip
            try:
                with service.call():
                    await self._run_session(line, where, service)
            except Exception:  # the other calls of this worker go on
                log.exception("call_lost")
                line.hang_up_nowait(500)
            finally:
                self._sessions.pop(facts.call_id, None)
                self._endpoint.release(line)
                self._calls -= 1
                if not self._calls:
                    self._is_idle.set()
                collect_between_calls()

    async def _run_session(self, line: SipLine, where: Route, service: Service) -> None:
        parts = self._parts
        bundle = parts.records.open(
            _record_of(line.facts, datetime.now(UTC)),
            is_recorded=begins_recorded(where.steps, service.config, service.plan.default_agent),
        )
        record = bundle.record
        detector = SpeechProbability(parts.detector)
        echo_control = _echo_control(service.config.media)
        session = CallSession(
            line, bundle, record, detector, parts.metrics, service.config.sip, echo_control
        )
        self._sessions[line.facts.call_id] = session
        parts.control.publish(m.CallStarted(call=record.summary()))
        ended = await session.run(partial(_runner, service), where)
        if not await parts.records.settled(_RECORD_SETTLES_S):
            log.warning("disk_too_slow", call_id=ended.call_id, waited_s=_RECORD_SETTLES_S)
        self._report(ended)
        if line.is_strangers and ended.answered_at is None:
            parts.records.make_refusal(bundle, ended, now_s=asyncio.get_running_loop().time())

    def _report(self, record: CallRecord) -> None:
        log.info(
            "call_ended", reason=record.end_reason, text=record.end_text,
            duration_s=record.duration_s, turns=len(record.turns), codec=record.codec,
        )  # fmt: skip
        metrics = self._parts.metrics
        metrics.calls.labels(record.direction, record.end_reason).inc()
        metrics.call_duration.observe(record.duration_s or 0.0)
        self._parts.control.publish(m.CallEnded(call=record.summary()))

    # --- what can be seen ---

    def _status(self) -> m.WorkerStatus:
        slots = self._parts.config.sip.max_calls
        used = self._endpoint.active_calls()
        draining = self._endpoint.draining
        reason = "draining" if draining else "all call slots taken" if used >= slots else ""
        return m.WorkerStatus(
            ready=not reason, reason=reason, slots=slots, slots_used=used,
            draining=draining, pid=os.getpid(),
            loop_late_s=self.lateness.worst_s, clock_late_s=self._endpoint.clock_late_s(),
        )  # fmt: skip

    def _metrics_text(self) -> str:
        metrics = self._parts.metrics
        metrics.observe_process()
        used = self._endpoint.active_calls()
        metrics.call_slots.set(self._parts.config.sip.max_calls)
        metrics.call_slots_used.set(used)
        metrics.observe_calls(used)
        metrics.loop_late.set(self.lateness.worst_s)
        metrics.clock_late.set(self._endpoint.clock_late_s())
        metrics.sip_dialogs.set(self._endpoint.dialogs())
        return metrics.text()


async def serve(setup: Setup, seat: Seat, socket: Path) -> None:
    """Run a worker until it is told to stop.

    Raises:
        GatewayError: something that it needs does not work.
    """
    config = seated(setup.config, seat)
    metrics = Metrics()
    if config.media.echo_cancel and (hint := echo.probe()):
        log.warning("echo_cancelling_off", hint=hint)
    writer = BackgroundWriter("records")
    records = CallRecords(
        config.records.directory,
        audio=config.records.audio,
        host=host_name(config.records.host),
        writer=writer,
        redactor=load_redactor(config.records.redact, setup.folder, metrics.redaction_errors.inc),
        on_error=metrics.records_errors.inc,
    )
    records.prepare()
    pool = EnginePool()
    service = Service(setup, config, pool)
    try:
        detector = SileroModel()
        await service.agents.warm_up()
    except BaseException:
        await service.agents.close()
        raise
    edge = EdgePeer.of(setup.config)
    parts = _Parts(config, seat, edge, pool, records, metrics, detector, ControlServer(socket))
    try:
        await _serve_until_stopped(parts, service)
    finally:
        writer.close()


async def _serve_until_stopped(parts: _Parts, service: Service) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        worker = Worker(parts, service, group)
        try:
            await _serve_calls(parts, worker, group, stop)
        finally:
            await worker.close()


async def _serve_calls(
    parts: _Parts, worker: Worker, group: asyncio.TaskGroup, stop: asyncio.Event
) -> None:
    config = parts.config
    async with SipEndpoint(
        config.sip, config.trunks, config.outgoing, worker, parts.edge
    ) as endpoint:
        worker.endpoint = endpoint
        tasks = [
            group.create_task(endpoint.run()),
            group.create_task(parts.control.serve(worker)),
            group.create_task(_stop_when_abandoned(parts.control, stop)),
            group.create_task(worker.stop_when_drained(stop)),
            group.create_task(_retry_records(parts.records)),
            group.create_task(worker.lateness.run()),
        ]
        tune_interpreter()
        parts.metrics.mark_idle()
        await parts.control.is_listening.wait()
        sip = parts.config.sip
        parts.control.publish(
            m.WorkerReady(pid=os.getpid(), slots=sip.max_calls, sip_port=sip.port)
        )
        log.info("worker_ready", sip=f"{sip.bind}:{sip.port}", slots=sip.max_calls)
        await stop.wait()
        endpoint.draining = True
        await worker.end_calls()
        for task in tasks:
            task.cancel()


async def _stop_when_abandoned(control: ControlServer, stop: asyncio.Event) -> None:
    """A worker without its supervisor has no future."""
    await control.abandoned()
    if not stop.is_set():
        log.warning("supervisor_gone")
    stop.set()


async def _retry_records(records: CallRecords) -> None:
    """Write final records that a full disk refused, once there is room; runs until cancelled."""
    while True:
        await asyncio.sleep(_RECORDS_RETRY_S)
        records.retry_unwritten()


def begins_recorded(steps: Sequence[Step], config: GatewayConfig, default_agent: str) -> bool:
    """Say whether a call is recorded from its first sample on.  Pure.

    False when all that comes before an agent that is not recorded is the answer.
    """
    for step in steps:
        if isinstance(step, Talk):
            return config.agents[step.agent or default_agent].record
        if not isinstance(step, Answer):
            return True
    return True


def _echo_control(media: MediaConfig) -> EchoControl | None:
    if not media.echo_cancel or echo.probe():
        return None
    return EchoControl(media.echo_tail_ms, media.max_echo_delay_ms)


def _runner(service: Service, call: LiveCall) -> Runner:
    plan = service.plan
    return Runner(plan, StepScope(call, service.agents.by_name, plan.default_agent))


def _live(session: CallSession) -> LiveCall:
    if session.live is None:
        raise CallNotFound(404, f"call {session.record.call_id} is not up yet")
    return session.live


def _record_of(facts: CallFacts, now: datetime) -> CallRecord:
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


def _trunk_status(state: TrunkState) -> m.TrunkStatus:
    return m.TrunkStatus.model_validate(
        {
            "name": state.name,
            "state": state.state,
            "sip_status": state.status or None,
            "reason": state.reason,
            "expires_s": state.expires_s or None,
            "retry_s": state.retry_in_s or None,
        }
    )


def run(socket: Path, seat: Seat, setup_file: Path) -> int:
    """Run as a process of its own (`gateway worker`, started by the supervisor).

    Returns:
        Exit code: 78 for a wrong configuration, 1 when something that it needs does not work.
    """
    setup = kept_setup(setup_file)
    configure_logging(setup.config.log, worker=str(seat.number))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            loop.run(serve(setup, seat, socket))
    except BaseExceptionGroup as errors:
        known = errors.subgroup(GatewayError)
        if known is None:
            raise
        raise leaves(known)[0] from None
    return 0
