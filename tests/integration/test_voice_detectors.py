"""A call whose agent takes the light voice detector: heard, interrupted, replayed as it was."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.providers.vad import webrtcvad
from gateway.replay.hearing import chunks_of, listen_as_recorded
from gateway.replay.recording import read_recording
from gateway.replay.turn_replay import decide_again, first_difference
from tests.support.live_gateway import live_gateway
from tests.support.outside import calling

AGENT = {"greeting": "Good morning.", "vad": {"provider": "webrtcvad"}}


def test_a_caller_is_heard_and_interrupts_by_webrtcvad(tmp_path: Path) -> None:
    if hint := webrtcvad.probe():
        pytest.skip(hint)
    with live_gateway(tmp_path, {"agents": {"desk": AGENT}}) as gateway:
        record, bundle = asyncio.run(_interrupting(gateway))
    turns = record["turns"]
    assert any("drinks" in (turn["caller_text"] or "") for turn in turns)
    assert any("tea" in (turn["caller_text"] or "") for turn in turns)
    assert any(turn["interrupted"] for turn in turns)
    events = [json.loads(line) for line in (bundle / "events.jsonl").read_text().splitlines()]
    assert [e["vad"] for e in events if e["kind"] == "hearing_started"] == ["webrtcvad"]
    recording = read_recording(bundle)
    (talk,) = recording.talks
    again = decide_again(talk, chunks_of(listen_as_recorded(recording.audio, recording.events)))
    assert talk.decisions
    assert first_difference(talk.decisions, again) is None


async def _interrupting(gateway):
    async with calling(gateway.uri()) as phone:
        await phone.bot_is_done()
        said_ns = await phone.say("What drinks do you have?")
        await phone.bot_speaks(8, said_ns)
        await asyncio.sleep(0.5)
        said_ns = await phone.say("Wait. I want a large tea.")
        await phone.bot_speaks(8, said_ns)
    record = await gateway.finished(phone.sip_call_id)
    return record, gateway.gateway.bundle(record)
