"""`gateway run`: starts recognizer and worker, keeps them alive, serves HTTP.  No SIP, no audio."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import structlog

from gateway.config.loader import load_config
from gateway.config.models import GatewayConfig
from gateway.errors import CommandError, GatewayError, leaves
from gateway.http.api import create_app
from gateway.http.server import bind_http
from gateway.http.server import serve as serve_http
from gateway.process import messages as m
from gateway.process.children import end_child
from gateway.process.control_client import connect
from gateway.process.remote import RemoteGateway
from gateway.recognizer.process import RecognizerProcess
from gateway.records.archive import open_archive
from gateway.records.repair import repair
from gateway.sip.outgoing import LEDGER_ENV
from gateway.telemetry.logging import configure_logging
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.process import is_process_alive

log = structlog.get_logger(__name__)

_START_TIMEOUT_S = 120.0
_RESTART_MIN_S, _RESTART_MAX_S = 0.5, 30.0
_HEALTHY_S = 60.0
"""A worker that lived so long was well: the next start is tried at once again."""
_STOP_TIMEOUT_S = 15.0


class WorkerProcess:
    """Keeps one worker running; its first start must succeed."""

    def __init__(self, config_path: Path | None, records: Path, gateway: RemoteGateway) -> None:
        self._config_path = config_path
        self._records = records
        self._gateway = gateway
        self.is_ready = asyncio.Event()

    async def keep(self, folder: Path) -> None:
        """Start it, restart it with back-off when it dies; runs until cancelled.

        Raises:
            WorkerStartError: it did not even start once (it has said why).
        """
        delay_s = _RESTART_MIN_S
        loop = asyncio.get_running_loop()
        while True:
            started_s = loop.time()
            async with self._process(folder / "worker-0.sock") as process:
                await self._follow(process, folder / "worker-0.sock")
                code = await process.wait()
            self._gateway.detach("the worker is being restarted")
            if not self.is_ready.is_set():
                raise WorkerStartError(code)
            self._repair(process.pid)
            if loop.time() - started_s > _HEALTHY_S:
                delay_s = _RESTART_MIN_S
            log.error("worker_died", exit_code=code, restart_in_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _RESTART_MAX_S)

    async def _follow(self, process: asyncio.subprocess.Process, socket: Path) -> None:
        """Stay connected as long as it lives."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(process.wait())
            talk = group.create_task(self._talk(socket))
            try:
                await asyncio.wait([watch, talk], return_when=asyncio.FIRST_COMPLETED)
            finally:  # told before it is left alone
                if not watch.done():
                    with suppress(ProcessLookupError):  # it has ended, nobody has noticed yet
                        process.terminate()
                talk.cancel()

    async def _talk(self, socket: Path) -> None:
        try:
            async with connect(socket, _START_TIMEOUT_S) as client:
                status = await client.request(m.GetStatus(), m.WorkerStatus)
                log.debug("worker_connected", pid=status.pid)
                self._gateway.attach(client)
                self.is_ready.set()
                async for event in client.events():
                    log.debug("worker_event", kind=event.event)
        except CommandError as error:
            log.warning("worker_not_reached", problem=error.reason)

    def _repair(self, dead_pid: int) -> None:
        for call_id in repair(self._records, lambda pid: pid != dead_pid):
            log.warning("record_completed_after_crash", call_id=call_id)

    @asynccontextmanager
    async def _process(self, socket: Path) -> AsyncIterator[asyncio.subprocess.Process]:
        command = [sys.executable, "-m", "gateway", "worker", "--index", "0"]
        command += ["--socket", str(socket)]
        if self._config_path is not None:
            command += ["--config", str(self._config_path)]
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
        try:
            yield process
        finally:
            if not await end_child(process, _STOP_TIMEOUT_S):
                log.warning("worker_killed", reason="it did not end by itself")


class WorkerStartError(GatewayError):
    """The worker ended before it was ready; it has printed why."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(f"the worker ended with exit code {exit_code} before it was ready")


async def serve(config: GatewayConfig, config_path: Path | None) -> None:
    """Run the gateway until SIGTERM or SIGINT.

    Raises:
        GatewayError: it could not be started.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    repair(config.records.directory, is_process_alive)
    listener = bind_http(config.http)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        archive = await stack.enter_async_context(open_archive(config.records, metrics))
        gateway = RemoteGateway(archive, metrics)
        worker = WorkerProcess(config_path, config.records.directory, gateway)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voice-gateway-")))
        if _needs_recognizer(config):
            recognizer = RecognizerProcess(folder / "recognizer.sock")
            await stack.enter_async_context(recognizer)
            os.environ["GATEWAY_RECOGNIZER_SOCKET"] = str(recognizer.socket)
        os.environ[LEDGER_ENV] = str(folder / "outgoing.json")
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [
            group.create_task(worker.keep(folder)),
            group.create_task(archive.run(config.records)),
            group.create_task(serve_http(create_app(gateway, config.http), config.http, listener)),
            group.create_task(_announce(worker, config)),
        ]
        await stop.wait()
        log.info("stopping")
        for task in tasks:
            task.cancel()


async def _announce(worker: WorkerProcess, config: GatewayConfig) -> None:
    await worker.is_ready.wait()
    sip, http = config.sip, config.http
    log.info("ready", sip=f"sip:{sip.bind}:{sip.port}", http=f"http://{http.bind}:{http.port}")


def _needs_recognizer(config: GatewayConfig) -> bool:
    return any(
        agent.stt.get("provider") == "moonshine" and not agent.stt.get("socket")
        for agent in config.agents.values()
    )


def run(config_path: Path | None) -> int:
    """Run as `gateway run`."""
    config = load_config(config_path)
    configure_logging(config.log, worker="supervisor")
    try:
        asyncio.run(serve(config, config_path))
    except BaseExceptionGroup as errors:
        known = [e for e in leaves(errors) if isinstance(e, GatewayError)]
        if not known:
            raise
        for error in known:
            if isinstance(error, WorkerStartError):
                return error.exit_code or 1
        raise known[0] from None
    return 0
