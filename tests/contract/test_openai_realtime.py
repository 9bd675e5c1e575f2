"""OpenAI Realtime keeps the contract of engines, and does what only it does."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderProtocolError, ProviderRejected, QuotaExceeded
from gateway.providers.contracts import ToolResult, UserMessage
from gateway.providers.s2s._openai_events import Reader
from gateway.providers.s2s.openai_realtime import DIALECT
from gateway.providers.speech_to_speech import (
    CallerEnded,
    EngineNotice,
    EngineUsage,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SessionExpires,
    SpeechToSpeech,
    ToolAsked,
)
from tests.support.engine_contract import OPENING, TOOL, Call, EngineContract, Subject
from tests.support.engine_double import EngineDouble
from tests.support.openai_double import OpenAiDouble, RealtimePeer

ENGINE = Subject("openai_realtime", OpenAiDouble)


class TestContract(EngineContract):
    @pytest.fixture
    def engine(self) -> Subject:
        return ENGINE


def test_the_session_that_is_asked_for():
    async def use(call: Call) -> None:
        session = call.peer.session
        assert session["type"] == "realtime"
        assert session["audio"]["input"]["turn_detection"] == {
            "type": "semantic_vad", "eagerness": "high", "create_response": True,
            "interrupt_response": False,
        }  # fmt: skip
        assert session["audio"]["input"]["transcription"] == {
            "model": "gpt-transcribe", "language": "de", "keywords": ["Luigi"]
        }  # fmt: skip
        assert session["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
        assert session["audio"]["output"]["voice"] == "cedar"
        assert session["audio"]["output"]["speed"] == 1.1
        assert (session["max_output_tokens"], session["tool_choice"]) == (800, "required")
        assert session["reasoning"] == {"effort": "low"}
        assert session["include"] == []
        assert call.double.paths == ["/v1/realtime?model=gpt-realtime-2"]

    ENGINE.call(
        use, replace(OPENING, language="de-AT", tools=[TOOL]), model="gpt-realtime-2",
        turn_detection="semantic_vad", eagerness="high", interrupt_response=False,
        transcription_keywords=["Luigi"], noise_reduction="near_field", voice="cedar", speed=1.1,
        max_output_tokens=800, tool_choice="required", reasoning_effort="low",
        extra_session={"include": []},
    )  # fmt: skip


def test_it_expires_in_an_hour():
    async def use(call: Call) -> None:
        assert 3500 < (await call.next(SessionExpires)).in_s <= 3600

    ENGINE.call(use)


def test_an_engine_that_answers_in_another_coding_is_refused():
    class Stubborn(RealtimePeer):
        def shown(self):
            session = super().shown()
            form = {"format": {"type": "audio/pcm", "rate": 24000}}
            return {**session, "audio": {**session["audio"], "output": form}}

    class StubbornDouble(OpenAiDouble):
        PEER = Stubborn

    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        opening = replace(OPENING, line=AudioFormat(8000, encoding="pcmu"))
        with pytest.raises(ProviderProtocolError, match=r"output_format.*24000.*pcmu"):
            async with provider.connect(opening):
                pass

    replace(ENGINE, double=StubbornDouble).serve(use)


def test_a_session_that_is_refused_says_which_setting():
    class Strict(RealtimePeer):
        async def on_session_update(self, event):
            error = {"type": "invalid_request_error", "code": "invalid_value", "message": "no"}
            error["param"] = "session.audio.output.voice"
            await self.send_event({**self.ids("error"), "error": error})

    class StrictDouble(OpenAiDouble):
        PEER = Strict

    async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
        with pytest.raises(ProviderRejected, match=r"invalid_value: no \(session.audio.output"):
            async with provider.connect(OPENING):
                pass

    replace(ENGINE, double=StrictDouble).serve(use)


def test_a_cut_cancels_first_and_falls_into_the_right_item():
    async def use(call: Call) -> None:
        peer = call.peer
        await peer.begin("r1")
        await peer.sound("r1", peer.tone(0.4))
        await peer.open_item("r1", 1)
        await peer.sound("r1", peer.tone(0.6), part=1)
        reply_id = (await call.next(ReplyStarted)).reply_id
        await call.heard(reply_id, len(peer.tone(0.4)) + len(peer.tone(0.6)))
        call.session.cut(reply_id, 550)
        await peer.until(lambda peer: peer.cuts)
        told = [json.loads(frame) for frame in peer.frames[-2:]]
        assert [event["type"] for event in told] == [
            "response.cancel", "conversation.item.truncate"
        ]  # fmt: skip
        assert (told[1]["item_id"], told[1]["audio_end_ms"]) == ("item_r1_1", 150)

    ENGINE.call(use)


def test_a_cut_after_the_engine_has_interrupted_itself_only_truncates():
    async def use(call: Call) -> None:
        await call.peer.begin("r1")
        await call.peer.sound("r1", call.peer.tone(0.4))
        await call.peer.finish("r1", "interrupted")
        assert (await call.next(ReplyEnded)).end == "interrupted"
        call.session.cut("r1", 120)
        await call.peer.until(lambda peer: peer.cuts)
        assert "response.cancel" not in str(call.peer.frames)

    ENGINE.call(use)


def test_an_answer_waits_until_the_reply_of_the_moment_is_over():
    async def use(call: Call) -> None:
        await call.peer.begin("r1")
        await call.next(ReplyStarted)
        call.session.tell([UserMessage("1", typed="ended")], answer=True)
        await call.peer.until(lambda peer: peer.told)
        assert call.peer.requests == []
        await call.peer.finish("r1")
        await call.peer.until(lambda peer: peer.answers_asked == 1)

    ENGINE.call(use)


def test_an_answer_that_the_engine_refuses_is_asked_for_again():
    async def use(call: Call) -> None:
        call.peer.refuses_answers = True
        call.session.tell([UserMessage("1", typed="ended")], answer=True)
        await call.peer.until(lambda peer: len(peer.requests) >= 2)
        call.peer.refuses_answers = False
        await call.peer.until(lambda peer: peer.answers_asked == 1)
        assert not call.of(EngineNotice)

    ENGINE.call(use)


def test_a_reply_that_knows_what_was_told_is_not_asked_for_twice():
    async def use(call: Call) -> None:
        await call.peer.begin("r1")
        await call.next(ReplyStarted)
        call.session.tell([UserMessage("1", typed="ended")], answer=True)
        await call.peer.until(lambda peer: peer.told)
        await call.peer.begin("r2")  # its own detection has answered meanwhile
        await call.peer.finish("r1")
        await call.peer.finish("r2")
        while (await call.next(ReplyEnded)).reply_id != "r2":
            pass
        await call.says("r3")
        assert call.peer.requests == []

    ENGINE.call(use)


def test_detection_without_answers_leaves_them_to_the_gateway():
    async def use(call: Call) -> None:
        assert call.session.turns == "gateway"
        await call.peer.caller_starts(0)
        await call.peer.caller_ends(700)
        await call.next(CallerEnded)
        await call.says("r0")
        call.session.commit()
        await call.peer.until(lambda peer: peer.answers_asked)
        assert call.peer.commits == 0

    ENGINE.call(use, create_response=False)


def test_the_result_of_a_tool_that_still_runs_is_not_sent():
    async def use(call: Call) -> None:
        await call.peer.begin("r1")
        await call.peer.ask("r1", "c7", TOOL.name, "{}")
        asked = (await call.next(ToolAsked)).call
        call.session.tell([ToolResult(asked.id, TOOL.name, "{}", is_running=True)], answer=False)
        call.session.tell([ToolResult(asked.id, TOOL.name, '{"a": 1}')], answer=False)
        await call.peer.until(lambda peer: peer.results)
        assert call.peer.results == [("c7", '{"a": 1}')]

    ENGINE.call(use, replace(OPENING, tools=[TOOL]))


def test_usage_tells_sound_and_cache_apart():
    async def use(call: Call) -> None:
        await call.peer.spend(100, 20, 0)
        usage = await call.next(EngineUsage)
        assert usage == EngineUsage(100, 20, 100, 20, 50)

    ENGINE.call(use)


def test_a_reply_that_fails_for_its_quota_ends_the_session():
    async def use(call: Call) -> None:
        await call.peer.begin("r1")
        response = call.peer.response("r1", "failed")
        response["status_details"]["error"] = {"code": "insufficient_quota", "message": "none left"}
        await call.peer.send_event({**call.peer.ids("response.done"), "response": response})
        assert (await call.next(ReplyEnded)).problem == "insufficient_quota: none left"
        error = await call.fails()
        assert type(error) is QuotaExceeded

    ENGINE.call(use)


def test_over_the_limit_is_worth_another_try():
    async def use(call: Call) -> None:
        await call.peer.error("limits")
        assert (await call.fails()).retryable

    ENGINE.call(use)


READER_EVENTS: list[dict[str, Any]] = [
    {"type": "session.updated", "session": {"expires_at": 4e9}},
    {"type": "response.created", "response": {"id": "r1"}},
    {"type": "response.output_item.added", "response_id": "r1",
     "item": {"id": "f1", "type": "function_call", "call_id": "c1", "name": "f"}},
    {"type": "response.output_audio.delta", "response_id": "r1", "item_id": "i1", "delta": "AAAA"},
    {"type": "response.output_audio_transcript.delta", "response_id": "r1", "delta": "Hi"},
    {"type": "response.function_call_arguments.done", "response_id": "r1", "item_id": "f1",
     "arguments": "{}"},
    {"type": "response.done", "response": {"id": "r1", "status": "completed",
     "usage": {"input_tokens": 3, "output_tokens": 4}}},
    {"type": "input_audio_buffer.speech_started", "audio_start_ms": 3, "item_id": "u1"},
    {"type": "conversation.item.input_audio_transcription.delta", "item_id": "u1", "delta": "a"},
    {"type": "error", "error": {"code": "x", "message": "y"}},
]  # fmt: skip
STRANGE = st.sampled_from([None, 0, -1.5, "", "x", [], [1], {}, {"id": 3}, True])


@st.composite
def _spoilt(draw: st.DrawFn) -> dict[str, Any]:
    event = dict(draw(st.sampled_from(READER_EVENTS)))
    for key in draw(st.lists(st.sampled_from(sorted(event)), max_size=2)):
        if draw(st.booleans()):
            event.pop(key, None)
        else:
            event[key] = draw(STRANGE)
    return event


@given(st.lists(_spoilt(), max_size=25))
@settings(max_examples=150, deadline=None)
def test_events_may_be_missing_double_or_spoilt(events: list[dict[str, Any]]):
    reader = Reader(DIALECT, AudioFormat(24_000), lambda kind, text: kind("x", text))
    begun, ended = set(), set()
    for event in events:
        try:
            told = reader.read(event)
        except ProviderProtocolError:
            continue
        for one in told:
            match one:
                case ReplyStarted(reply_id):
                    assert reply_id not in begun
                    begun.add(reply_id)
                case ReplyAudio(reply_id) | ReplyText(reply_id):
                    assert reply_id in begun - ended
                case ReplyEnded(reply_id):
                    assert reply_id in begun - ended
                    ended.add(reply_id)
                case ToolAsked(_, reply_id):
                    assert reply_id in begun - ended
