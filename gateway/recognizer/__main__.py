"""`python -m gateway.recognizer --socket PATH`: load the model, warm up, say `ready`, serve."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from gateway.errors import ProviderError, ProviderUnavailable, leaves
from gateway.recognizer.end_of_turn import EndOfTurnScorer
from gateway.recognizer.moonshine import SOURCE_HZ, MoonshineModel, model_folder
from gateway.recognizer.server import RecognizerServer
from gateway.recognizer.smart_turn import SmartTurnModel, model_file
from gateway.threads import BlockingEngine

_EXIT_UNAVAILABLE = 69  # sysexits.h EX_UNAVAILABLE
_WARM_UP_S = (1, 3)
_LISTENER_NICE = 10
"""Where cores are scarce the text comes first: without it no caller is answered."""


def main() -> int:
    """Run until SIGTERM, and until SIGINT or, when told so, until the parent is gone."""
    options = _parser().parse_args()
    os.nice(options.nice)
    try:
        asyncio.run(_run(options))
    except ProviderError as exc:
        print(exc.problem)  # noqa: T201 - the parent reads this line instead of `ready`
        return _EXIT_UNAVAILABLE
    except OSError as exc:
        print(f"cannot listen on {options.socket}: {exc.strerror or exc}")  # noqa: T201
        return _EXIT_UNAVAILABLE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway.recognizer", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to listen on")
    parser.add_argument("--threads", type=int, default=1, help="threads of one decode")
    parser.add_argument("--decoders", type=int, default=1, help="segments decoded at once")
    parser.add_argument("--nice", type=int, default=0, help="lower the own priority by this number")
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end when standard input ends"
    )
    return parser


async def _run(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    # Ctrl-C reaches all processes of a terminal: what a parent looks after is ended by it.
    loop.add_signal_handler(signal.SIGINT, _nothing if options.exit_with_parent else done.set)
    if options.exit_with_parent:
        await loop.connect_read_pipe(lambda: _ParentWatch(done), sys.stdin)
    engines = [BlockingEngine(f"recognizer-{number}") for number in range(options.decoders)]
    listener = BlockingEngine("end-of-turn", nice=_LISTENER_NICE)
    try:
        model = await engines[0].call(_load, options.threads)
        sound = await listener.call(_load_sound)
        scorer = None if sound is None else EndOfTurnScorer(sound, listener)
        server = RecognizerServer(model, engines, scorer)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(options.socket, _say_ready))
            serving.add_done_callback(lambda _: done.set())
            await done.wait()
            serving.cancel()
    except BaseExceptionGroup as group:
        known = [e for e in leaves(group) if isinstance(e, OSError | ProviderError)]
        if not known:
            raise
        raise known[0] from None
    finally:
        for engine in engines:
            engine.close()
        listener.close()


def _nothing() -> None:
    """For a signal that is the parent's to act on."""


def _load(threads: int) -> MoonshineModel:
    """Load and run once per usual length, so that no caller waits for first-time allocations."""
    model = MoonshineModel(model_folder(), threads)
    for seconds in _WARM_UP_S:
        model.decode(bytes(2 * SOURCE_HZ * seconds), ("yes", "no"))
    return model


def _load_sound() -> SmartTurnModel | None:
    """Load the end-of-turn model where it is installed: without it the text alone decides."""
    try:
        model = SmartTurnModel(model_file())
    except ProviderUnavailable:
        return None
    for seconds in _WARM_UP_S:
        model.probability(bytes(2 * SOURCE_HZ * seconds))
    return model


def _say_ready() -> None:
    print("ready", flush=True)  # noqa: T201 - the parent waits for this line


class _ParentWatch(asyncio.Protocol):
    """Standard input is a pipe that the parent holds: it ends when the parent does."""

    def __init__(self, done: asyncio.Event) -> None:
        self._done = done

    def connection_lost(self, exc: Exception | None) -> None:
        self._done.set()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
