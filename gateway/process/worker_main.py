"""The program of a worker process: `gateway worker`, started by the supervisor.

What differs between workers of SIP and of realtime sessions is in `sip_main` and `realtime_main`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import uvloop

from gateway.audio import echo
from gateway.call.events import FOR_REPLAY
from gateway.call.transport import Transport
from gateway.config.port_assignment import PortAssignment
from gateway.config.secrets import secrets_of
from gateway.errors import GatewayError, leaves
from gateway.process import messages as m
from gateway.process.agents import Service
from gateway.process.control import ControlServer
from gateway.process.engine_pool import EnginePool
from gateway.process.worker import Worker
from gateway.process.worker_calls import Parts
from gateway.process.worker_config import with_assigned_ports
from gateway.records.ids import host_name
from gateway.records.redaction import load_redactor
from gateway.records.store import CallRecords
from gateway.setup.checked_config import Setup, kept_setup
from gateway.sip.edge_peer import KEY_ENV, EdgePeer
from gateway.telemetry.logging import configure_logging, hide_in_logs
from gateway.telemetry.metrics import Metrics
from gateway.threads import BackgroundWriter, tune_interpreter

log = structlog.get_logger(__name__)

_RECORDS_RETRY_S = 5.0
ServeCalls = Callable[[Parts, Service, asyncio.TaskGroup, asyncio.Event], Awaitable[None]]
"""Carries calls of one kind until the event is set."""


def run(
    socket: Path, assignment: PortAssignment, setup_file: Path, serve_calls: ServeCalls, name: str
) -> int:
    """Run as a process of its own (started by the supervisor).

    Args:
        socket: for commands.
        assignment: where it listens.
        setup_file: what `Setup.keep` wrote.
        serve_calls: makes a transport and serves its calls.
        name: of the worker, for the log.

    Returns:
        Exit code: 78 for a wrong configuration, 1 when something that it needs does not work.
    """
    setup = kept_setup(setup_file)
    hide_in_logs(secrets_of(setup.config))
    configure_logging(setup.config.log, worker=name)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            loop.run(serve(setup, assignment, socket, serve_calls))
    except BaseExceptionGroup as errors:
        known = errors.subgroup(GatewayError)
        if known is None:
            raise
        raise leaves(known)[0] from None
    return 0


async def serve(
    setup: Setup, assignment: PortAssignment, socket: Path, serve_calls: ServeCalls
) -> None:
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
        await _serve_until_stopped(parts, service, serve_calls)
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


async def _serve_until_stopped(parts: Parts, service: Service, serve_calls: ServeCalls) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        await serve_calls(parts, service, group, stop)


async def run_until_stopped(
    parts: Parts,
    worker: Worker,
    transport: Transport,
    group: asyncio.TaskGroup,
    stop: asyncio.Event,
) -> None:
    """Carry calls until the worker is to end, then end those that are left.

    Args:
        parts: what the calls share.
        worker: serves them.
        transport: carries them.
        group: owns every task.
        stop: set when the worker is to end.
    """
    worker.transport = transport
    tasks = [
        group.create_task(transport.run()),
        group.create_task(parts.control.serve(worker)),
        group.create_task(_stop_when_abandoned(parts.control, stop)),
        group.create_task(worker.stop_when_drained(stop)),
        group.create_task(_retry_records(parts.records)),
        group.create_task(worker.lateness.run()),
    ]
    tune_interpreter()
    parts.metrics.mark_idle()
    await parts.control.is_listening.wait()
    slots, port = transport.slots, parts.assignment.sip_port
    parts.control.publish(m.WorkerReady(pid=os.getpid(), slots=slots, sip_port=port))
    log.info("worker_ready", slots=slots, port=port)
    worker.render_known_texts()
    await stop.wait()
    transport.draining = True
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
