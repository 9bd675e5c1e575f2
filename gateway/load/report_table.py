"""The report on the terminal: a line per step, then what it means.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.load.percentiles import Percentiles
from gateway.load.report import Leak, LoadReport, StepFigures

LATE_MS = 10.0
"""A measuring caller that is later than this with its own packets is no good witness."""
_HEADS = (
    ("calls", ""),
    ("done", ""),
    ("failed", ""),
    ("setup", "/s"),
    ("INVITE-200", "p50/p95 ms"),
    ("gap, wire", "p50/p90 ms (n)"),
    ("gap, gateway", "p50/p90 ms (n)"),
    ("frame gap p99", "wire/gw ms"),
    ("CPU/call", "% of core"),
    ("calls", "per core"),
    ("memory", "MB/call"),
    ("machine", "cores"),
)


def report_lines(report: LoadReport) -> Iterator[str]:
    """Write all of it."""
    about = report.machine
    yield f"{report.command}"
    yield f"{about.cpu}, {about.cores} cores, Python {about.python}, {about.date}"
    load = " ".join(f"{value:.2f}" for value in about.load_average)
    yield f"load average at the start {load}; {report.software}; {report.target}"
    yield ""
    yield from step_table(report.steps)
    yield ""
    yield from _conclusion(report)
    yield from _failures(report)
    if report.leaks is not None:
        yield ""
        yield from leak_lines(report.leaks, report.leak_calls)
        if report.memory_mb_per_hour is not None:
            yield f"memory of all processes during the calls: {report.memory_mb_per_hour:+.1f} MB/h"


def step_table(steps: Sequence[StepFigures]) -> list[str]:
    """Write one line per step; a step that does not hold is marked with what is wrong."""
    rows = [tuple(head for head, _ in _HEADS), tuple(unit for _, unit in _HEADS)]
    rows += [_row(step) for step in steps]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    lines.insert(2, "-" * len(lines[0]))
    for number, step in enumerate(steps):
        if step.saturation:
            lines[number + 3] += f"  <- {'; '.join(step.saturation)}"
        if step.first_try:
            lines[number + 3] += f"  (first try: {'; '.join(step.first_try)})"
    return [line.rstrip() for line in lines]


def leak_lines(leaks: Sequence[Leak], calls: int) -> Iterator[str]:
    """Write what was compared at rest, and the verdict."""
    grown = [leak for leak in leaks if leak.is_growth]
    yield f"at rest, before and after {calls} calls:"
    for leak in leaks:
        before, after = _amount(leak.name, leak.before), _amount(leak.name, leak.after)
        mark = "  GROWN" if leak.is_growth else ""
        yield f"  {leak.process:20} {leak.name:14} {before:>10} -> {after:>10}{mark}"
    yield "verdict: " + (f"{len(grown)} figures have grown" if grown else "nothing has grown")


def _conclusion(report: LoadReport) -> Iterator[str]:
    best, saturated = report.best, report.saturated
    if best is not None:
        cpu = _plain(best.cpu_percent_per_call, 2)
        per_core = _plain(best.calls_per_core, 0)
        yield f"holds: {best.calls} calls at once, {cpu} % of a core per call, {per_core} per core"
    if saturated is not None:
        yield f"saturates at {saturated.calls} calls: {'; '.join(saturated.saturation)}"
        yield (
            f"  machine {_plain(saturated.machine_cores, 2)} of {report.machine.cores} cores busy: "
            + (", ".join(f"{kind} {cores:.2f}" for kind, cores in _all_cores(saturated)))
        )
    elif best is not None:
        yield "no saturation found: more calls, longer steps or a larger ramp would show it"
    late = max((step.caller_late_p99_ms or 0.0 for step in report.steps), default=0.0)
    if late > LATE_MS:
        yield f"beware: the measuring callers' own packets left up to {late:.0f} ms late (p99): the"
        yield "  load itself was starved, and what is said of the gateway is too bad"
    differences = [step.agreement_ms for step in report.steps if step.agreement_ms.n]
    if differences:
        worst = max(differences, key=lambda spread: abs(spread.p50 or 0.0))
        yield f"gateway's response gap minus the caller's: p50 {worst.p50:+.0f} ms at worst"


def _all_cores(step: StepFigures) -> list[tuple[str, float]]:
    load = [(f"{kind} (load)", cores) for kind, cores in step.load_cores.items()]
    found = [*step.gateway_cores.items(), *load]
    return sorted(found, key=lambda pair: -pair[1])


def _failures(report: LoadReport) -> Iterator[str]:
    for step in report.steps:
        if step.goodbyes:
            yield f"  {step.calls} calls: {step.goodbyes} x ended by the agent itself (done)"
        for cause, count in sorted(step.causes.items(), key=lambda pair: -pair[1]):
            yield f"  {step.calls} calls: {count} x {cause}"


def _row(step: StepFigures) -> tuple[str, ...]:
    memory = None if step.extra_memory_mb is None else step.extra_memory_mb / step.calls
    frames = (step.frame_wire_ms.p99, step.frame_gateway_ms.p99)
    return (
        str(step.calls),
        str(step.done),
        str(step.failed),
        f"{step.setup_per_s:.1f}",
        f"{_plain(step.answer_ms.p50, 0)}/{_plain(step.answer_ms.p95, 0)}",
        _gap(step.gap_wire_ms),
        _gap(step.gap_gateway_ms),
        "/".join(_plain(value, 1) for value in frames),
        _plain(step.cpu_percent_per_call, 2),
        _plain(step.calls_per_core, 0),
        _plain(memory, 1),
        _plain(step.machine_cores, 2),
    )


def _gap(spread: Percentiles) -> str:
    return f"{_plain(spread.p50, 0)}/{_plain(spread.p90, 0)} ({spread.n})"


def _plain(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _amount(name: str, value: float) -> str:
    return f"{value / 1e6:.1f} MB" if name.endswith("_bytes") else f"{value:.0f}"
