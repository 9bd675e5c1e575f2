"""Which worker has which ports.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.models import GatewayConfig


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """One worker of this host."""

    index: int
    sip_port: int


def worker_plans(config: GatewayConfig) -> list[WorkerPlan]:
    """List this host's workers."""
    return [WorkerPlan(0, config.sip.port)]
