"""Calls whose agent speaks with a vendor's voice: a cut sentence keeps the words that were over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.cartesia_voice import CartesiaVoice
from tests.support.deepgram_voice import AuraVoice, FluxVoice
from tests.support.elevenlabs_voice import ElevenLabsVoice
from tests.support.gateway_process import free_port
from tests.support.google_voice import GoogleVoice
from tests.support.hume_voice import HumeVoice
from tests.support.inworld_voice import InworldVoice
from tests.support.kyutai_voice import KyutaiVoice
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.llm_server import Answer, LlmServer
from tests.support.outside import Telephone, calling
from tests.support.speech_server import SpeechServer
from tests.support.vendor_double import KEY
from tests.support.voice_double import VoiceDouble

GREETING = "Good morning."
ANSWER = "I see excellent wooden tables available tomorrow evening."
LAST = "Very well."
SLOW = {"x": 1500}
"""One sound of "excellent" lasts for 1.5 s: by its length, more would have been said."""


class Ear:
    """How long the bot was heard, from the beginning of its latest speech on."""

    def __init__(self, phone: Telephone) -> None:
        self.intervals_ms: list[list[float]] = []
        self._listen = phone.media.on_audio
        phone.media.on_audio = self.push

    def push(self, audio: Any) -> None:
        self._listen(audio)
        loud = np.flatnonzero(np.abs(audio.samples.astype(np.int32)) > 1000)
        if not len(loud):
            return
        at_ms = audio.at_ns / 1e6
        first, last = at_ms + loud[0] / 8, at_ms + loud[-1] / 8
        if not self.intervals_ms or first - self.intervals_ms[-1][1] > 300:
            self.intervals_ms.append([first, last])
        self.intervals_ms[-1][1] = last

    def heard_ms(self, number: int) -> float:
        first, last = self.intervals_ms[number]
        return last - first


def words_over(double: VoiceDouble, text: str, played_ms: float) -> str:
    """Return the words of a text that were over after some of its sound."""
    over = ""
    for index, character in enumerate(text):
        if character == " " and double.begins_at_ms(text, index + 1) <= played_ms:
            over = text[:index]
    return over


def settings_of(double: VoiceDouble | SpeechServer) -> dict[str, Any]:
    if isinstance(double, SpeechServer):
        return {"provider": "openai", "base_url": double.base_url, "api_key": KEY}
    return double.settings()


@asynccontextmanager
async def call(
    double: VoiceDouble | SpeechServer, folder: Path, *answers: Answer
) -> AsyncIterator[tuple[LiveGateway, LlmServer, Telephone]]:
    """Call an agent that speaks with the double; its greeting is over."""
    port = free_port()
    agent: dict[str, Any] = {
        "greeting": GREETING,
        "tts": settings_of(double),
        "speculation": {"enabled": False},
        "filler": {"after_ms": 0},
        "llm": {"provider": "openai", "model": "test", "base_url": f"http://127.0.0.1:{port}/v1"},
    }
    with ExitStack() as stack:
        gateway = await asyncio.to_thread(
            stack.enter_context, live_gateway(folder, {"agents": {"desk": agent}})
        )
        async with LlmServer(*answers, port=port) as model, calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            yield gateway, model, phone


async def led(double: VoiceDouble, folder: Path) -> tuple[dict[str, Any], float]:
    """Lead a call that interrupts `ANSWER`; return its record and how long it was heard, ms."""
    async with call(double, folder, Answer(text=ANSWER), Answer(text=LAST)) as (gateway, _, phone):
        ear = Ear(phone)
        said_ns = await phone.say("Do you have a table for two tomorrow?")
        await phone.bot_speaks(10, said_ns)
        since_s = time.monotonic()
        await phone.until(lambda: time.monotonic() > since_s + 0.6, 5, "some words")
        broke_in_ns = await phone.say("Stop, wait a moment please, that is wrong.")
        await phone.bot_is_done(12, broke_in_ns)
        await phone.call.hang_up()
        record = await gateway.finished(phone.sip_call_id)
        failures = gateway.events(record, "engine_failed")
        assert failures == []
    return record, ear.heard_ms(-2)


@pytest.mark.parametrize(
    "vendor",
    [
        ElevenLabsVoice,
        CartesiaVoice,
        AuraVoice,
        FluxVoice,
        InworldVoice,
        HumeVoice,
        KyutaiVoice,
        GoogleVoice,
    ],
    ids=lambda it: it.__name__,
)
def test_an_interrupted_sentence_is_cut_at_the_word_that_was_heard(
    vendor: type[VoiceDouble], tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with vendor() as double:
            double.slow_ms = SLOW
            double.pace_s = 0.05
            record, heard_ms = await led(double, tmp_path)
            await double.all_gone()
        greeting, answer, last = record["turns"][:3]
        assert greeting["bot_text_heard"] == GREETING
        assert answer["interrupted"]
        assert 300 < heard_ms < 2200
        if double.REPORTS:
            assert answer["bot_text_heard"] == words_over(double, ANSWER, heard_ms) == "I see"
        assert ANSWER.startswith(answer["bot_text_heard"])
        assert last["bot_text_heard"] == LAST
        assert double.problems == []
        assert double.said.count(ANSWER) == 1

    asyncio.run(scenario())


SLOWLY = "We can offer you the round table by the window at seven."


def test_the_first_words_are_heard_while_the_model_writes_the_sentence(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CartesiaVoice() as double:
            answer = Answer(text=SLOWLY, token_ms=400)
            async with call(double, tmp_path, answer) as (gateway, model, phone):
                said_ns = await phone.say("Do you have a table for two tomorrow?")
                await phone.bot_speaks(10, said_ns)
                (asked,) = model.completions
                assert not asked.finished.is_set()
                assert double.said[-1].strip() == "We can offer"
                async with asyncio.timeout(15):
                    await asked.finished.wait()
                await phone.bot_is_done(15, time.monotonic_ns())
                await phone.call.hang_up()
                record = await gateway.finished(phone.sip_call_id)
            await double.all_gone()
        assert record["turns"][1]["bot_text_heard"] == SLOWLY
        assert " ".join(double.said[-2:]) == SLOWLY  # the first piece ends before "at"
        assert double.problems == []

    asyncio.run(scenario())


def test_an_agent_speaks_with_openai(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            SpeechServer() as double,
            call(double, tmp_path, Answer(text=ANSWER)) as (gateway, _, phone),
        ):
            said_ns = await phone.say("Do you have a table for two tomorrow?")
            await phone.bot_speaks(10, said_ns)
            await phone.bot_is_done(15, said_ns)
            await phone.call.hang_up()
            record = await gateway.finished(phone.sip_call_id)
            assert gateway.events(record, "engine_failed") == []
        assert record["turns"][1]["bot_text_heard"] == ANSWER
        assert [request["input"] for request in double.requests].count(ANSWER) == 1
        assert double.problems == []

    asyncio.run(scenario())
