"""What `call.json` says about a call is what the caller at the other end of the wire measured."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gateway.probe import voices
from gateway.probe.g711 import Samples
from gateway.probe.rtp import Impairments
from gateway.probe.timeline import Instants, Turn, loud_instants, measure_turns
from tests.support.gateway_process import DEFAULT_VOICE
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import Telephone, calling

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TOLERANCE_MS = 20.0
QUESTIONS = (
    "What are your opening hours?",
    "Where are you located?",
    "What drinks do you have?",
    "What is your address please?",
)
INTERRUPTIONS = ("What can you do for me?", "What drinks do you have?") * 2
SAME_TURN_S = 0.5
CONFIG = {"agents": {"desk": {"llm": {"provider": "script"}, "tts": DEFAULT_VOICE}}}
Pairs = list[tuple[float, float]]
"""(what the caller measured, what the gateway reported), milliseconds."""


@dataclass(frozen=True, slots=True)
class Line:
    """How a caller is connected, and how much is said."""

    impairments: Impairments | None = None
    ptime_ms: int = 20
    """Audio per packet."""
    lines: int = 4
    gaps: int = 3
    """Turns that both ends must have measured, at least."""
    stops: int = 2


SHORT = {"lines": 2, "gaps": 2, "stops": 0}
LINES = {  # packets of 20 ms, but for those that are named for theirs
    "clean": Line(),
    "jitter": Line(Impairments(jitter_ms=30.0)),
    "loss": Line(Impairments(loss_percent=5.0)),
    "10 ms": Line(ptime_ms=10, **SHORT),
    "30 ms": Line(ptime_ms=30, **SHORT),
    "60 ms": Line(ptime_ms=60, **SHORT),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with live_gateway(tmp_path_factory.mktemp("wire"), CONFIG) as running:
        yield running


@pytest.mark.parametrize(
    "pair", [("clean", "jitter"), ("loss", "30 ms"), ("10 ms", "60 ms")], ids=" and ".join
)
def test_both_ends_agree(gateway: LiveGateway, pair: tuple[str, str]) -> None:
    """Most turns do.  A packet lost at the edge of speech moves that edge by 20 ms and more."""

    async def calls() -> list[Any]:  # two at once: more would blur the caller's clock
        return await asyncio.gather(*(talk(gateway, LINES[name]) for name in pair))

    for name, (spoken, bot, record) in zip(pair, asyncio.run(calls()), strict=True):
        line = LINES[name]
        gaps, stops = compared(measure_turns(spoken, bot), record["turns"])
        assert len(gaps) >= line.gaps, (name, record["turns"])
        assert len(stops) >= line.stops, (name, record["turns"])
        for what, pairs in (("response gap", gaps), ("barge-in stop", stops)):
            apart = statistics.median(abs(wire - reported) for wire, reported in pairs or [(0, 0)])
            assert apart <= TOLERANCE_MS, f"{name}: {what}: {pairs}"


def test_a_soft_first_sound_and_a_soft_voice_count(gateway: LiveGateway) -> None:
    """Both ends mean the same "first sample" of an "s", however loud the caller is."""

    async def calls() -> list[Any]:
        return await asyncio.gather(
            interrupt(gateway, ("Stop.", "Excuse me."), "awb", 1.0),
            interrupt(gateway, ("Sorry.", "Listen."), "kal16", 0.25),
        )

    found = asyncio.run(calls())
    stops = [stop for spoken, bot, record in found
             for stop in stops_of(measure_turns(spoken, bot), record["turns"])]  # fmt: skip
    assert len(stops) >= 3
    apart = statistics.median(abs(wire - reported) for wire, reported in stops)
    assert apart <= TOLERANCE_MS, stops


async def interrupt(
    gateway: LiveGateway, words: Sequence[str], voice: voices.Voice, gain: float
) -> tuple[list[Instants], Instants, dict[str, Any]]:
    """Break into long answers with these words."""
    spoken: list[Instants] = []
    async with calling(gateway.uri()) as phone:
        await phone.bot_is_done(30)
        for word in words:
            asked_ns = time.monotonic_ns()
            await said(phone, INTERRUPTIONS[0])
            await phone.bot_speaks(15, asked_ns)
            await phone.until(lambda: spoke_for_s(phone) > 0.9, 15, "the bot in mid-sentence")
            pcm = (await voices.render(word, voice) * gain).astype(np.int16)
            spoken.append(await played(phone, pcm))
            await phone.until(lambda: spoke_for_s(phone) == 0.0, 15, "the bot to stop")
            await asyncio.sleep(1.5)
            await phone.until(lambda: spoke_for_s(phone) == 0.0, 15, "the bot to be done")
    audio = [arrival.audio for arrival in phone.media.received if arrival.audio is not None]
    return spoken, loud_instants(audio), await gateway.finished(phone.sip_call_id)


def stops_of(wire: list[Turn], reported: list[dict[str, Any]]) -> Pairs:
    """Put the stops side by side, in order; a word that was not taken for one is left out."""
    cuts = [turn["barge_in_stop_ms"] for turn in reported if turn["barge_in_stop_ms"] is not None]
    heard = [turn.barge_in_stop_ms for turn in wire if turn.barge_in_stop_ms is not None]
    return list(zip(heard, cuts, strict=True)) if len(heard) == len(cuts) else []


async def talk(gateway: LiveGateway, line: Line) -> tuple[list[Instants], Instants, dict[str, Any]]:
    """Ask, hear the answers out, then break into some; gives what was said, heard, recorded."""
    spoken: list[Instants] = []
    async with calling(
        gateway.uri(), impairments=line.impairments, ptime_ms=line.ptime_ms
    ) as phone:
        await phone.bot_is_done(30)
        for text in QUESTIONS[: line.lines]:
            spoken.append(await said(phone, text))
            await phone.bot_is_done(30, time.monotonic_ns())
        spoken.append(await said(phone, INTERRUPTIONS[-1]))
        for text in INTERRUPTIONS[: line.lines]:
            await phone.bot_speaks(10, time.monotonic_ns())
            await phone.until(lambda: spoke_for_s(phone) > 0.9, 10, "the bot in mid-sentence")
            spoken.append(await said(phone, text))
        await phone.bot_is_done(30, time.monotonic_ns())
    audio = [arrival.audio for arrival in phone.media.received if arrival.audio is not None]
    return spoken, loud_instants(audio), await gateway.finished(phone.sip_call_id)


async def said(phone: Telephone, text: str) -> Instants:
    """Say it; returns the instants of its loud samples."""
    return await played(phone, await voices.render(text))


async def played(phone: Telephone, pcm: Samples) -> Instants:
    first, last = phone.media.play(pcm)
    await phone.until(lambda: len(phone.media.sent) > last, 30, "speech to be sent")
    return loud_instants(phone.media.sent[first : last + 1])


def spoke_for_s(phone: Telephone) -> float:
    start_ns = phone.listener.spurt_start_ns
    return 0.0 if start_ns is None else (time.monotonic_ns() - start_ns) / 1e9


def compared(wire: list[Turn], reported: list[dict[str, Any]]) -> tuple[Pairs, Pairs]:
    """Put gaps and stops side by side; what the gateway took for two turns is left out."""
    answers = [turn for turn in reported if turn["caller_text"]]
    shift_s = wire[0].speech_start_ns / 1e9 - answers[0]["started_s"]
    gaps, stops = [], []
    for turn in wire:
        start_s, end_s = turn.speech_start_ns / 1e9, turn.speech_end_ns / 1e9
        own = [
            answer
            for answer in answers
            if start_s - SAME_TURN_S <= answer["started_s"] + shift_s < end_s + SAME_TURN_S
        ]
        if len(own) != 1:
            continue
        if turn.response_gap_ms is not None and own[0]["response_gap_ms"] is not None:
            gaps.append((turn.response_gap_ms, own[0]["response_gap_ms"]))
        cut = next((t for t in reported if t["index"] == own[0]["index"] - 1), None)
        stop_ms = cut and cut["barge_in_stop_ms"]
        if turn.barge_in_stop_ms is not None and stop_ms is not None:
            stops.append((turn.barge_in_stop_ms, stop_ms))
    return gaps, stops
