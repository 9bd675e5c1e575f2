"""The program of a worker process: `gateway worker`, started by the supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import uvloop

from gateway.audio import echo
from gateway.call.events import FOR_REPLAY
from gateway.config.port_assignment import PortAssignment
from gateway.config.secrets import secrets_of
from gateway.errors import GatewayError, leaves
from gateway.process import messages as m
from gateway.process.agents import EnginePool, Service
from gateway.process.control import ControlServer
from gateway.process.worker import Worker
from gateway.process.worker_calls import Parts
from gateway.process.worker_config import with_assigned_ports
from gateway.records.ids import host_name
from gateway.records.redaction import load_redactor
from gateway.records.store import CallRecords
from gateway.setup.checked_config import Setup, kept_setup
from gateway.sip.edge_peer import KEY_ENV, EdgePeer
from gateway.sip.endpoint import SipEndpoint
from gateway.telemetry.logging import configure_logging, hide_in_logs
from gateway.telemetry.metrics import Metrics
from gateway.threads import BackgroundWriter, tune_interpreter

log = structlog.get_logger(__name__)

_RECORDS_RETRY_S = 5.0


def run(socket: Path, assignment: PortAssignment, setup_file: Path) -> int:
    """Run as a process of its own (`gateway worker`, started by the supervisor).

    Returns:
        Exit code: 78 for a wrong configuration, 1 when something that it needs does not work.
    """
    setup = kept_setup(setup_file)
    hide_in_logs(secrets_of(setup.config))
    configure_logging(setup.config.log, worker=str(assignment.number))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            loop.run(serve(setup, assignment, socket))
    except BaseExceptionGroup as errors:
        known = errors.subgroup(GatewayError)
        if known is None:
            raise
        raise leaves(known)[0] from None
    return 0


async def serve(setup: Setup, assignment: PortAssignment, socket: Path) -> None:
    """Run a worker until it is told to stop.

    Raises:
        GatewayError: something that it needs does not work.
    """
    config = with_assigned_ports(setup.config, assignment)
    metrics = Metrics()
    if config.media.echo_cancel and (hint := echo.probe()):
        log.warning("echo_cancelling_off", hint=hint)
    writer = BackgroundWriter("records")
    control = ControlServer(socket)
    records = CallRecords(
        config.records.directory,
        audio=config.records.audio,
        host=host_name(config.records.host),
        writer=writer,
        redactor=load_redactor(config.records.redact, setup.folder, metrics.redaction_errors.inc),
        on_error=metrics.records_errors.inc,
        on_event=partial(_publish, control),
    )
    records.prepare()
    pool = EnginePool()
    service = Service(setup, config, pool)
    try:
        await service.agents.warm_up()
    except BaseException:
        await service.agents.close()
        raise
    edge = EdgePeer.of(setup.config, os.environ.get(KEY_ENV, ""))
    parts = Parts(config, assignment, edge, pool, records, metrics, control)
    try:
        await _serve_until_stopped(parts, service)
    finally:
        writer.close()


def _publish(
    control: ControlServer, call_id: str, kind: str, audio_s: float, data: dict[str, Any]
) -> None:
    """Notify the supervisor of an event as it is recorded."""
    if kind not in FOR_REPLAY:
        control.publish(
            m.CallProgress(
                call_id=call_id, at=datetime.now(UTC), audio_s=audio_s, kind=kind, data=data
            )
        )


async def _serve_until_stopped(parts: Parts, service: Service) -> None:
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
    parts: Parts, worker: Worker, group: asyncio.TaskGroup, stop: asyncio.Event
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
        worker.render_known_texts()
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
