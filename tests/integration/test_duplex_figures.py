"""What `call.json` says of a speech-to-speech engine is what the caller measured."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import pytest

from gateway.probe import voices
from gateway.probe.timeline import Instants, loud_instants, measure_turns
from tests.support.live_gateway import live_gateway
from tests.support.outside import calling
from tests.support.plug_in import plug_in

ROOT = Path(__file__).parents[2]
TOLERANCE_MS = 20.0
QUESTIONS = (
    "What are your opening hours?",
    "Where are you located?",
    "What drinks do you have?",
    "What is your address please?",
)
ENGINE = '''
"""An engine of a test: it answers four times and says what that costs."""

from gateway.providers.contracts import ProviderSettings
from gateway.providers.speech_to_speech import EngineUsage
from tests.support.scripted_engine import ScriptedEngine

SUMMARY = "scripted"


class Settings(ProviderSettings):
    pass


def probe() -> str:
    return ""


def create(settings: Settings) -> ScriptedEngine:
    totals = [EngineUsage(1000 * n, 100 * n, 500 * n, 80 * n) for n in range(1, 5)]
    answers = [["This is the answer.", total] for total in totals]
    engine = ScriptedEngine(*answers, heard=["Well."] * 4)
    engine.speech_level = 1000
    return engine
'''
PRICES = {"input_text_cost_per_million": 4.0, "output_audio_cost_per_million": 60.0}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_both_ends_agree_on_the_gap_and_its_parts(tmp_path: Path) -> None:
    environ = plug_in(tmp_path / "plug-in", "s2s", "scripted_speech", ENGINE)
    environ["PYTHONPATH"] += f":{ROOT}"
    agent = {
        "greeting": "Good morning.",
        "s2s": {"provider": "scripted_speech", "prices": PRICES},
        "llm_limits": {"cost_per_day": 100.0},
    }

    async def scenario() -> None:
        spoken: list[Instants] = []
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            for text in QUESTIONS:
                first, last = phone.media.play(await voices.render(text))
                await phone.until(lambda end=last: len(phone.media.sent) > end, 30, "speech sent")
                spoken.append(loud_instants(phone.media.sent[first : last + 1]))
                await phone.bot_is_done(20, time.monotonic_ns())
        audio = [arrival.audio for arrival in phone.media.received if arrival.audio is not None]
        wire = measure_turns(spoken, loud_instants(audio))
        record = await gateway.finished(phone.sip_call_id)
        turns = [turn for turn in record["turns"] if turn["response_gap_ms"] is not None]
        assert len(turns) == len(QUESTIONS)
        apart = [
            abs(heard.response_gap_ms - turn["engine_first_audio_ms"] - turn["gateway_share_ms"])
            for heard, turn in zip(wire, turns, strict=True)
            if heard.response_gap_ms is not None
        ]
        assert len(apart) >= 3
        assert statistics.median(apart) <= TOLERANCE_MS, apart
        for turn in turns:
            assert turn["engine_first_audio_ms"] > 300  # the silence that the engine waits for
            assert turn["llm_first_sentence_ms"] is turn["tts_first_audio_ms"] is None
            assert turn["slowest_stage"] == "engine_first_audio_ms"
        to_wire = statistics.median(turn["engine_to_wire_ms"] for turn in turns)
        assert 0 < to_wire < 200
        (engine,) = record["engines"]
        assert (engine["provider"], engine["sessions"]) == ("scripted_speech", 1)
        assert (engine["input_tokens"], engine["output_audio_tokens"]) == (4000, 320)
        assert engine["cost"] == pytest.approx((2000 * 4 + 320 * 60) / 1e6)
        seen = gateway.events(record, "engine_reply")
        assert [event["what"] for event in seen] == ["started", "audio", "ended"] * 4
        assert all(event["audio_s"] > 0 for event in seen)
        metrics = (await gateway.ask_beside("GET", "/metrics")).text
        assert "gateway_engine_first_audio_seconds_count" in metrics
        tokens = [line for line in metrics.splitlines() if "engine_tokens_total{" in line]
        assert any('kind="input_text"' in line and line.endswith(" 2000.0") for line in tokens)
        sessions = next(line for line in metrics.splitlines() if "engine_sessions_total{" in line)
        assert 'provider="scripted_speech"' in sessions

    with live_gateway(tmp_path, {"agents": {"desk": agent}}, environ) as gateway:
        asyncio.run(scenario())
