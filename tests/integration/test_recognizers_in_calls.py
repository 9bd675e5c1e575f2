"""Whole calls with the doubles of vendors' recognizers, by the front door, for each `turn.by`."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.replay.hearing import chunks_of, listen_as_recorded
from gateway.replay.recording import read_recording
from gateway.replay.turn_replay import decide_again, first_difference
from tests.support.cartesia_voice import CartesiaVoice
from tests.support.deepgram_listen_double import DeepgramListenDouble
from tests.support.google_stt_double import GoogleSttDouble
from tests.support.ink_double import InkDouble
from tests.support.inworld_stt_double import InworldSttDouble
from tests.support.kyutai_stt_double import KyutaiSttDouble
from tests.support.live_gateway import live_gateway
from tests.support.llm_server import Answer, LlmServer
from tests.support.outside import calling
from tests.support.recognizer_double import RecognizerDouble
from tests.support.scribe_double import ScribeDouble
from tests.support.transcription_double import TranscriptionDouble
from tests.support.whisper_double import WhisperDouble

GREETING = "Good morning to you all."
ASKS = "What are your opening hours on Monday please?"
VENDORS = {
    "cartesia": InkDouble,
    "deepgram": DeepgramListenDouble,
    "elevenlabs": ScribeDouble,
    "google": GoogleSttDouble,
    "inworld": InworldSttDouble,
    "kyutai": KyutaiSttDouble,
    "openai": TranscriptionDouble,
}
LINEAR = {"inworld", "kyutai"}
"""They take no G.711."""
CASES = [
    ("deepgram", "gateway", {"whole"}),
    ("deepgram", "both", {"recognizer", "whole"}),
    *[(vendor, "recognizer", {"recognizer"}) for vendor in VENDORS],
]


async def led(
    double: RecognizerDouble | WhisperDouble,
    folder: Path,
    by: str,
    more: dict[str, Any] | None = None,
    *,
    breaks_in_turn: bool = False,
    **settings: Any,
) -> tuple[Any, dict[str, list[Any]], Path]:
    """Lead a call in which the caller asks once; return its record, events and bundle."""
    agent: dict[str, Any] = {
        "greeting": GREETING,
        "stt": {**double.settings(), **settings},
        "turn": {"by": by},
        **(more or {}),
    }
    with ExitStack() as stack:
        gateway = await asyncio.to_thread(
            stack.enter_context, live_gateway(folder, {"agents": {"desk": agent}})
        )
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            if breaks_in_turn and isinstance(double, RecognizerDouble):
                double.break_at = "word"
            said_ns = await phone.say(ASKS)
            await phone.bot_speaks(10, said_ns)
            await phone.bot_is_done(12, said_ns)
        record = await gateway.finished(phone.sip_call_id)
        kinds = ("turn_started", "turn_ended", "recognizer_lost", "engine_failed", "eager_end")
        found = {kind: gateway.events(record, kind) for kind in kinds}
        return record, found, gateway.gateway.bundle(record)


def assert_repeats(bundle: Path) -> None:
    """Replay a call: the decisions come out as they were."""
    recording = read_recording(bundle)
    chunks = chunks_of(listen_as_recorded(recording.audio, recording.events))
    (talk,) = recording.talks
    assert first_difference(talk.decisions, decide_again(talk, chunks)) is None


@pytest.mark.parametrize(("vendor", "by", "evidence"), CASES)
def test_an_agent_hears_with_it_and_answers(
    vendor: str, by: str, evidence: set[str], tmp_path: Path
):
    async def scenario() -> None:
        double = VENDORS[vendor]([ASKS, "", "", ""])
        async with double.running():
            more = {"profile": True}  # of the caller's voice
            reports = {"voice_profile": True} if vendor == "inworld" else {}
            record, found, bundle = await led(
                double, tmp_path, by, more, provider=vendor, **reports
            )
        assert double.problems == []
        turn = record["turns"][1]
        profile = record["voice_profile"]
        assert profile["turns"] >= 1
        assert 60 < profile["pitch_low_hz"] < profile["pitch_hz"] < profile["pitch_high_hz"] < 400
        assert 2 < profile["syllables_per_s"] < 8
        traits = [(trait["kind"], trait["value"]) for trait in profile["traits"]]
        assert traits == ([("emotion", "calm"), ("age", "young")] if reports else [])
        assert turn["caller_text"] == ASKS
        assert turn["bot_text_heard"]
        assert found["turn_ended"][0]["evidence"] in evidence
        assert found["engine_failed"] == []
        coding = "s16" if vendor in LINEAR else "pcmu"
        assert {peer.format.encoding for peer in double.peers if peer.audio} == {coding}
        assert_repeats(bundle)

    asyncio.run(scenario())


@pytest.mark.parametrize("by", ["gateway", "recognizer"])
def test_a_connection_that_is_lost_in_mid_turn_costs_no_word(by: str, tmp_path: Path):
    async def scenario() -> None:
        double = DeepgramListenDouble([ASKS, "", "", ""])
        async with double.running():
            record, found, _ = await led(
                double, tmp_path, by, breaks_in_turn=True, provider="deepgram"
            )
        assert record["turns"][1]["caller_text"] == ASKS
        assert len(found["recognizer_lost"]) == 1
        assert found["engine_failed"] == []
        assert len([peer for peer in double.peers if peer.audio]) >= 2

    asyncio.run(scenario())


def test_an_agent_of_cloud_engines_as_the_readme_shows_it(tmp_path: Path):
    """Recognizer, language model and voice are each behind a network of their own."""
    answer = "We are open from nine to five."

    async def scenario() -> None:
        double = DeepgramListenDouble([ASKS, "", "", ""])
        async with (
            double.running(),
            CartesiaVoice() as voice,
            LlmServer(Answer(text=answer)) as llm,
        ):
            url = f"http://127.0.0.1:{llm.port}/v1"
            more = {
                "llm": {"provider": "openai", "model": "m", "base_url": url, "api_key": "k"},
                "tts": voice.settings() | {"prices": {"cost_per_million_characters": 1000}},
            }
            priced = {"provider": "deepgram", "prices": {"cost_per_minute": 0.6}}
            record, found, _ = await led(double, tmp_path, "recognizer", more, **priced)
            await voice.all_gone()
        turn = record["turns"][1]
        assert (turn["caller_text"], turn["bot_text_heard"].strip()) == (ASKS, answer)
        used = {each["kind"]: each for each in record["usage"]}
        assert used["stt"]["cost"] == pytest.approx(used["stt"]["audio_s"] * 0.01, rel=0.01)
        assert used["stt"]["audio_s"] > 3  # it hears the whole call
        assert used["tts"]["characters"] == len(answer)  # the greeting was rendered before
        assert used["llm"]["requests"] >= 1
        assert found["engine_failed"] == []
        assert double.problems == []

    asyncio.run(scenario())


def test_an_agent_hears_by_http(tmp_path: Path):
    async def scenario() -> None:
        double = WhisperDouble([ASKS])
        async with double.running():
            record, found, _ = await led(double, tmp_path, "gateway", provider="openai_http")
        assert record["turns"][1]["caller_text"] == ASKS
        assert found["engine_failed"] == []
        assert double.requests

    asyncio.run(scenario())
