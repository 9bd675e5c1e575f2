"""What `call.json` says about a call is what the caller at the other end of the wire measured."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.probe import voices
from gateway.probe.rtp import Impairments
from gateway.probe.timeline import Instants, Turn, loud_instants, measure_turns
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
Pairs = list[tuple[float, float]]
"""(what the caller measured, what the gateway reported), milliseconds."""


@pytest.mark.parametrize(
    "impairments",
    [Impairments(), Impairments(jitter_ms=30.0), Impairments(loss_percent=5.0)],
    ids=["clean", "jitter", "loss"],
)
def test_both_ends_agree(tmp_path: Path, impairments: Impairments) -> None:
    """Most turns do.  A packet lost at the edge of speech moves that edge by 20 ms and more."""
    with live_gateway(tmp_path, {"agents": {"desk": {"llm": {"provider": "script"}}}}) as gateway:
        spoken, bot, record = asyncio.run(talk(gateway, impairments))
    gaps, stops = compared(measure_turns(spoken, bot), record["turns"])
    assert len(gaps) >= 3, record["turns"]
    assert len(stops) >= 2, record["turns"]
    for name, pairs in (("response gap", gaps), ("barge-in stop", stops)):
        apart = statistics.median(abs(wire - reported) for wire, reported in pairs)
        assert apart <= TOLERANCE_MS, f"{name}: {pairs}"


async def talk(
    gateway: LiveGateway, impairments: Impairments
) -> tuple[list[Instants], Instants, dict[str, Any]]:
    """Ask, hear the answers out, then break into some; gives what was said, heard, recorded."""
    spoken: list[Instants] = []
    async with calling(gateway.uri(), impairments=impairments) as phone:
        await phone.bot_is_done(30)
        for text in QUESTIONS:
            spoken.append(await said(phone, text))
            await phone.bot_is_done(30, time.monotonic_ns())
        spoken.append(await said(phone, INTERRUPTIONS[-1]))
        for text in INTERRUPTIONS:
            await phone.bot_speaks(10, time.monotonic_ns())
            await phone.until(lambda: spoke_for_s(phone) > 0.9, 10, "the bot in mid-sentence")
            spoken.append(await said(phone, text))
        await phone.bot_is_done(30, time.monotonic_ns())
    audio = [arrival.audio for arrival in phone.media.received if arrival.audio is not None]
    return spoken, loud_instants(audio), await gateway.finished(phone.sip_call_id)


async def said(phone: Telephone, text: str) -> Instants:
    """Say it; returns the instants of its loud samples."""
    first, last = phone.media.play(await voices.render(text))
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
