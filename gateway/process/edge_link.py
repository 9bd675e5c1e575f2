"""What joins the supervisor and the edge of this host: workers told, trunks counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.config.models import GatewayConfig
from gateway.edge.edge import Edge
from gateway.edge.targets import Target
from gateway.process.fleet import Fleet
from gateway.process.messages import TrunkStatus
from gateway.process.view import WorkerView
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

    edge = Edge(config, folder / "edge", workers, on_trunk)

    async def on_workers(views: Sequence[WorkerView]) -> None:
        await edge.show_workers(targets_of(views))

    fleet.observe(on_workers)
    return edge


def targets_of(views: Sequence[WorkerView]) -> list[Target]:
    """Say where calls may go; a worker that was never ready is not known yet."""
    return [
        Target(
            view.host,
            view.port,
            view.slots,
            life=str(view.pid),
            use="open" if view.takes_calls else "closed",
        )
        for view in views
        if view.state != "starting"
    ]
