"""Moshi against a double of both its servers: the same bytes, and Opus by the same library."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import numpy as np
import pytest

from gateway.errors import ProviderProtocolError, ProviderTimeout, ProviderUnavailable
from gateway.providers import registry
from gateway.providers.contracts import UserMessage
from gateway.providers.s2s import moshi
from gateway.providers.speech_to_speech import (
    EngineNotice,
    ReplyEnded,
    ReplyStarted,
    SpeechToSpeech,
)
from tests.support.engine_contract import OPENING, TOOL, Call, EngineContract, Subject, silence
from tests.support.engine_double import EngineDouble
from tests.support.moshi_double import FORM, MoshiDouble, RustMoshiDouble

SUBJECT = Subject("moshi", MoshiDouble)


class TestMoshi(EngineContract):
    @pytest.fixture(params=[MoshiDouble, RustMoshiDouble], ids=["python", "rust"])
    def engine(self, request: pytest.FixtureRequest) -> Subject:
        return Subject("moshi", request.param)


def tone(frequency_hz: float, seconds: float) -> bytes:
    at = np.arange(int(seconds * FORM.sample_rate_hz)) / FORM.sample_rate_hz
    return (9000 * np.sin(2 * np.pi * frequency_hz * at)).astype("<i2").tobytes()


def pitch_of(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * FORM.sample_rate_hz / len(samples)


def test_both_ways_carry_sound():
    async def use(call: Call) -> None:
        sent = tone(600, 1.0)
        for at in range(0, len(sent), FORM.frame_bytes):
            call.session.push(sent[at : at + FORM.frame_bytes])
        await call.peer.until(lambda peer: len(peer.heard) >= 0.9 * len(sent))
        assert abs(pitch_of(bytes(call.peer.heard)) - 600) < 3
        await call.peer.say("r1", tone(900, 1.0), "Hello.")
        reply_id = (await call.next(ReplyStarted)).reply_id
        await call.next(ReplyEnded)
        assert abs(pitch_of(call.audio(reply_id)) - 900) < 3

    SUBJECT.call(use)


def test_silence_is_sent_as_the_clock():
    async def use(call: Call) -> None:
        for _ in range(50):
            call.session.push(silence(FORM))
        await call.peer.until(lambda peer: len(peer.heard) >= 0.9 * FORM.frame_bytes * 50)

    SUBJECT.call(use)


def test_a_busy_server_is_named_and_free_again_when_the_first_has_left():
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        assert isinstance(double, MoshiDouble)
        double.is_serial = True
        async with provider.connect(OPENING):
            with pytest.raises(ProviderTimeout, match="one conversation at a time and is busy"):
                await provider.warm_up()
        await double.all_gone()
        async with provider.connect(OPENING):
            pass

    SUBJECT.serve(use, connect_timeout_s=0.5)


def test_another_version_of_the_protocol_is_refused():
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        assert isinstance(double, MoshiDouble)
        double.version = 7
        with pytest.raises(ProviderProtocolError, match="version 7"):
            await provider.warm_up()

    Subject("moshi", RustMoshiDouble).serve(use)


def test_what_it_cannot_do_is_reported_at_once():
    opening = replace(OPENING, messages=[UserMessage("Hello.")], greeting="Good day.", tools=[TOOL])

    async def use(call: Call) -> None:
        await call.says("r1")
        text = call.of(EngineNotice)[0].text
        for named in ("instructions", "history", "greeting", "tools"):
            assert named in text

    SUBJECT.call(use, opening)


def test_an_error_of_the_server_ends_the_session():
    async def use(call: Call) -> None:
        await call.peer.error("out of memory")
        error = await call.fails()
        assert isinstance(error, ProviderUnavailable)
        assert "out of memory" in error.problem

    SUBJECT.call(use)


def test_sampling_settings_are_asked_for_in_the_address():
    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        await provider.warm_up()
        assert double.paths == ["/api/chat?text_temperature=0.5&audio_topk=250&max_steps=4500"]

    SUBJECT.serve(use, text_temperature=0.5, audio_top_k=250, max_steps=4500)


def test_without_the_codec_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sphn", None)
    monkeypatch.setattr(moshi.importlib.util, "find_spec", lambda name: None)
    (found,) = (each for each in registry.available("s2s") if each.name == "moshi")
    assert not found.available
    assert "install" in found.hint
    assert "sphn" in found.hint
    provider = registry.create("s2s", {"provider": "moshi"})
    with pytest.raises(ProviderUnavailable, match="sphn"):
        asyncio.run(provider.warm_up())
