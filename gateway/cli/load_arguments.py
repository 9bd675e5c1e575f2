"""The arguments of `gateway load`, apart from it: `gateway --help` loads no more than this."""

from __future__ import annotations

import argparse
from pathlib import Path

SCENARIOS = Path(__file__).parents[2] / "sipp-scenarios"
"""In a checkout; an installed package has none."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("--target", default="", metavar="sip:...", help="gateway to call (default: one of our own)")
    add("--http", default="", metavar="URL", help="the target's HTTP port: metrics and records")
    add("--api-key-env", default="", metavar="NAME", help="variable that holds its API key")
    text = "of our own gateway: model and voice, speech to speech, or a recording"
    add("--engine", choices=("llm", "s2s", "play"), default="llm", help=text)
    add("--workers", type=int, default=1, help="workers of our own gateway, four calls each")
    add("--ramp", default="", help="calls at once: 8, 1,2,4, 1..16, 4..32+4 (default: 1..most)")
    add("--mix", default="talk", help="scenarios with weights: talk=3,short-call=1")
    add("--rate", type=float, default=2.0, help="new calls per second")
    add("--hold", type=float, default=30.0, metavar="S", help="measured seconds per step")
    add("--call-s", type=float, default=0.0, help="length of a talking call (default: the step)")
    add("--total", type=int, default=0, help="end a step after this many SIPp calls instead")
    add("--probes", type=int, default=2, help="measuring callers among the calls")
    add("--tries", type=int, default=2, help="how often to measure a step that is only slow")
    text = "go on after the first step that does not hold"
    add("--past-saturation", action="store_true", help=text)
    add("--past-bend", dest="past_saturation", action="store_true", help=argparse.SUPPRESS)
    add("--leaks", action="store_true", help="compare memory and the like before and after")
    add("--warm", type=float, default=30.0, metavar="S", help="calls before that (with --leaks)")
    add("--out", type=Path, default=Path("load-report"), help="folder of the report")
    add("--scenarios", type=Path, default=SCENARIOS, help="folder of SIPp scenarios")
    add("--write-speech", type=Path, metavar="DIR", help="only write the callers' speech for SIPp")
