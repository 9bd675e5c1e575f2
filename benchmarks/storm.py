"""A thousand turns with each provider behind a network, whose vendor fails at random.

Whole conversations against the doubles of the tests, without SIP, on a clock that runs faster than
the machine's.  `STORM_TURNS` and `STORM_ONLY` (a part of a name) choose how many and which.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time

import structlog

from benchmarks._report import Row, progress, publish
from tests.support.doubles import DOUBLES
from tests.support.storm import Outcome, Storm

SPEED = 40.0
SEED = 1


async def run(*, quick: bool) -> None:
    turns = int(os.environ.get("STORM_TURNS", "20" if quick else "1000"))
    only = os.environ.get("STORM_ONLY", "")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rows: list[Row] = []
    figures: dict[str, object] = {}
    for doubled in DOUBLES:
        if only not in str(doubled):
            continue
        began_s = time.monotonic()
        outcome = await asyncio.to_thread(Storm(doubled, SEED, turns).run, SPEED)
        said = f"{_said(outcome)}; {time.monotonic() - began_s:.0f} s"
        progress(f"{doubled}: {said}")
        for line in [*outcome.unanswered, *outcome.problems, *outcome.left][:5]:
            progress(f"  {line}")
        rows.append((str(doubled), said))
        figures[str(doubled)] = {"faults": dict(outcome.faults), "result": said}
    publish("storm", f"{turns} turns with random faults", rows, figures)


def _said(outcome: Outcome) -> str:
    faulty = outcome.turns - outcome.faults["none"]
    return (
        f"{outcome.turns} turns ({faulty} with a fault) in {outcome.calls} calls,"
        f" {len(outcome.unanswered)} unanswered, {outcome.gave_up} calls ended by apology,"
        f" {len(outcome.problems)} breaches of the protocol, left: {len(outcome.left)}"
    )
