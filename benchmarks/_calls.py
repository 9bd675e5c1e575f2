"""Callers of a benchmark: one scripted call each, measured at the caller's RTP edge."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import SipError
from gateway.probe import scenario
from gateway.probe.caller import Call
from gateway.probe.g711 import Samples
from gateway.probe.media import RtpPeer
from gateway.probe.performance import Performance, render_lines, spoken_instants
from gateway.probe.report import build_report
from gateway.probe.rtp import Impairments
from gateway.probe.timeline import Turn, frame_gaps_ms, loud_instants, measure_turns
from gateway.probe.transactions import open_sip_socket
from gateway.probe.voices import Voice
from gateway.records.model import TurnRecord

_numbers = itertools.count(1)
_SAME_TURN_S = 1.0


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """One call that is over."""

    caller: str
    """The number it called from; finds its record."""
    report: dict[str, Any]
    invite_ns: int = 0
    """Origin of the report's times (`time.monotonic_ns()`)."""
    texts: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    """What was said, and how it was answered: one for each audible line."""
    gaps_ms: list[float] = field(default_factory=list)
    """Between two audio packets, in the order they came."""


@dataclass(frozen=True, slots=True)
class _Acted:
    """A call that is over and not yet measured."""

    caller: str
    call: Call
    media: RtpPeer
    performance: Performance


async def make_call(uri: str, script: scenario.Scenario) -> CallOutcome:
    """Render the script's lines, then make one call and measure it.

    Raises:
        SipError: the call was not answered.
    """
    return _outcome(await _act(uri, script, await render_lines(script)))


async def make_calls(
    uri: str, scripts: Sequence[scenario.Scenario], impairments: Impairments | None = None
) -> list[CallOutcome]:
    """Make several calls at once.

    Rendering comes before the first and measuring after the last: either would hold up the
    packets of callers who are still talking.
    """
    speeches = [await render_lines(script) for script in scripts]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_act(uri, script, speech, impairments))
            for script, speech in zip(scripts, speeches, strict=True)
        ]
    return [_outcome(task.result()) for task in tasks]


async def _act(
    uri: str,
    script: scenario.Scenario,
    speech: Mapping[scenario.Step, Samples],
    impairments: Impairments | None = None,
) -> _Acted:
    caller = f"bench{os.getpid()}x{next(_numbers)}x"
    media = RtpPeer(impairments=impairments)
    try:
        async with open_sip_socket() as sip:
            call = Call(sip, media, user=caller, codecs=script.codecs)
            performance = Performance(call, media, speech, lambda _event, _fields: None)
            try:
                await call.place(uri)
                await performance.run(script)
            finally:
                await call.hang_up()
    finally:
        media.close()
    return _Acted(caller, call, media, performance)


async def short_call(uri: str) -> CallOutcome:
    """Call, hang up as soon as the greeting is heard.  Raises SipError."""
    steps = (scenario.InterruptAfter(bot_speech_ms=60, timeout_s=5.0), scenario.HangUp())
    outcome = await make_call(uri, scenario.Scenario(steps=steps))
    if outcome.report["problems"]:
        raise SipError(0, f"no greeting: {outcome.report['problems']}")
    return outcome


def conversation(
    lines: Sequence[scenario.Step], voice: Voice = "awb", settle_ms: int = 700
) -> scenario.Scenario:
    """Say each line after the bot has been quiet for a while."""
    wait = scenario.WaitForBot(silence_ms=settle_ms)
    steps = [wait, *(step for line in lines for step in (line, wait))]
    return scenario.Scenario(voice=voice, steps=tuple(steps))


def pair_turns(
    caller: Sequence[Turn], reported: Sequence[TurnRecord]
) -> list[tuple[int, list[TurnRecord]]]:
    """Find the gateway's turns that began within each utterance of the caller.

    Both count time from an instant of their own; the shift between them is the one under which
    most turns fall together.
    """
    spoken = [turn for turn in reported if turn.caller_text and turn.started_s is not None]
    starts = [turn.speech_start_ns / 1e9 for turn in caller]
    shifts = [start - (turn.started_s or 0) for start in starts for turn in spoken]
    if not shifts:
        return [(index, []) for index in range(len(caller))]

    def hits(shift: float) -> int:
        return sum(
            any(abs(start - (turn.started_s or 0) - shift) < 0.1 for turn in spoken)
            for start in starts
        )

    shift = max(shifts, key=hits)
    return [
        (
            index,
            [
                turn
                for turn in spoken
                if starts[index] - _SAME_TURN_S / 2
                <= (turn.started_s or 0) + shift
                < one.speech_end_ns / 1e9 + _SAME_TURN_S / 2
            ],
        )
        for index, one in enumerate(caller)
    ]


def _outcome(acted: _Acted) -> CallOutcome:
    call, media, performance = acted.call, acted.media, acted.performance
    spoken = [(line.text, spoken_instants(media, line)) for line in performance.lines]
    audible = [(text, instants) for text, instants in spoken if len(instants)]
    audio = [packet.audio for packet in media.received if packet.audio is not None]
    turns = measure_turns([instants for _, instants in audible], loud_instants(audio))
    gaps = [float(gap) for gap in frame_gaps_ms(media.received)]
    texts = [text for text, _ in audible]
    report = build_report(call, media, performance)
    return CallOutcome(acted.caller, report, call.times.invite_ns or 0, texts, turns, gaps)
