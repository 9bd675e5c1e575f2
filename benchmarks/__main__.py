"""`python -m benchmarks [NAME ...] [--quick | --full]`: measure the gateway as callers see it.

Every benchmark starts a gateway of its own on free ports, prints a table and writes
`benchmarks/results/NAME.json`.  Without names all of them run in their short form, which takes
some minutes; a name alone runs in full.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks import (
    barge_in,
    clock,
    concurrency,
    duplex,
    echo,
    fleet,
    path_wer,
    realtime,
    response,
    sequence,
    setup,
    storm,
)
from gateway.probe.__main__ import precise_loop

BENCHMARKS: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "setup": setup.run,
    "response": response.run,
    "barge_in": barge_in.run,
    "duplex": duplex.run,
    "echo": echo.run,
    "concurrency": concurrency.run,
    "clock": clock.run,
    "path_wer": path_wer.run,
    "sequence": sequence.run,
    "fleet": fleet.run,
    "realtime": realtime.run,
    "storm": storm.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="short forms (default without names)")
    how.add_argument("--full", action="store_true", help="full forms (default with names)")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    quick = options.quick or not (options.names or options.full)
    # The collector pauses for longer than a packet may be late.
    gc.freeze()
    gc.disable()
    failed = [name for name in options.names or BENCHMARKS if not _measure(name, quick=quick)]
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _measure(name: str, *, quick: bool) -> bool:
    """One benchmark; when it fails, the others still run."""
    print(f"{name}{' (short form)' if quick else ''}", flush=True)
    try:
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            runner.run(BENCHMARKS[name](quick=quick))
    except Exception as error:  # noqa: BLE001  # border: a table that cannot be made is reported
        print(f"  {name} failed: {type(error).__name__}: {error}", file=sys.stderr)
        return False
    finally:
        gc.collect()
    return True


if __name__ == "__main__":
    sys.exit(main())
