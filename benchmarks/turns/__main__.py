"""`python -m benchmarks.turns [CONDITION ...]`: turn taking as an outside caller sees it.

Conditions (all without names): gap, llm, cloud, slots, barge_in, words, noise, echo, loss, four.
The short form takes some eight minutes and is for a glance; `--full` gives at least 100 turns each
and takes hours.
Rows are kept in `benchmarks/results/turns/LABEL/` call by call, with the
bundles of calls that went wrong (for `gateway replay`); `--show` prints the table of them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from benchmarks._report import progress
from benchmarks.turns import answering, holding, interrupting, plot, table
from benchmarks.turns.agents import parse_setting
from benchmarks.turns.plan import Plan
from benchmarks.turns.store import Store
from gateway.probe.__main__ import precise_loop


async def _loss(plan: Plan) -> None:
    await answering.loss(plan)
    await interrupting.loss(plan)


CONDITIONS: Mapping[str, Callable[[Plan], Awaitable[None]]] = {
    "gap": answering.gap,
    "llm": answering.llm,
    "cloud": answering.cloud,
    "slots": answering.slots,
    "barge_in": interrupting.barge_in,
    "words": interrupting.words,
    "noise": holding.noise,
    "echo": holding.echo,
    "loss": _loss,
    "four": answering.four,
}


def main() -> int:
    options = _parser().parse_args()
    if unknown := [name for name in options.conditions if name not in CONDITIONS]:
        print(f"no such condition: {', '.join(unknown)}; there are {', '.join(CONDITIONS)}")
        return 2
    settings = dict(map(parse_setting, options.set))
    plan = Plan(Store(options.label), options.full, options.turns, settings, options.seed)
    # The collector pauses for longer than a packet may be late.
    gc.freeze()
    gc.disable()
    # A run that is told to stop ends its calls and its gateway.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed: list[str] = []
    if options.sweep:
        failed = _sweep(plan, options.sweep)
    elif not options.show:
        failed = [n for n in options.conditions or CONDITIONS if not _measure(n, plan)]
    labels = [options.label, *options.compare]
    print(table.text([Store(label) for label in labels]))
    for path in plot.draw(plan.store):
        print(f"  {path}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _measure(name: str, plan: Plan) -> bool:
    """One condition; when it fails, the others still run."""
    print(name, flush=True)
    try:
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            runner.run(CONDITIONS[name](plan))  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001  # border: what cannot be measured is reported
        print(f"  {name} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return False
    finally:
        gc.collect()
    return True


def _sweep(plan: Plan, text: str) -> list[str]:
    """The same requests with one setting at several values; drawn as a curve."""
    key, _, values = text.partition("=")
    failed = []
    for value in values.split(","):
        _, parsed = parse_setting(f"{key}={value}")
        progress(f"{key} = {parsed}")
        store = Store(f"{plan.store.label}/sweep/{key}={value}")
        settings: dict[str, Any] = {**plan.settings, key: parsed}
        if not _measure("gap", replace(plan, store=store, settings=settings)):
            failed.append(f"{key}={value}")
    return failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.turns",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("conditions", nargs="*", metavar="CONDITION", help=", ".join(CONDITIONS))
    add("--full", action="store_true", help="at least 100 turns each")
    add("--turns", type=int, help="so many turns (recordings, ...) per condition")
    add("--label", default="latest", help="name of the folder of results")
    add("--compare", action="append", default=[], metavar="LABEL", help="its figures beside")
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="setting of the agent, such as turn.whole_ms=400 (media.KEY for [media])")  # fmt: skip
    add("--sweep", metavar="KEY=A,B,C", help="measure gap for each value and draw the curve")
    add("--seed", type=int, default=1, help="order of the recordings")
    add("--show", action="store_true", help="measure nothing, print what there is")
    return parser


if __name__ == "__main__":
    sys.exit(main())
