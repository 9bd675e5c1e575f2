"""The program of a worker of realtime sessions; it loads no SIP library."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from gateway.config.port_assignment import PortAssignment
from gateway.process import worker_main
from gateway.process.agents import Service
from gateway.process.realtime_worker import RealtimeWorker
from gateway.process.worker_calls import Parts
from gateway.realtime.handoff import door_of
from gateway.realtime.transport import RealtimeTransport


def run(socket: Path, assignment: PortAssignment, setup_file: Path) -> int:
    """Run as a process of its own; see `worker_main.run`."""
    serve = partial(_serve, door_of(socket))
    return worker_main.run(socket, assignment, setup_file, serve, f"realtime-{assignment.number}")


async def _serve(
    door: Path, parts: Parts, service: Service, group: asyncio.TaskGroup, stop: asyncio.Event
) -> None:
    worker = RealtimeWorker(parts, service, group)
    try:
        transport = RealtimeTransport(parts.config.realtime, door, worker)
        await worker_main.run_until_stopped(parts, worker, transport, group, stop)
    finally:
        await worker.close()
