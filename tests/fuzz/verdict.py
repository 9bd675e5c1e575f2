"""What must be so after every run: nobody died, nothing leaked, a real call works."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.errors import CallRejected
from tests.support.live_gateway import LiveGateway
from tests.support.outside import normal_call

_GAUGES = ("rss_bytes", "open_files", "open_sockets", "threads", "asyncio_tasks", "sip_dialogs")
_MAY_GROW = {"open_files": 4, "open_sockets": 4, "threads": 1, "asyncio_tasks": 2, "sip_dialogs": 0}
_SENDERS = 40
"""The HTTP server sends recordings from so many threads at most, and keeps them."""
_BAD_WORDS = ("Traceback", "call_lost", "call_crashed", "command_crashed", "worker_died",
              "Assertion", "incoming_call_failed")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Health:
    """A gateway's processes and resources at one moment, with no call in it."""

    supervisor: int
    worker: int
    gauges: dict[str, dict[str, float]]
    """Of supervisor and worker."""

    def line(self) -> str:
        """One line of the report."""
        worker, supervisor = self.gauges["worker-0"], self.gauges["supervisor"]
        rest = " ".join(f"{name} {worker[name]:.0f}" for name in _GAUGES[1:])
        rss, other = worker["rss_bytes"] / 1e6, supervisor["rss_bytes"] / 1e6
        return f"rss {rss:.1f} MB (supervisor {other:.1f}) {rest}"


async def health(gateway: LiveGateway) -> Health:
    """Wait until no call is left and look."""
    await gateway.idle(40)
    gauges = {}
    for process in ("worker-0", "supervisor"):
        gauges[process] = {name: _gauge(gateway, name, process) for name in _GAUGES}
    return Health(gateway.process.pid, gateway.worker_pid, gauges)


def _gauge(gateway: LiveGateway, name: str, process: str) -> float:
    try:
        return gateway.gauge(name, process)
    except KeyError:
        return 0.0


async def call_again(gateway: LiveGateway, timeout_s: float = 15) -> None:
    """A normal call to its complete record; new calls are let in at a limited rate only."""
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                sip_call_id = await normal_call(gateway.uri())
                break
            except CallRejected as refusal:
                if refusal.reason != "Too many calls per second":
                    raise
            await asyncio.sleep(0.2)
    record = await gateway.finished(sip_call_id)
    assert record["end_reason"] == "caller_hung_up", record
    assert record["turns"], record


def faults_after(before: Health, now: Health, log: str) -> list[str]:
    """Say what is not as it was."""
    found = []
    if (before.supervisor, before.worker) != (now.supervisor, now.worker):
        found.append(f"worker {before.worker} is now {now.worker}")
    for process, gauges in now.gauges.items():
        for name, more in _MAY_GROW.items():
            senders = _SENDERS if (process, name) == ("supervisor", "threads") else 0
            if gauges[name] > before.gauges[process][name] + more + senders:
                found.append(f"{process} {name}: {before.gauges[process][name]} -> {gauges[name]}")
    bad = (line for line in log.splitlines() if any(word in line for word in _BAD_WORDS))
    return [*found, *(line[:2000] for line in list(bad)[:5])]
