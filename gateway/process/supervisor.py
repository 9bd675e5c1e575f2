"""`gateway run`: starts recognizers and workers, keeps them alive, serves HTTP.  No audio."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from gateway.config.models import GatewayConfig
from gateway.config.seats import automatic_recognizers, decoders_of
from gateway.edge.edge import Edge
from gateway.errors import CommandError, ConfigError, GatewayError, leaves
from gateway.http.api import create_app
from gateway.http.server import bind_http
from gateway.http.server import serve as serve_http
from gateway.process import machine
from gateway.process.deployment import Deployment, needs_recognizer, worker_count
from gateway.process.edge_link import open_edge
from gateway.process.fleet import Fleet, WorkerStartError
from gateway.process.remote import RemoteGateway
from gateway.process.setup import Setup, read_setup
from gateway.process.worker_process import first_of
from gateway.recognizer.process import RecognizerProcess
from gateway.records.archive import open_archive
from gateway.records.repair import repair
from gateway.sip.outgoing import LEDGER_ENV
from gateway.telemetry.logging import configure_logging
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.process import is_process_alive

log = structlog.get_logger(__name__)


async def serve(setup: Setup) -> None:
    """Run the gateway until it was drained or told to stop.

    Raises:
        GatewayError: it could not be started.
    """
    config = setup.config
    repair(config.records.directory, is_process_alive)
    listener = bind_http(config.http)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        archive = await stack.enter_async_context(open_archive(config.records, metrics))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voice-gateway-")))
        recognizers = _recognizers(config, folder)
        os.environ[LEDGER_ENV] = str(folder / "outgoing.json")
        deployment = Deployment(setup, folder, recognizers, metrics)
        fleet = deployment.fleet
        edge = open_edge(config, folder, fleet, worker_count(config), metrics)
        deployment.edge = edge
        gateway = RemoteGateway(archive, metrics, fleet, deployment, edge)
        app = create_app(gateway, config.http)
        can_recognize = asyncio.Event()
        group = await stack.enter_async_context(asyncio.TaskGroup())
        _listen_to_signals(deployment, group)
        helpers = [
            group.create_task(_run_recognizers(recognizers, can_recognize)),
            group.create_task(archive.run(config.records)),
            group.create_task(serve_http(app, config.http, listener)),
            group.create_task(_announce(fleet, edge, config)),
        ]
        if edge:
            helpers.append(group.create_task(edge.keep()))
        await first_of(can_recognize, fleet.is_draining)
        await fleet.run()
        log.info("stopping")
        for helper in helpers:
            helper.cancel()


def _listen_to_signals(deployment: Deployment, group: asyncio.TaskGroup) -> None:
    """SIGTERM drains, a second one or SIGINT ends; SIGHUP reloads, SIGUSR2 replaces."""
    loop = asyncio.get_running_loop()
    fleet = deployment.fleet

    def end() -> None:
        group.create_task(fleet.end_now())

    def drain_or_end() -> None:
        if fleet.is_draining.is_set():
            end()
        else:
            deployment.drain()

    def do(operation: Callable[[], Awaitable[object]]) -> None:
        group.create_task(_logged(operation))

    loop.add_signal_handler(signal.SIGTERM, drain_or_end)
    loop.add_signal_handler(signal.SIGINT, end)
    loop.add_signal_handler(signal.SIGHUP, do, deployment.reload)
    loop.add_signal_handler(signal.SIGUSR2, do, deployment.replace)


async def _logged(operation: Callable[[], Awaitable[object]]) -> None:
    """Do what a signal asked for; nobody waits for an answer but the log."""
    try:
        await operation()
    except (CommandError, ConfigError) as error:
        log.error("not_done", problem=str(error))  # noqa: TRY400 - no bug, nothing to trace


def _recognizers(config: GatewayConfig, folder: Path) -> list[RecognizerProcess]:
    """Prepare the recognizer processes that the workers share."""
    if not needs_recognizer(config):
        return []
    count = config.workers.recognizers
    if count == "auto":
        count = automatic_recognizers(machine.cores(), worker_count(config))
    return [
        RecognizerProcess(folder / f"recognizer-{number}.sock", decoders=decoders)
        for number, decoders in enumerate(decoders_of(count))
    ]


async def _run_recognizers(
    recognizers: Sequence[RecognizerProcess], are_ready: asyncio.Event
) -> None:
    """Start them side by side and keep them until cancelled.

    Raises:
        ProviderUnavailable: one did not start.
    """
    starting = len(recognizers)

    async def run(recognizer: RecognizerProcess) -> None:
        nonlocal starting
        async with recognizer:
            starting -= 1
            if not starting:
                are_ready.set()
            await asyncio.Event().wait()  # until cancelled

    if not recognizers:
        are_ready.set()
    async with asyncio.TaskGroup() as group:
        for recognizer in recognizers:
            group.create_task(run(recognizer))


async def _announce(fleet: Fleet, edge: Edge | None, config: GatewayConfig) -> None:
    await fleet.is_ready.wait()
    if edge:
        await edge.is_up.wait()
    sip, http = config.sip, config.http
    log.info("ready", sip=f"sip:{sip.bind}:{sip.port}", http=f"http://{http.bind}:{http.port}",
             workers=len(fleet.workers))  # fmt: skip


def run(config_path: Path | None) -> int:
    """Run as `gateway run`."""
    setup = read_setup(config_path)
    configure_logging(setup.config.log, worker="supervisor")
    try:
        asyncio.run(serve(setup))
    except BaseExceptionGroup as errors:
        known = [e for e in leaves(errors) if isinstance(e, GatewayError)]
        if not known:
            raise
        for error in known:
            if isinstance(error, WorkerStartError):
                return error.exit_code or 1
        raise known[0] from None
    return 0
