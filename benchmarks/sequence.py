"""Many calls one after another: does everything return to where it was?"""

from __future__ import annotations

import asyncio

from benchmarks._calls import short_call
from benchmarks._gateway import Gateway, running_gateway
from benchmarks._report import progress, publish

GAUGES = ("rss_bytes", "threads", "open_sockets", "open_files", "asyncio_tasks", "sip_dialogs")
_WARM_CALLS = 10
_SETTLE_S = 40.0
"""SIP transactions live up to 32 s (RFC 3261, timer H and others)."""


async def run(*, quick: bool) -> None:
    calls = 20 if quick else 200
    async with running_gateway() as gateway:
        for _ in range(_WARM_CALLS):
            await short_call(gateway.uri)
        before = await _settled(gateway)
        for number in range(calls):
            await short_call(gateway.uri)
            if (number + 1) % 50 == 0:
                rss_mb = (await gateway.metrics())["rss_bytes"] / 1e6
                progress(f"{number + 1} of {calls} calls, RSS {rss_mb:.1f} MB")
        after = await _settled(gateway)
    rows = [(name, f"{before[name]:.0f} -> {after[name]:.0f}") for name in GAUGES]
    growth_kb = (after["rss_bytes"] - before["rss_bytes"]) / calls / 1000
    rows.append(("memory per call", f"{growth_kb:+.1f} kB"))
    publish(
        "sequence",
        f"{calls} calls one after another ({_WARM_CALLS} before that to warm up)",
        rows,
        {
            "calls": calls,
            "before": {name: before[name] for name in GAUGES},
            "after": {name: after[name] for name in GAUGES},
            "memory_per_call_kb": round(growth_kb, 2),
        },
    )


async def _settled(gateway: Gateway) -> dict[str, float]:
    """Gauges once no call and no dialog is left (or as they stand after a while)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLE_S
    while True:
        await asyncio.sleep(1.0)
        found = await gateway.metrics()
        busy = found["sip_dialogs"] or found["call_slots_used"]
        if not busy or loop.time() > deadline:
            return found
