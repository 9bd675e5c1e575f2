"""Whole calls whose recognizer, voice or speech-to-speech engine fails behind a router."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.beside import beside
from tests.support.cartesia_voice import CartesiaVoice
from tests.support.deepgram_listen_double import DeepgramListenDouble
from tests.support.engine_double import EngineFault
from tests.support.faults import Fault
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.llm_server import Answer, LlmServer
from tests.support.openai_double import OpenAiDouble
from tests.support.outside import LoudEar, calling
from tests.support.speaking_double import Saying, Script, length_ms

GREETING = "Good morning to you all."
ASKS = "What are your opening hours on Monday please?"
ANSWER = "We have excellent wooden tables available tomorrow evening."
RULE = """
[[contexts.default.extensions]]
name = "{name}"
called = "{name}"
steps = [{{ talk = "{name}" }}]
"""


@dataclass(frozen=True)
class Place:
    gateway: LiveGateway
    voices: tuple[CartesiaVoice, CartesiaVoice]
    recognizers: tuple[DeepgramListenDouble, DeepgramListenDouble]
    speech: tuple[OpenAiDouble, OpenAiDouble]


def talker() -> OpenAiDouble:
    return OpenAiDouble(Script(GREETING, [(ASKS, Saying(ANSWER))], {"": Saying(ANSWER)}))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("routed")
    names = ("speaks", "hears", "talks")
    (folder / "plan").mkdir()
    (folder / "plan" / "plan.toml").write_text("".join(RULE.format(name=name) for name in names))
    voices = CartesiaVoice(), CartesiaVoice()
    recognizers = DeepgramListenDouble([ASKS, "", ""]), DeepgramListenDouble([ASKS, "", ""])
    speech = talker(), talker()
    with ExitStack() as stack:
        model = stack.enter_context(beside(LlmServer(default=Answer(text=ANSWER))))
        for voice in voices:
            stack.enter_context(beside(voice))
        for double in (*recognizers, *speech):
            stack.enter_context(beside(double.running()))
        prices = {"cost_per_million_characters": 20.0}
        engines: dict[str, Any] = {
            "voice-a": {**voices[0].settings(), "kind": "tts", "prices": prices},
            "voice-b": {**voices[1].settings(), "kind": "tts", "prices": prices},
            "ear-a": {"provider": "deepgram", **recognizers[0].settings(),
                      "prices": {"cost_per_minute": 0.5}},
            "ear-b": {"provider": "deepgram", **recognizers[1].settings()},
            "talk-a": {"provider": "openai_realtime", **speech[0].settings()},
            "talk-b": {"provider": "openai_realtime", **speech[1].settings()},
        }  # fmt: skip
        llm = {"provider": "openai", "model": "test", "base_url": model.base_url}
        agent = {
            "greeting": GREETING, "llm": llm, "speculation": {"enabled": False},
            "filler": {"after_ms": 0},
        }  # fmt: skip
        config = {
            "engines": engines,
            "routers": {
                "voices": {"try": ["voice-a", "voice-b"]},
                "ears": {"try": ["ear-a", "ear-b"]},
                "talkers": {"try": ["talk-a", "talk-b"]},
            },
            "agents": {
                "speaks": {**agent, "tts": "voices"},
                "hears": {**agent, "stt": "ears"},
                "talks": {
                    **agent,
                    "s2s": {"use": "talkers", "greeting": "engine", "on_failure": "apologize"},
                },
            },
            "dialplan": {"directory": "plan"},
        }
        gateway = stack.enter_context(live_gateway(folder, config))
        yield Place(gateway, voices, recognizers, speech)


def engines_of(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["engine"]: each for route in record["routes"] for each in route["engines"]}


def test_a_voice_that_fails_in_mid_sentence_is_followed_by_another_with_the_next_word(
    place: Place,
) -> None:
    async def scenario() -> None:
        first, second = place.voices
        async with calling(place.gateway.uri("speaks")) as phone:
            await phone.bot_is_done()
            first.fault = Fault.CLOSE
            said_ns = await phone.say("Do you have a table for two tomorrow?")
            await phone.bot_is_done(15, said_ns)
            said_ns = await phone.say("Do you have a table for two tomorrow?")
            await phone.bot_is_done(15, said_ns)
        record = await place.gateway.finished(phone.sip_call_id)
        heard = [turn["bot_text_heard"] for turn in record["turns"]]
        assert heard == [GREETING, ANSWER, ANSWER]
        rest, whole, *_ = (text for text in second.said if text not in GREETING)
        assert ANSWER.endswith(rest.strip())
        assert 2 <= len(rest.split()) <= 6  # of eight words
        assert whole == ANSWER  # and the caller keeps the voice
        engines = engines_of(record)
        assert engines["voice-a"]["failures"] == 1
        assert engines["voice-b"]["cost"] > 0
        assert not place.gateway.events(record, "engine_failed")

    asyncio.run(scenario())


def test_a_recognizer_that_fails_in_mid_turn_hands_the_whole_turn_over(place: Place) -> None:
    async def scenario() -> None:
        first, second = place.recognizers
        async with calling(place.gateway.uri("hears")) as phone:
            await phone.bot_is_done()
            first.break_at = "word"
            said_ns = await phone.say(ASKS)
            await phone.bot_is_done(15, said_ns)
        record = await place.gateway.finished(phone.sip_call_id)
        assert record["turns"][1]["caller_text"] == ASKS
        assert record["turns"][1]["bot_text_heard"] == ANSWER
        (switched,) = place.gateway.events(record, "engine_switched")
        assert (switched["engine"], switched["to"]) == ("ear-a", "ear-b")
        engines = engines_of(record)
        assert engines["ear-a"]["cost"] > 0
        assert engines["ear-b"]["audio_s"] > 2  # of the question, which takes three seconds
        assert first.problems == second.problems == []

    asyncio.run(scenario())


def test_a_call_whose_engine_is_lost_goes_on_at_another_one_with_its_history(place: Place) -> None:
    async def scenario() -> None:
        first, second = place.speech
        async with calling(place.gateway.uri("talks")) as phone:
            ear = LoudEar(phone)
            await ear.hears(length_ms(GREETING), 0)
            first.fault = EngineFault.ERROR
            said_ns = await phone.say("Are you open?")
            await ear.hears(length_ms(ANSWER), said_ns, pause_ms=2500)
        record = await place.gateway.finished(phone.sip_call_id)
        assert record["turns"][-1]["bot_text_heard"] == ANSWER
        lost = place.gateway.events(record, "engine_lost")
        assert [event["goes_on"] for event in lost] == ["reconnects"]
        assert {each["provider"] for each in record["engines"]} == {"talk-a", "talk-b"}
        assert engines_of(record)["talk-a"]["failures"] == 1
        assert second.problems == []

    asyncio.run(scenario())
