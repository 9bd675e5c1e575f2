"""The arguments of `gateway load`, apart from it: `gateway --help` loads no more than this."""

from __future__ import annotations

import argparse
from pathlib import Path

SCENARIOS = Path(__file__).parents[2] / "sipp-scenarios"
"""In a checkout; an installed package has none."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add(
        "--target",
        default="",
        metavar="sip:...",
        help="gateway to call (default: one that is started for it)",
    )
    add("--http", default="", metavar="URL", help="the target's HTTP port: metrics and records")
    add("--api-key-env", default="", metavar="NAME", help="environment variable with its API key")
    text = (
        "of the started gateway: model and voice, speech to speech, or a recording (default: llm)"
    )
    add("--engine", choices=("llm", "s2s", "play"), default="llm", help=text)
    add("--workers", type=int, default=1, help="workers of the started gateway, four calls each")
    text = (
        "calls at once, step by step: 8, 1,2,4, 1..16 (doubled), 4..32+4 (default: 1 to all slots)"
    )
    add("--ramp", default="", metavar="STEPS", help=text)
    add(
        "--mix",
        default="talk",
        help="SIPp scenarios with weights (default: talk): talk=3,short-call=1",
    )
    add("--rate", type=float, default=2.0, help="new calls per second (default: 2)")
    add(
        "--hold",
        type=float,
        default=30.0,
        metavar="S",
        help="seconds that a step is measured (default: 30)",
    )
    add(
        "--call-s",
        type=float,
        default=0.0,
        metavar="S",
        help="length of a call (default: the step)",
    )
    add("--total", type=int, default=0, help="end a step after this many SIPp calls instead")
    add("--probes", type=int, default=2, help="measuring callers among the calls (default: 2)")
    add(
        "--tries",
        type=int,
        default=2,
        help="how often a step that is only slow is measured (default: 2)",
    )
    text = "go on after the first step that is saturated"
    add("--past-saturation", action="store_true", help=text)
    add("--past-bend", dest="past_saturation", action="store_true", help=argparse.SUPPRESS)
    add(
        "--leaks",
        action="store_true",
        help="compare memory, threads, sockets and files before and after",
    )
    add(
        "--warm",
        type=float,
        default=30.0,
        metavar="S",
        help="seconds of calls before --leaks looks first (default: 30)",
    )
    add(
        "--out",
        type=Path,
        default=Path("load-report"),
        help="folder of the report (default: load-report)",
    )
    add(
        "--scenarios",
        type=Path,
        default=SCENARIOS,
        help="folder of SIPp scenarios (default: those that come with the gateway)",
    )
    add("--write-speech", type=Path, metavar="DIR", help="only write the callers' speech for SIPp")
