"""How many workers, calls and ports there are on this host."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.models import GatewayConfig
from gateway.config.seats import Seat, automatic_recognizers, decoders_of, seats_of
from gateway.process import machine
from gateway.process.deployment import worker_count


@dataclass(frozen=True, slots=True)
class Plan:
    """What this host is to run."""

    workers: int
    slots: int
    """Calls of all of them."""
    recognizers: int
    """Processes; 0 = no agent recognizes here."""
    seats: tuple[Seat, ...]
    """Ports that workers may take: with an edge twice as many as workers."""
    runs_edge: bool = False
    """Kamailio is started here."""
    joins: str = ""
    """Address of the edge on another host that the workers here belong to."""


def plan_of(config: GatewayConfig) -> Plan:
    """Work it out from the configuration and, where that says auto, this machine."""
    workers = worker_count(config)
    recognizes = any(agent.stt.get("provider") == "moonshine" for agent in config.agents.values())
    edge = config.edge
    wanted = config.workers.recognizers
    recognizers = automatic_recognizers(machine.cores(), workers) if wanted == "auto" else wanted
    return Plan(
        workers,
        workers * config.sip.max_calls,
        len(decoders_of(recognizers)) if recognizes else 0,
        seats_of(config, workers),
        runs_edge=config.workers.edge == "kamailio" and edge.run and not edge.join,
        joins=edge.join,
    )
