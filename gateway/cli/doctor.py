"""`gateway doctor`: examine this deployment and name cause and fix."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import textwrap
from collections import Counter
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from gateway.cli.check import agent_problems
from gateway.config.models import GatewayConfig, LogConfig
from gateway.doctor import Deployment, Finding, examine
from gateway.doctor.deployment import is_gateway_running
from gateway.errors import ConfigError
from gateway.setup.loader import load_config, load_dialplan
from gateway.telemetry.logging import configure_logging

EX_CONFIG = 78
_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL", "skip": "-   "}
_COLORS = {"ok": "32", "warn": "33", "fail": "1;31", "skip": "2"}
_INDENT = " " * 6
_WIDTH = 100


def run(args: argparse.Namespace) -> int:
    """Examine, print, and report the worst by the exit code.

    Returns:
        0 when nothing fails (warnings are none), 1 when something does, 78 for a configuration
        that cannot be used.

    Raises:
        ConfigError: the configuration or a dialplan is wrong (without `--json`).
    """
    try:
        config = _checked_config(args.config)
    except ConfigError as error:
        if not args.json:
            raise
        _print_json([_config_finding(str(problem)) for problem in error.problems])
        return EX_CONFIG
    configure_logging(LogConfig(level="error"))
    with suppress(OSError):
        os.nice(10)  # calls that are going on come first
    findings = asyncio.run(_examine(_deployment(args, config, args.config), is_shown=not args.json))
    if args.json:
        _print_json(findings)
    else:
        _print_summary(findings)
    return 1 if any(finding.level == "fail" for finding in findings) else 0


def _checked_config(path: Path | None) -> GatewayConfig:
    """Load all of it.  A missing library is a finding among others, a wrong file ends it here."""
    config = load_config(path)
    load_dialplan(config)
    problems = [p for p in agent_problems(config, path) if not p.key.endswith(".provider")]
    if problems:
        raise ConfigError(problems)
    return config


def _deployment(args: argparse.Namespace, config: GatewayConfig, path: Path | None) -> Deployment:
    return Deployment(
        config,
        path,
        is_running=is_gateway_running(config.http),
        call_to=args.call,
        may_call=not (args.no_call or args.quick),
        may_ask_engines=not args.quick,
    )


async def _examine(deployment: Deployment, *, is_shown: bool) -> list[Finding]:
    findings = []
    async for finding in examine(deployment):
        findings.append(finding)
        if is_shown:
            _print_finding(finding)
    return findings


def _config_finding(problem: str) -> Finding:
    return Finding("configuration", "fail", problem, "correct that line; gateway check")


def _print_finding(finding: Finding) -> None:
    mark = _MARKS[finding.level]
    if sys.stdout.isatty():
        mark = f"\033[{_COLORS[finding.level]}m{mark}\033[0m"
    wrap = textwrap.TextWrapper(_WIDTH, subsequent_indent=_INDENT, break_on_hyphens=False)
    first, *rest = wrap.wrap(f"{_INDENT}{finding.name}: {finding.cause}")
    lines = [f"{mark}  {first.lstrip()}", *rest]
    if finding.fix:
        fix = textwrap.TextWrapper(
            _WIDTH,
            initial_indent=f"{_INDENT}-> ",
            subsequent_indent=f"{_INDENT}   ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += fix.wrap(finding.fix)
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _print_summary(findings: list[Finding]) -> None:
    count = Counter(finding.level for finding in findings)
    text = f"{count['fail']} failed, {count['warn']} warnings, {count['ok']} ok"
    sys.stdout.write(f"\n{text}, {count['skip']} not examined\n")


def _print_json(findings: list[Finding]) -> None:
    body = {"findings": [asdict(finding) for finding in findings]}
    sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")
