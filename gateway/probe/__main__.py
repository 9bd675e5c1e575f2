"""`python -m gateway.probe`: place one scripted call (or answer one), measure it, report it.

Events go to stdout as JSON lines while the call lasts; the report is written at its end.
Exit code 0 = the script ran through, 1 = a problem or a refused call, 78 = a faulty scenario.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import ConfigError, GatewayError, SipError
from gateway.probe import scenario
from gateway.probe.caller import Call, CallPolicy, wait_for_invite
from gateway.probe.media import RtpPeer
from gateway.probe.performance import Performance, render_lines
from gateway.probe.report import build_report, write_recording
from gateway.probe.rtp import Impairments
from gateway.probe.sip_messages import Credentials
from gateway.probe.transactions import open_sip_socket


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """What the command line asks for."""

    script: scenario.Scenario
    to: str = ""
    """SIP URI to call; empty = wait for a call."""
    bind: str = "127.0.0.1"
    port: int = 0
    user: str = "probe"
    credentials: Credentials | None = None
    policy: CallPolicy = field(default_factory=CallPolicy)
    impairments: Impairments = field(default_factory=Impairments)
    report: Path | None = None
    record: Path | None = None


async def run_probe(options: ProbeOptions) -> dict[str, object]:
    """Make one call from start to end and return its report (also of a refused call)."""
    speech = await render_lines(options.script)
    noise = options.script.noise_dbfs
    level = 0 if noise is None else round(32767 * 10 ** (noise / 20))
    media = RtpPeer(options.bind, impairments=options.impairments, noise_level=level)
    try:
        async with open_sip_socket(options.bind, options.port) as sip:
            _emit("ready", {"address": f"{sip.address[0]}:{sip.address[1]}"})
            incoming = None if options.to else await wait_for_invite(sip)
            call = Call(
                sip,
                media,
                user=options.user,
                credentials=options.credentials,
                policy=options.policy,
                codecs=options.script.codecs,
            )
            performance = Performance(call, media, speech, _emit)
            try:
                if incoming is None:
                    await call.place(options.to)
                else:
                    await call.accept(*incoming)
                _emit("answered", {"status": call.status})
                await performance.run(options.script)
            except SipError as error:
                performance.problems.append(str(error))
                _emit("refused", {"status": error.status, "reason": error.reason})
            finally:
                await call.hang_up()
    finally:
        media.close()
    report = build_report(call, media, performance)
    if options.record is not None:
        write_recording(options.record, media)
    return report


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop with exact timers: select() waits in microseconds, epoll in milliseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    try:
        options = _options(_parser().parse_args(arguments))
        # The collector pauses for longer than a packet may be late.
        gc.freeze()
        gc.disable()
        # A probe that is told to stop still says goodbye to the other side.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            report = runner.run(run_probe(options))
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 78
    except (GatewayError, OSError) as error:
        sys.stderr.write(f"probe: {error}\n")
        return 1
    if options.report is not None:
        options.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _emit("report", report)
    return 1 if report["problems"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway.probe", description=__doc__)
    add = parser.add_argument
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--to", default="", help="SIP URI to call")
    where.add_argument("--listen", type=int, metavar="PORT", help="answer one call instead")
    add("--scenario", type=Path, required=True, help="TOML script of the caller")
    add("--report", type=Path, help="write the measurements here (JSON)")
    add("--record", type=Path, help="write a stereo WAV: left caller, right bot")
    add("--bind", default="127.0.0.1", help="local IPv4 address")
    add("--port", type=int, default=0, help="local SIP port when calling, 0 = any")
    add("--user", default="probe", help="caller's number, and user name for digest")
    add("--password-env", default="", help="environment variable with the digest password")
    add("--answer-delay-s", type=float, default=0.0, help="how long it rings (--listen)")
    add("--refuse", type=int, default=0, help="refuse with this status (--listen)")
    add("--refer-status", type=int, default=202, help="answer to REFER")
    add("--transfer-status", type=int, default=200, help="outcome reported by NOTIFY")
    add("--loss-percent", type=float, default=0.0, help="packets not sent")
    add("--jitter-ms", type=float, default=0.0, help="maximum random delay of packets")
    add("--reorder-percent", type=float, default=0.0, help="packets overtaken by later ones")
    add("--duplicate-percent", type=float, default=0.0, help="packets sent twice")
    add("--echo-db", type=float, help="what is heard comes back at this level, such as -20")
    add("--echo-delay-ms", type=float, default=120.0, help="delay of the echo (with --echo-db)")
    return parser


def _options(given: argparse.Namespace) -> ProbeOptions:
    password = os.environ.get(given.password_env, "") if given.password_env else ""
    return ProbeOptions(
        script=scenario.load(given.scenario),
        to=given.to,
        bind=given.bind,
        port=given.listen or given.port,
        user=given.user,
        credentials=Credentials(given.user, password) if given.password_env else None,
        policy=CallPolicy(
            refer_status=given.refer_status,
            transfer_status=given.transfer_status,
            answer_delay_s=given.answer_delay_s,
            refuse_status=given.refuse,
        ),
        impairments=Impairments(
            given.loss_percent,
            given.jitter_ms,
            given.reorder_percent,
            given.duplicate_percent,
            echo_db=given.echo_db,
            echo_delay_ms=given.echo_delay_ms,
        ),
        report=given.report,
        record=given.record,
    )


def _emit(event: str, fields: Mapping[str, object]) -> None:
    line = {"event": event, "at_ns": time.monotonic_ns(), **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
