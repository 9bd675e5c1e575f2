"""Four callers who talk at once to one worker: rhythm of its packets, losses, CPU, memory."""

from __future__ import annotations

import time

import numpy as np

from benchmarks._calls import CallOutcome, conversation, make_calls
from benchmarks._gateway import Gateway, running_gateway
from benchmarks._report import Row, percentiles, progress, publish, spread
from benchmarks.response import SENTENCES, answers_of
from gateway.probe import scenario
from gateway.telemetry.process import ProcessUsage

CALLS = 4


async def run(*, quick: bool) -> None:
    lines = 3 if quick else 6  # about 10 s each
    async with running_gateway() as gateway:
        progress("one call alone")
        alone = await _talk(gateway, 1, min(lines, 5))
        progress(f"{CALLS} calls at once")
        before, started = gateway.usage(), time.monotonic()
        together = await _talk(gateway, CALLS, lines)
        after, seconds = gateway.usage(), time.monotonic() - started
        gaps_alone = await _answers(gateway, alone)
        gaps_together = await _answers(gateway, together)
    rows, figures = _media(together)
    usage_rows, usage = _usage(before, after, seconds)
    rows += [
        ("response gap, one call", spread(gaps_alone, 50, 90)),
        ("response gap, four calls", spread(gaps_together, 50, 90)),
        *usage_rows,
    ]
    figures |= {
        "seconds": round(seconds, 1),
        "response_gap_one_ms": percentiles(gaps_alone, 50, 90),
        "response_gap_four_ms": percentiles(gaps_together, 50, 90),
        "usage": usage,
    }
    publish("concurrency", f"{CALLS} talking calls in one worker, {seconds:.0f} s", rows, figures)


async def _talk(gateway: Gateway, calls: int, lines: int) -> list[CallOutcome]:
    scripts = []
    for number in range(calls):
        texts = [SENTENCES[(number * 4 + i) % len(SENTENCES)] for i in range(lines)]
        says = [scenario.Say(text=text) for text in texts]
        scripts.append(conversation(says, ("awb", "kal16")[number % 2]))
    return await make_calls(gateway.uri, scripts)


async def _answers(gateway: Gateway, outcomes: list[CallOutcome]) -> list[float]:
    return [a.gap_ms for o in outcomes for a in (await answers_of(gateway, o))[0]]


def _media(outcomes: list[CallOutcome]) -> tuple[list[Row], dict[str, object]]:
    rows = [
        (f"outbound frame gap, call {number}", spread(outcome.gaps_ms, 1, 50, 99))
        for number, outcome in enumerate(outcomes, 1)
    ]
    every = [gap for outcome in outcomes for gap in outcome.gaps_ms]
    lost = sum(outcome.report["rtp"]["lost"] for outcome in outcomes)
    late = sum(gap > 40 for gap in every)
    own = max(outcome.report["rtp"]["pacing_error_ms"]["p99"] for outcome in outcomes)
    rows += [
        ("all calls", spread(every, 1, 50, 99, 99.9)),
        ("lost packets", str(lost)),
        ("gaps above 40 ms", str(late)),
        ("callers' own lateness p99", f"{own:g} ms"),
    ]
    figures: dict[str, object] = {
        "frame_gap_ms": [percentiles(o.gaps_ms, 1, 50, 99) for o in outcomes],
        "frame_gap_all_ms": percentiles(every, 1, 50, 99, 99.9),
        "frame_gap_deviation_ms": round(float(np.std(every)), 2),
        "lost": lost,
        "gaps_above_40_ms": late,
        "caller_lateness_p99_ms": own,
    }
    return rows, figures


def _usage(
    before: dict[str, ProcessUsage], after: dict[str, ProcessUsage], seconds: float
) -> tuple[list[Row], dict[str, object]]:
    rows: list[Row] = []
    figures: dict[str, object] = {}
    for name, usage in after.items():
        percent = (usage.cpu_s - before[name].cpu_s) / seconds / CALLS * 100
        rss_mb = usage.rss_bytes / 1e6
        rows.append((f"{name}", f"{percent:.1f} % of a core per call, RSS {rss_mb:.0f} MB"))
        figures[name] = {"cpu_percent_per_call": round(percent, 2), "rss_mb": round(rss_mb, 1)}
    return rows, figures
