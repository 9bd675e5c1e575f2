"""`gateway run`: starts recognizers and workers, keeps them alive, serves HTTP.  No audio."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import chain
from pathlib import Path

import structlog

from gateway.config.models import GatewayConfig
from gateway.config.port_assignment import automatic_recognizers, decoders_of
from gateway.config.secrets import secrets_of
from gateway.conversation.day_ledger import KEY_ENV as LLM_LEDGER_KEY_ENV
from gateway.conversation.day_ledger import LEDGER_ENV as LLM_LEDGER_ENV
from gateway.edge.edge import Edge
from gateway.errors import CommandError, ConfigError, GatewayError, leaves
from gateway.http.api import access_of, create_app
from gateway.http.client_secrets import ClientSecrets
from gateway.http.event_feed import EventFeed
from gateway.http.realtime_door import RealtimeDoor
from gateway.http.realtime_routes import realtime_routes
from gateway.http.server import bind_http
from gateway.http.server import serve as serve_http
from gateway.process.deployment import Deployment, Helpers, realtime_count, worker_count
from gateway.process.edge_link import open_edge
from gateway.process.fleet import Fleet, WorkerStartError
from gateway.process.remote import RemoteGateway
from gateway.process.session_door import SessionDoor
from gateway.providers.contracts import HelperProcess
from gateway.records.archive import open_archive
from gateway.records.repair import repair
from gateway.setup.checked_config import Setup, read_setup
from gateway.setup.engines import helpers_of
from gateway.sip.edge_peer import KEY_ENV
from gateway.sip.outgoing import LEDGER_ENV
from gateway.telemetry.logging import configure_logging, hide_in_logs
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.process import usable_cores
from gateway.webhooks.dispatcher import open_webhooks

log = structlog.get_logger(__name__)


async def serve(setup: Setup) -> None:
    """Run the gateway until it was drained or told to stop.

    Raises:
        GatewayError: it could not be started.
    """
    config = setup.config
    repair(config.records.directory)
    listener = bind_http(config.http)
    log.info("starting", loads="recognizer, voice detector and voices: some seconds")
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        archive = await stack.enter_async_context(open_archive(config.records, metrics))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voice-gateway-")))
        shared = _helpers(config, folder)
        os.environ[LEDGER_ENV] = str(folder / "outgoing.json")
        os.environ[LLM_LEDGER_ENV] = str(folder / "llm.json")
        os.environ[LLM_LEDGER_KEY_ENV] = secrets.token_hex(16)
        deployment = Deployment(setup, folder, shared, metrics)
        fleet = deployment.fleet
        edge = open_edge(config, folder, fleet, worker_count(config), metrics)
        deployment.edge = edge
        if edge:
            os.environ[KEY_ENV] = edge.key()
        feed = EventFeed(secrets.token_hex(4))
        feed.describe_calls_by(fleet.calls.in_progress)
        webhooks = await stack.enter_async_context(
            open_webhooks(config.webhooks, config.records.directory, archive.get, metrics)
        )
        fleet.calls.publish_to(feed.publish, webhooks.publish)
        gateway = RemoteGateway(archive, metrics, deployment, deployment, edge, webhooks)
        access, secrets_of_clients = access_of(config.http), ClientSecrets()
        more = [realtime_routes(config.realtime, config.agents, secrets_of_clients)]
        app = create_app(gateway, config.http, feed, access, more)
        sessions = SessionDoor(lambda: deployment.realtime.workers if deployment.realtime else ())
        stack.callback(sessions.close)
        door = RealtimeDoor(config.realtime, access, secrets_of_clients, sessions.hand_over)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        _listen_to_signals(deployment, group)
        helpers = [
            group.create_task(_run_helpers([*chain(*shared.values())])),
            group.create_task(archive.run(config.records)),
            group.create_task(webhooks.run()),
            group.create_task(serve_http(app, config.http, listener, door)),
            group.create_task(_announce(deployment, edge, config)),
        ]
        if edge:
            helpers.append(group.create_task(edge.keep()))
            helpers.append(group.create_task(_leave_trunks(fleet, edge)))
        await deployment.run()
        log.info("stopping")
        feed.close()
        await webhooks.settle()
        if edge:  # where nothing was drained, too
            await edge.unregister()
        for helper in helpers:
            helper.cancel()


async def _leave_trunks(fleet: Fleet, edge: Edge) -> None:
    """Accept no more calls from trunks while those in progress come to their end."""
    await fleet.is_draining.wait()
    await edge.unregister()


def _listen_to_signals(deployment: Deployment, group: asyncio.TaskGroup) -> None:
    """SIGTERM drains, a second one or SIGINT ends; SIGHUP reloads, SIGUSR2 replaces."""
    loop = asyncio.get_running_loop()
    fleet = deployment.fleet

    def end() -> None:
        group.create_task(deployment.end_now())

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
    """Run what a signal asked for, and log its outcome."""
    try:
        await operation()
    except (CommandError, ConfigError) as error:
        log.error("not_done", problem=str(error))  # noqa: TRY400 - no bug, nothing to trace


def _helpers(config: GatewayConfig, folder: Path) -> Helpers:
    """Prepare the helper processes that the workers share."""
    count = config.workers.recognizers
    if count == "auto":
        count = automatic_recognizers(usable_cores(), worker_count(config) + realtime_count(config))
    return {
        helper: [
            helper.make(folder / f"{helper.name}-{number}.sock", threads)
            for number, threads in enumerate(decoders_of(count))
        ]
        for helper in helpers_of(config)
    }


async def _run_helpers(processes: Sequence[HelperProcess]) -> None:
    """Start them side by side, beside the workers, and keep them until cancelled.

    Raises:
        ProviderUnavailable: one did not start.
    """

    async def run(process: HelperProcess) -> None:
        async with process:
            await asyncio.Event().wait()  # until cancelled

    async with asyncio.TaskGroup() as group:
        for process in processes:
            group.create_task(run(process))


async def _announce(deployment: Deployment, edge: Edge | None, config: GatewayConfig) -> None:
    for fleet in deployment.fleets:
        await fleet.is_ready.wait()
    if edge:
        await edge.is_up.wait()
    sip, http = config.sip, config.http
    log.info("ready", sip=f"sip:{sip.bind}:{sip.port}", http=f"http://{http.bind}:{http.port}",
             workers=len(deployment.workers))  # fmt: skip


def run(config_path: Path | None) -> int:
    """Run as `gateway run`."""
    setup = read_setup(config_path)
    hide_in_logs(secrets_of(setup.config))
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
