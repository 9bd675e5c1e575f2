"""What the gateway adds to a call with a speech-to-speech engine: a double whose times are known.

The double of OpenAI Realtime runs in this process, so that both ends of the call and the engine
have one clock.  Its own detection is on; it answers 100 ms after it has heard 400 ms of silence,
and delivers a reply at three times the speed of speech.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks._gateway import Gateway, running_gateway
from benchmarks._report import percentiles, progress, publish, spread
from gateway.probe import voices
from gateway.probe.g711 import Samples
from gateway.probe.timeline import Audio, Departure
from gateway.records.model import TurnRecord
from tests.support.engine_double import KEY
from tests.support.openai_double import OpenAiDouble
from tests.support.outside import Telephone, calling
from tests.support.served_doubles import served
from tests.support.speaking_double import LOUD_PEAK, Mark, Partner, Saying, Script

LATENCY_S = 0.1
GREETING = "Good morning."
STORY = " ".join(["Once upon a time there was a long story without any end."] * 3)
QUESTIONS = (
    "Please tell me a story.",
    "Stop, I want another one.",
    "Wait, what do you mean?",
    "No, tell me something else.",
)
TALK_MS = (900, 1400, 700, 1700, 1100)
"""How much of a reply is heard before it is interrupted."""
ROUNDS = 8
AGENT = """
[agents.desk]
greeting = "{greeting}"
s2s = {{ provider = "openai_realtime", base_url = "{url}", api_key = "{key}", greeting = "engine" }}
silence = {{ reprompt_after_s = 60 }}
"""


@dataclass(slots=True)
class Figures:
    """Of all calls, in milliseconds."""

    first_word: list[float] = field(default_factory=list)
    """From the 200 to the greeting's first sample, without the engine's own time."""
    share: list[float] = field(default_factory=list)
    """Of a turn: from the caller's last loud sample to the engine, and from the engine's first
    sample to the caller."""
    to_engine: list[float] = field(default_factory=list)
    from_engine: list[float] = field(default_factory=list)
    gap: list[float] = field(default_factory=list)
    """The whole of it: with the engine's 500 ms."""
    stop: list[float] = field(default_factory=list)
    """From the caller's first loud sample to the bot's last."""
    cut_error: list[float] = field(default_factory=list)
    """`audio_end_ms` less what the caller has heard of the reply."""
    reported_share: list[float] = field(default_factory=list)
    reported_stop: list[float] = field(default_factory=list)
    not_cut: int = 0


async def run(*, quick: bool) -> None:
    figures = Figures()
    turns = [("Tell me.", Saying(STORY))]
    script = Script(GREETING, turns, latency_s=LATENCY_S, pace=3.0, piece_ms=100)
    double = OpenAiDouble(script)
    questions = [await voices.render(text) for text in QUESTIONS]
    with served([double]):
        agents = AGENT.format(greeting=GREETING, url=double.url, key=KEY)
        async with running_gateway(agents) as gateway:
            for number in range(1 if quick else 6):
                await _call(gateway, double, questions, number, figures)
                progress(f"{len(figures.share)} turns, {len(figures.stop)} interruptions")
    if double.problems:
        raise RuntimeError(f"the protocol was broken: {double.problems}")
    _publish(figures)


async def _call(
    gateway: Gateway, double: OpenAiDouble, questions: list[Samples], number: int, figures: Figures
) -> None:
    caller = f"bench-duplex-{number}"
    async with calling(gateway.uri, user=caller) as phone:
        await phone.bot_is_done()
        partner = double.peers[-1].partner
        assert partner is not None
        spoken = []
        for turn in range(ROUNDS):
            first, last = phone.media.play(questions[(number + turn) % len(questions)])
            await phone.until(lambda last=last: len(phone.media.sent) > last, 30, "speech")
            spoken.append((first, last))
            said_ns = time.monotonic_ns()
            await phone.bot_speaks(8, said_ns)
            talks_s = time.monotonic() + TALK_MS[(number + turn) % len(TALK_MS)] / 1000
            await phone.until(lambda until_s=talks_s: time.monotonic() > until_s, 8, "talk")
    record = await gateway.record(caller)
    _measure(phone, double, partner, spoken, figures)
    _take_reported(record.turns, figures)


def _measure(
    phone: Telephone,
    double: OpenAiDouble,
    partner: Partner,
    spoken: list[tuple[int, int]],
    figures: Figures,
) -> None:
    came = _loud_ns([p.audio for p in phone.media.received if p.audio is not None])
    answered_ns = phone.call.times.answered_ns
    assert answered_ns is not None
    figures.first_word.append((came[0] - answered_ns) / 1e6 - LATENCY_S * 1000)
    heard = [_loud_ns(phone.media.sent[first : last + 1]) for first, last in spoken]
    cuts = list(double.peers[-1].cuts)
    for number, said in enumerate(heard):
        begins_ns, ends_ns = int(said[0]), int(said[-1])
        following = heard[number + 1] if number + 1 < len(heard) else None
        last_loud = _mark_after(partner.marks, "last loud", begins_ns)
        first_sound = _mark_after(partner.marks, "first sound", ends_ns)
        reply = came[came > first_sound]
        to_engine, from_engine = (last_loud - ends_ns) / 1e6, (reply[0] - first_sound) / 1e6
        figures.to_engine.append(to_engine)
        figures.from_engine.append(from_engine)
        figures.share.append(to_engine + from_engine)
        figures.gap.append((reply[0] - ends_ns) / 1e6)
        if following is None:
            continue
        reply = reply[reply < following[-1]]
        figures.stop.append((reply[-1] - following[0]) / 1e6)
        if not cuts:
            figures.not_cut += 1
            continue
        figures.cut_error.append((cuts.pop(0) or 0) - (reply[-1] - reply[0]) / 1e6)


def _loud_ns(audio: list[Audio] | list[Departure]) -> NDArray[np.int64]:
    """Return the instants of all samples that the double takes for loud."""
    parts = [
        packet.at_ns
        + np.flatnonzero(np.abs(packet.samples.astype(np.int32)) >= LOUD_PEAK) * 125_000
        for packet in audio
    ]
    return np.concatenate(parts).astype(np.int64)


def _mark_after(marks: list[Mark], what: str, after_ns: int) -> int:
    return next(mark.at_ns for mark in marks if mark.what == what and mark.at_ns > after_ns)


def _take_reported(turns: tuple[TurnRecord, ...], figures: Figures) -> None:
    for turn in turns:
        if turn.gateway_share_ms is not None:
            figures.reported_share.append(turn.gateway_share_ms)
        if turn.barge_in_stop_ms is not None:
            figures.reported_stop.append(turn.barge_in_stop_ms)


def _publish(figures: Figures) -> None:
    errors = [abs(error) for error in figures.cut_error]
    within = len([error for error in errors if error <= 40])
    publish(
        "duplex",
        "Speech to speech: what the gateway adds, OpenAI double",
        [
            ("gateway share of a turn", spread(figures.share, 50, 95)),
            ("  caller to engine", spread(figures.to_engine, 50, 95)),
            ("  engine to caller", spread(figures.from_engine, 50, 95)),
            ("as the gateway reported it", spread(figures.reported_share, 50, 95)),
            ("whole gap, with the engine's 500 ms", spread(figures.gap, 50, 95)),
            ("stop after the caller's first sound", spread(figures.stop, 50, 95)),
            ("as the gateway reported it", spread(figures.reported_stop, 50, 95)),
            ("audio_end_ms less what was heard", spread(figures.cut_error, 5, 50, 95)),
            ("  within 40 ms", f"{within} of {len(errors)}"),
            ("first word after 200, less the engine's 100 ms", spread(figures.first_word, 50, 95)),
            ("interruptions that cut nothing", str(figures.not_cut)),
        ],
        {
            "share_ms": percentiles(figures.share, 50, 95),
            "to_engine_ms": percentiles(figures.to_engine, 50, 95),
            "from_engine_ms": percentiles(figures.from_engine, 50, 95),
            "reported_share_ms": percentiles(figures.reported_share, 50, 95),
            "gap_ms": percentiles(figures.gap, 50, 95),
            "stop_ms": percentiles(figures.stop, 50, 95),
            "reported_stop_ms": percentiles(figures.reported_stop, 50, 95),
            "audio_end_error_ms": percentiles(figures.cut_error, 5, 50, 95),
            "audio_end_within_40_ms": [within, len(errors)],
            "first_word_ms": percentiles(figures.first_word, 50, 95),
            "not_cut": figures.not_cut,
        },
    )
