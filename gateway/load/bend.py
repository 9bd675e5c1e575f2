"""Where a gateway bends: the first step at which callers would notice.  Pure."""

from __future__ import annotations

from gateway.load.model import StepFigures

GAP_FACTOR = 1.5
"""So much longer than in the first step may the p90 of the response gap be."""
FRAME_GAP_MS = 30.0
"""p99 of the time between two packets; 20 ms is right."""


def bend_of(first: StepFigures, step: StepFigures) -> list[str]:
    """Say what is wrong with a step, compared with the first one; empty = it holds.

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
