"""`gateway load`: how many calls a gateway carries, and where it saturates."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from gateway.demo.screen import Screen
from gateway.errors import GatewayError, leaves
from gateway.load.own_gateway import CALLS_PER_WORKER
from gateway.load.plan import LoadError, LoadPlan, parse_mix, parse_ramp
from gateway.load.processes import pid_listening
from gateway.load.report import LoadReport
from gateway.load.report_plot import draw
from gateway.load.report_table import report_lines
from gateway.load.run import LoadOptions, run_load
from gateway.load.speech import GENERATED, write_speech
from gateway.load.target import SipTarget, local_address_towards, parse_target

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def run(args: argparse.Namespace) -> int:
    """Run as `gateway load`.

    Returns:
        0 when the first step holds and nothing has grown, else 1.

    Raises:
        GatewayError: wrong arguments, or it could not be carried out.
    """
    try:
        if args.write_speech is not None:
            return _write_speech(args.write_speech)
        options = options_of(args)
        screen = Screen(sys.stdout)
        report = asyncio.run(_until_told_to_stop(options, screen))
        _save(report, options.out)
        _show(report, options.out, screen)
    except BaseExceptionGroup as errors:
        known = [error for error in leaves(errors) if isinstance(error, GatewayError)]
        if not known:
            raise
        raise known[0] from None
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None  # SIGTERM: everything that was started has been ended
    except OSError as error:
        raise LoadError(f"{error.filename or args.out}: {error.strerror}") from error
    return verdict(report)


async def _until_told_to_stop(options: LoadOptions, screen: Screen) -> LoadReport:
    """Run the test; a signal cancels it, so that it ends its processes first."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 (asyncio.run)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    return await run_load(options, screen, lambda report: _save(report, options.out))


def options_of(args: argparse.Namespace) -> LoadOptions:
    """Check the arguments and give what they mean.  Raises LoadError."""
    _check_numbers(args)
    mix = parse_mix(args.mix)
    _check_scenarios(args.scenarios, mix)
    if args.http and not args.target:
        raise LoadError("--http goes with --target: our own gateway is known")
    target = parse_target(args.target) if args.target else None
    most = CALLS_PER_WORKER * args.workers
    steps = parse_ramp(args.ramp or f"1..{16 if target else most}")
    if target is not None:
        target = _towards(target)
    elif steps[-1] > most:
        workers = -(-steps[-1] // CALLS_PER_WORKER)
        raise LoadError(
            f"{steps[-1]} calls do not fit into {args.workers} worker(s) of {CALLS_PER_WORKER}: "
            f"--workers {workers}"
        )
    plan = LoadPlan(
        steps=steps,
        mix=mix,
        rate_per_s=args.rate,
        hold_s=args.hold,
        call_s=args.call_s,
        probes=args.probes,
        total=args.total,
        tries=args.tries,
        stop_at_saturation=not args.past_saturation,
    )
    return LoadOptions(
        plan=plan,
        out=args.out,
        scenarios=args.scenarios.absolute(),
        command=shlex.join(["gateway", *sys.argv[1:]]),
        target=target,
        http_url=args.http.rstrip("/"),
        api_key=_api_key(args.api_key_env),
        target_pid=_pid_of(args.http),
        engine=args.engine,
        workers=args.workers,
        leaks=args.leaks,
        warm_s=args.warm,
    )


def verdict(report: LoadReport) -> int:
    """Return the exit code: 1 when not even the first step holds, or something has grown."""
    has_grown = any(leak.is_growth for leak in report.leaks or ())
    return 1 if report.best is None or has_grown else 0


def _check_numbers(args: argparse.Namespace) -> None:
    for name, least, most in (
        ("rate", 0.1, 1000.0),
        ("hold", 1.0, 24 * 3600.0),
        ("call_s", 0.0, 24 * 3600.0),
        ("total", 0, 1_000_000),
        ("probes", 0, 16),
        ("tries", 1, 10),
        ("workers", 1, 64),
        ("warm", 1.0, 3600.0),
    ):
        if not least <= getattr(args, name) <= most:
            option = "--" + name.replace("_", "-")
            raise LoadError(f"{option} must be {least:g} to {most:g}, not {getattr(args, name)}")


def _check_scenarios(folder: Path, mix: dict[str, int]) -> None:
    known = sorted(path.parent.name for path in folder.glob("*/scenario.xml"))
    if not known:
        raise LoadError(f"no scenarios in {folder}: name the folder with --scenarios")
    for name in mix:
        if name not in known:
            raise LoadError(f"no scenario {name} in {folder}; there are {', '.join(known)}")


def _towards(target: SipTarget) -> SipTarget:
    return replace(target, local_address=local_address_towards(target))


def _api_key(name: str) -> str:
    if not name:
        return ""
    if not os.environ.get(name):
        raise LoadError(f"environment variable {name} is not set (--api-key-env)")
    return os.environ[name]


def _pid_of(http: str) -> int | None:
    """Find the target's supervisor by its HTTP port, where it runs on this machine."""
    if not http:
        return None
    try:
        where = urlsplit(http)
        port = where.port or 80
    except ValueError as error:
        raise LoadError(f"--http {http}: {error}") from error
    if where.scheme not in {"http", "https"} or not where.hostname:
        raise LoadError(f"--http must be like http://127.0.0.1:8080, not {http}")
    return pid_listening(port) if where.hostname in _LOOPBACK else None


def _write_speech(folder: Path) -> int:
    asyncio.run(write_speech(folder))
    sys.stdout.write(f"wrote {', '.join(GENERATED)} to {folder}\n")
    return 0


def _save(report: LoadReport, out: Path) -> None:
    lines = list(report_lines(report))
    (out / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (out / "report.svg").write_text(draw(report), encoding="utf-8")
    (out / "report.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _show(report: LoadReport, out: Path, screen: Screen) -> None:
    screen.line()
    screen.lines(list(report_lines(report)))
    screen.line()
    screen.line(f"report: {out}/report.txt, report.svg, report.json")
