"""Inworld and xAI keep the contract of engines, each in its own form of OpenAI's dialect."""

from dataclasses import replace

import pytest

from gateway.audio.format import NARROWBAND
from gateway.providers.speech_to_speech import CallerStarted, CallerText
from tests.support.dialect_doubles import InworldDouble, XaiDouble
from tests.support.engine_contract import OPENING, TOOL, Call, EngineContract, Subject

INWORLD = Subject("inworld_realtime", InworldDouble)
XAI = Subject("xai_realtime", XaiDouble)


class TestInworld(EngineContract):
    @pytest.fixture
    def engine(self) -> Subject:
        return INWORLD


class TestXai(EngineContract):
    @pytest.fixture
    def engine(self) -> Subject:
        return XAI


def test_inworld_gets_its_own_settings():
    async def use(call: Call) -> None:
        session = call.peer.session
        assert session["model"] == "openai/gpt-4o-mini"
        assert session["temperature"] == 0.4
        assert session["providerData"] == {"tts": {"delivery_mode": "STABLE"}}
        assert session["audio"]["output"]["model"] == "inworld-tts-2"
        assert session["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
        assert call.double.paths == ["/api/v1/realtime/session?key=call-1&protocol=realtime"]

    INWORLD.call(
        use, model="openai/gpt-4o-mini", temperature=0.4, tts_model="inworld-tts-2",
        provider_data={"tts": {"delivery_mode": "STABLE"}}, turn_detection="semantic_vad",
    )  # fmt: skip


def test_inworlds_text_of_a_caller_is_a_sign_of_speech():
    async def use(call: Call) -> None:
        call.peer._turns = 1
        await call.peer.caller_says("Wait", is_final=False)
        assert (await call.next(CallerStarted)).at_ms is None
        await call.peer.caller_says("Wait a moment", is_final=False)
        await call.until(lambda: len(call.of(CallerText)) == 2)
        call.peer._turns = 0
        await call.peer.caller_starts(200)
        await call.peer.caller_ends(900)
        await call.says("r1")
        assert call.of(CallerText)[-1].text == "Wait a moment"
        assert len(call.of(CallerStarted)) == 1

    INWORLD.call(use)


def test_xais_session_has_a_form_of_its_own():
    async def use(call: Call) -> None:
        session = call.peer.session
        assert sorted(session) == [
            "audio", "instructions", "reasoning", "replace", "tools", "turn_detection", "voice"
        ]  # fmt: skip
        assert session["turn_detection"] == {"type": "server_vad", "silence_duration_ms": 300}
        transcription = session["audio"]["input"]["transcription"]
        assert transcription == {"model": "grok-transcribe", "language_hint": "de"}
        assert call.double.paths == ["/v1/realtime?model=grok-voice-latest"]

    XAI.call(
        use, replace(OPENING, language="de-AT", tools=[TOOL]), voice="ara",
        silence_duration_ms=300, reasoning_effort="none", pronunciations={"SQL": "sequel"},
    )  # fmt: skip


@pytest.mark.parametrize("engine", [INWORLD, XAI], ids=lambda engine: engine.name)
def test_linear_audio_of_the_line_is_taken_at_its_rate(engine: Subject):
    async def use(call: Call) -> None:
        assert str(call.session.input_format) == str(NARROWBAND)

    engine.call(use)


def test_xai_has_no_detection_by_meaning():
    with pytest.raises(ValueError, match="turn_detection"):
        XAI.module.Settings(turn_detection="semantic_vad")
