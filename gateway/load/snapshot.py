"""Snapshots of a gateway while it carries calls, and what lies between two of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.load.processes import Usage, family, machine_cpu_s, usages
from gateway.load.prometheus import Metrics
from gateway.load.target import ApiError, GatewayApi, SipTarget
from gateway.load.verdict import IdleFigures

_REST_TIMEOUT_S = 60.0
_REST_POLL_S = 1.0
_MEMORY_EVERY_S = 10.0
_AT_REST = ("sip_dialogs", "call_slots_used")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment."""

    at_s: float
    metrics: Metrics | None
    gateway: Mapping[int, Usage]
    """By process id; empty when it is not on this machine."""
    load: Mapping[int, Usage]
    machine_cpu_s: float

    def memory_bytes(self) -> float | None:
        """Return the memory of all gateway processes."""
        if self.gateway:
            return float(sum(usage.memory_bytes for usage in self.gateway.values()))
        return self.metrics.total("rss_bytes") if self.metrics is not None else None


@dataclass(slots=True)
class Site:
    """The gateway under load, and the processes that make the load."""

    target: SipTarget
    api: GatewayApi | None
    pid: int | None
    """Of the supervisor when it runs on this machine."""
    load_pids: set[int] = field(default_factory=set)
    memory: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, bytes) of all gateway processes, every ten seconds of calls."""

    def note_memory(self, now_s: float) -> None:
        """Take a sample when one is due; only of a gateway on this machine."""
        if self.pid is None or (self.memory and now_s < self.memory[-1][0] + _MEMORY_EVERY_S):
            return
        found = usages(family(self.pid))
        self.memory.append((now_s, float(sum(usage.memory_bytes for usage in found.values()))))

    async def snapshot(self, more_load: Iterable[int] = ()) -> Snapshot:
        """Take one snapshot; without metrics when the gateway does not answer over HTTP."""
        metrics = None
        if self.api is not None:
            with suppress(ApiError):
                metrics = await self.api.metrics()
        return Snapshot(
            asyncio.get_running_loop().time(),
            metrics,
            usages(family(self.pid)) if self.pid is not None else {},
            usages([*self.load_pids, *more_load]),
            machine_cpu_s(),
        )

    async def idle_figures(self) -> IdleFigures:
        """Return the figures once no call and no SIP dialog is left (after a minute at most)."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + _REST_TIMEOUT_S
        while True:
            await asyncio.sleep(_REST_POLL_S)
            taken = await self.snapshot()
            busy = taken.metrics is not None and any(map(taken.metrics.total, _AT_REST))
            if not busy or loop.time() > deadline_s:
                return idle_figures_of(taken)


def idle_figures_of(taken: Snapshot) -> IdleFigures:
    """Put together what /metrics says of each process, and /proc of those that say nothing."""
    found: dict[str, Mapping[str, float]] = {}
    if taken.metrics is not None:
        found |= {name: figures for name, figures in taken.metrics.gauges.items() if name}
    told = {name.partition("-")[0] for name in found}
    for pid, usage in taken.gateway.items():
        if usage.kind not in told:
            found[f"{usage.kind} {pid}"] = usage.figures
    return found


def gateway_cores(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """Return CPU between two looks, in cores, by kind of gateway process."""
    seconds = after.at_s - before.at_s
    if after.gateway:
        return _cores(before.gateway, after.gateway, seconds)
    if before.metrics is None or after.metrics is None:
        return {}
    cores: dict[str, float] = defaultdict(float)
    for process, figures in after.metrics.gauges.items():
        old = before.metrics.gauges.get(process, {})
        used = figures.get("cpu_seconds", 0.0) - old.get("cpu_seconds", 0.0)
        cores[process.partition("-")[0]] += max(0.0, used) / seconds
    return dict(cores)


def load_cores(before: Snapshot, after: Snapshot) -> dict[str, float]:
    """Return the same of what makes the load."""
    return _cores(before.load, after.load, after.at_s - before.at_s)


def machine_cores(before: Snapshot, after: Snapshot) -> float:
    """Return the same of the whole machine."""
    return (after.machine_cpu_s - before.machine_cpu_s) / (after.at_s - before.at_s)


def _cores(
    before: Mapping[int, Usage], after: Mapping[int, Usage], seconds: float
) -> dict[str, float]:
    cores: dict[str, float] = defaultdict(float)
    for pid, usage in after.items():
        old_s = before[pid].cpu_s if pid in before else 0.0
        cores[usage.kind] += (usage.cpu_s - old_s) / seconds
    return {kind: round(value, 4) for kind, value in cores.items()}
