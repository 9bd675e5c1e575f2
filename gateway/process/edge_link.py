"""What joins the supervisor and the edge of this host: workers told, trunks counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.config.models import GatewayConfig
from gateway.edge.edge import Edge
from gateway.edge.targets import Target
from gateway.process.fleet import Fleet
from gateway.process.worker_process import WorkerSnapshot
from gateway.sip.trunk_status import TrunkStatus
from gateway.telemetry.metrics import Metrics


def open_edge(
    config: GatewayConfig, folder: Path, fleet: Fleet, workers: int, metrics: Metrics
) -> Edge | None:
    """Make the edge of this host, which is told of its workers; None when it has none."""
    if config.workers.edge == "none" or config.edge.join:
        return None

    def on_trunk(status: TrunkStatus) -> None:
        is_up = status.state == "registered"
        metrics.trunk_registered.labels(status.name).set(1 if is_up else 0)
        fleet.calls.on_trunk(status)

    edge = Edge(config, folder / "edge", workers, on_trunk)

    async def on_workers(snapshots: Sequence[WorkerSnapshot]) -> None:
        await edge.show_workers(targets_of(snapshots))

    fleet.observe(on_workers)
    return edge


def targets_of(snapshots: Sequence[WorkerSnapshot]) -> list[Target]:
    """List where calls may go, without workers that were never ready."""
    return [
        Target(
            snapshot.host,
            snapshot.port,
            snapshot.slots,
            life=str(snapshot.pid),
            use="open" if snapshot.takes_calls else "closed",
        )
        for snapshot in snapshots
        if snapshot.state != "starting"
    ]
