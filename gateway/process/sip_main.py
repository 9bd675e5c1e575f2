"""The program of a worker of telephone calls: `gateway worker`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.config.port_assignment import PortAssignment
from gateway.process import worker_main
from gateway.process.agents import Service
from gateway.process.sip_worker import SipWorker
from gateway.process.worker_calls import Parts
from gateway.sip.endpoint import SipEndpoint


def run(socket: Path, assignment: PortAssignment, setup_file: Path) -> int:
    """Run as a process of its own; see `worker_main.run`."""
    number = str(assignment.number)
    return worker_main.run(socket, assignment, setup_file, _serve, number)


async def _serve(
    parts: Parts, service: Service, group: asyncio.TaskGroup, stop: asyncio.Event
) -> None:
    config = parts.config
    worker = SipWorker(parts, service, group)
    try:
        async with SipEndpoint(
            config.sip, config.trunks, config.outgoing, worker, parts.edge
        ) as endpoint:
            await worker_main.run_until_stopped(parts, worker, endpoint, group, stop)
    finally:
        await worker.close()
