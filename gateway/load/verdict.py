"""What a load test concludes: where a gateway saturates, and what has leaked.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gateway.load.report import Leak, StepFigures

GAP_FACTOR = 1.5
"""Largest ratio of the p90 of the response gap to that of the first step."""
FRAME_GAP_MS = 30.0
"""p99 of the time between two packets; 20 ms is right."""


def saturation_of(first: StepFigures, step: StepFigures) -> list[str]:
    """List the signs of saturation of a step, compared with the first one; empty = none.

    The response gap is the one heard by the measuring callers where both steps have some, else
    that of the gateway's own records; the frame gap likewise.
    """
    found = []
    if step.failed:
        found.append(f"{step.failed} failed")
    if step.engine_failures:
        found.append(f"{step.engine_failures} engine failures")
    for name, gap, base in (
        ("wire", step.gap_wire_ms, first.gap_wire_ms),
        ("gateway", step.gap_gateway_ms, first.gap_gateway_ms),
    ):
        if gap.p90 is None or base.p90 is None:
            continue
        if gap.p90 > GAP_FACTOR * base.p90:
            found.append(f"response gap p90 {gap.p90:.0f} > {GAP_FACTOR:g} x {base.p90:.0f} ms")
        if name == "wire":
            break
    frame = step.frame_wire_ms if step.frame_wire_ms.n else step.frame_gateway_ms
    if frame.p99 is not None and frame.p99 > FRAME_GAP_MS:
        found.append(f"frame gap p99 {frame.p99:.1f} > {FRAME_GAP_MS:g} ms")
    return found


IdleFigures = Mapping[str, Mapping[str, float]]
"""Process -> figure -> value, while no call and no SIP dialog is left."""
MEMORY = "rss_bytes"
COUNTED = ("threads", "open_sockets", "open_files", "asyncio_tasks", "sip_dialogs")
MEMORY_SHARE, MEMORY_BYTES = 0.03, 2_000_000
"""Memory may be larger by 3 % and 2 MB: allocators do not give every page back."""


def leaks_between(before: IdleFigures, after: IdleFigures) -> list[Leak]:
    """Compare every figure that both looks have; a process that is gone is a growth by itself."""
    found = []
    for process, figures in before.items():
        now = after.get(process)
        if now is None:
            found.append(Leak(process=process, name="process", before=1, after=0, is_growth=True))
            continue
        for name in (MEMORY, *COUNTED):
            if name in figures and name in now:
                old, new = figures[name], now[name]
                grown = new > old * (1 + MEMORY_SHARE) + MEMORY_BYTES
                is_growth = grown if name == MEMORY else new > old
                found.append(
                    Leak(process=process, name=name, before=old, after=new, is_growth=is_growth)
                )
    return found


def slope_per_hour(samples: Sequence[tuple[float, float]]) -> float | None:
    """Fit a line through (seconds, value); None for less than ten samples."""
    if len(samples) < 10:
        return None
    at, values = np.array(samples).T
    return float(np.polyfit(at - at[0], values, 1)[0] * 3600)
