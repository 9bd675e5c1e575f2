"""The curve: what callers hear and what it costs, over the number of calls.  SVG, pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.load.report import LoadReport, StepFigures
from gateway.load.verdict import FRAME_GAP_MS, GAP_FACTOR
from gateway.replay.svg import Drawing

_WIDTH, _LEFT, _RIGHT, _TOP = 900.0, 70.0, 170.0, 70.0
_PANEL, _GAP = 130.0, 46.0
_BLUE, _GREEN, _RED, _GREY, _FAINT = "#1f6fb2", "#2b8a4b", "#c81e1e", "#777777", "#e4e4e4"
Value = Callable[[StepFigures], float | None]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a panel."""

    name: str
    color: str
    value: Value


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram over the number of calls."""

    title: str
    curves: tuple[Curve, ...]
    limit: float | None = None
    """Drawn as a red line: above it callers notice."""


def draw(report: LoadReport) -> str:
    """Draw a load test as SVG."""
    drawing = Drawing(_WIDTH)
    about = report.machine
    title = f"Load: {report.target}"
    drawing.text(12, 24, title, style="font-size:15px;font-weight:bold")
    drawing.text(12, 42, f"{about.cpu}, {about.cores} cores, {about.date}", fill=_GREY)
    top = _TOP
    for panel in _panels(report.steps):
        _draw_panel(drawing, panel, report.steps, top)
        top += _PANEL + _GAP
    drawing.text(_LEFT, top - 12, "calls at once", fill=_GREY)
    return drawing.document(top + 4, title)


def _panels(steps: Sequence[StepFigures]) -> list[Panel]:
    base = next((step.gap_wire_ms.p90 for step in steps if step.gap_wire_ms.p90), None)
    return [
        Panel(
            "response gap, ms",
            (
                Curve("p90, wire", _BLUE, lambda step: step.gap_wire_ms.p90),
                Curve("p50, wire", "#7fb0dc", lambda step: step.gap_wire_ms.p50),
                Curve("p90, gateway", _GREEN, lambda step: step.gap_gateway_ms.p90),
            ),
            None if base is None else GAP_FACTOR * base,
        ),
        Panel(
            "frame gap p99, ms",
            (
                Curve("wire", _BLUE, lambda step: step.frame_wire_ms.p99),
                Curve("gateway", _GREEN, lambda step: step.frame_gateway_ms.p99),
            ),
            FRAME_GAP_MS,
        ),
        Panel(
            "INVITE to 200, ms",
            (
                Curve("p95", _BLUE, lambda step: step.answer_ms.p95),
                Curve("p50", "#7fb0dc", lambda step: step.answer_ms.p50),
            ),
        ),
        Panel(
            "CPU per call, % of a core",
            (Curve("gateway", _BLUE, lambda step: step.cpu_percent_per_call),),
        ),
        Panel(
            "cores busy",
            (
                Curve("machine", _GREY, lambda step: step.machine_cores),
                Curve("gateway", _BLUE, lambda step: sum(step.gateway_cores.values()) or None),
            ),
        ),
    ]


def ticks(most: float) -> list[float]:
    """Return round marks from 0 to a little more than `most`: 3 to 6 steps of 1, 2 or 5.  Pure."""
    if most <= 0:
        return [0.0, 1.0]
    size = 10.0 ** math.floor(math.log10(most))
    step = next(size * part for part in (0.2, 0.5, 1.0, 2.0) if most <= 5 * size * part)
    return [step * number for number in range(math.ceil(1.0001 * most / step) + 1)]


def label(value: float) -> str:
    """Write a mark as people do, without an exponent.  Pure."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def _draw_panel(drawing: Drawing, panel: Panel, steps: Sequence[StepFigures], top: float) -> None:
    values = [value for curve in panel.curves for step in steps if (value := curve.value(step))]
    marks = ticks(max([*values, panel.limit or 0.0]))
    highest = marks[-1]
    most = max((step.calls for step in steps), default=1)
    bottom, right = top + _PANEL, _WIDTH - _RIGHT

    def place(calls: float, value: float) -> tuple[float, float]:
        x = _LEFT + (right - _LEFT) * calls / most
        return x, bottom - _PANEL * min(value / highest, 1.0)

    drawing.text(_LEFT, top - 8, panel.title, style="font-weight:bold")
    for mark in marks:
        y = bottom - _PANEL * mark / highest
        drawing.line((_LEFT, y), (right, y), _FAINT)
        drawing.text(12, y + 4, label(mark), fill=_GREY)
    for step in steps:
        x, _ = place(step.calls, 0.0)
        drawing.line((x, top), (x, bottom), _RED if step.saturation else _FAINT)
        drawing.text(x - 4, bottom + 14, str(step.calls), fill=_RED if step.saturation else _GREY)
    if panel.limit is not None:
        _, y = place(0.0, panel.limit)
        drawing.line((_LEFT, y), (right, y), _RED)
        drawing.text(right + 8, y - 4, "limit", fill=_RED)
    for number, curve in enumerate(panel.curves):
        found = [
            place(step.calls, value) for step in steps if (value := curve.value(step)) is not None
        ]
        for start, end in itertools.pairwise(found):
            drawing.line(start, end, curve.color, 2)
        for x, y in found:
            drawing.box(x - 2.5, y - 2.5, 5, 5, curve.color)
        drawing.text(right + 8, top + 14 + 16 * number, curve.name, fill=curve.color)
