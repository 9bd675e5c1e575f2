"""`gateway demo`: a real SIP call to a gateway of its own, shown, timed and judged."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gateway.demo.next_steps import listening, next_steps
from gateway.demo.processes import DemoError, DemoGateway, demo_caller, demo_gateway
from gateway.demo.screen import Screen
from gateway.demo.timing import LEGEND, match_turns, spoken_lines, table
from gateway.demo.verdict import shortcomings
from gateway.demo.watching import CallerLog, finish, follow_bundle, follow_caller
from gateway.errors import leaves
from gateway.process.local import StartError, tail
from gateway.records.model import CallRecord

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BOLD, _RED, _GREEN = "1", "1;31", "1;32"
_LOADING = "starting a gateway: loading recognizer, voice detector and voices"


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that is over."""

    folder: Path
    record: CallRecord
    caller: CallerLog


def run(args: argparse.Namespace) -> int:
    """Run as `gateway demo`; `args` has `record_dir` and `port`.

    Returns:
        0 when the call went as planned, 1 when not, 128 + signal when told to stop.

    Raises:
        GatewayError: it could not be carried out.
    """
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a real text stream
    screen = Screen(sys.stdout)
    try:
        return asyncio.run(_until_told_to_stop(screen, args.record_dir.absolute(), args.port))
    except BaseExceptionGroup as errors:
        known = [error for error in leaves(errors) if isinstance(error, DemoError | StartError)]
        if not known:
            raise
        raise known[0] from None


async def _until_told_to_stop(screen: Screen, records: Path, port: int) -> int:
    """Run the demo; a signal cancels it once, so that it ends its processes in peace."""
    loop = asyncio.get_running_loop()
    received: list[signal.Signals] = []
    demo = asyncio.ensure_future(_demo(screen, records, port))

    def stop(number: signal.Signals) -> None:
        if not received:
            demo.cancel()
        received.append(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await demo
    except asyncio.CancelledError:
        if not received:
            raise
        screen.line("stopped")
        return 128 + received[0]


async def _demo(screen: Screen, records: Path, port: int) -> int:
    _make_folder(records)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="voice-gateway-demo-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        call = await _make_call(screen, folder, records, port)
        for name in ("gateway.log", "caller.wav", "caller.json"):
            if (folder / name).exists():
                shutil.copy(folder / name, call.folder)
    return _conclude(screen, call)


async def _make_call(screen: Screen, folder: Path, records: Path, port: int) -> _Call:
    user = f"demo-{os.getpid()}"
    elapsed_s = 0.0

    def tick(seconds: float) -> None:
        nonlocal elapsed_s
        elapsed_s = seconds
        screen.progress(f"{_LOADING} ... {seconds:.1f} s")

    screen.line(f"{_LOADING} ...")
    async with demo_gateway(folder, records, port, tick) as gateway:
        screen.line(f"ready after {elapsed_s:.1f} s: {_where(gateway)}")
        screen.line("a second process calls it; the times below count from the answer")
        screen.line()
        async with demo_caller(gateway, folder, user) as process, asyncio.TaskGroup() as group:
            assert process.stdout is not None  # noqa: S101 (asked for)
            caller = CallerLog()
            following = group.create_task(follow_bundle(records, user, screen))
            await follow_caller(process.stdout, caller, screen)
            if not caller.report:
                raise DemoError(f"the caller gave up:\n{tail(folder / 'caller.log')}")
            bundle, record = await finish(following)
    return _Call(bundle, record, caller)


def _conclude(screen: Screen, call: _Call) -> int:
    report = call.caller.report
    rows = match_turns(spoken_lines(call.caller.said, report.get("turns", [])), call.record.turns)
    screen.line()
    screen.lines(table(rows, screen.width))
    screen.lines(LEGEND)
    screen.line(
        f"INVITE to 200: {_ms(report.get('invite_to_200_ms'))}, "
        f"ACK to the greeting's first sound: {_ms(report.get('ack_to_first_bot_ms'))}"
    )
    screen.line()
    screen.lines(listening(_shown(call.folder)))
    screen.line()
    faults = shortcomings(call.record, rows, report.get("problems", ["wrote no report"]))
    if faults:
        screen.line("The call did not go as planned:", _RED)
        screen.lines([f"  {fault}" for fault in faults])
        screen.line(f"The gateway's log is {_shown(call.folder)}/gateway.log")
        return 1
    screen.line("The call went as planned.", _GREEN)
    screen.line()
    screen.line("Next", _BOLD)
    screen.lines(next_steps(_command()))
    return 0


def _make_folder(records: Path) -> None:
    try:
        records.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"cannot make {records} for the record: {error.strerror}") from error


def _where(gateway: DemoGateway) -> str:
    return f"sip:127.0.0.1:{gateway.sip_port}, http://127.0.0.1:{gateway.http_port}/docs"


def _command() -> str:
    """Return how the user would start the gateway from here."""
    script = Path(sys.executable).with_name("gateway")
    return str(_shown(script)) if script.exists() else "python -m gateway"


def _shown(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
