"""What Gemini Live's messages mean, without a connection."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProviderProtocolError, ProviderUnavailable
from gateway.providers.s2s._gemini_events import LATE_MS, OUTPUT, Reader
from gateway.providers.s2s._gemini_fields import SessionError
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    EngineNotice,
    EngineUsage,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SpeechEvent,
    ToolAsked,
)

SOUND = bytes(range(64))


def content(**fields: Any) -> dict[str, object]:
    return {"serverContent": fields}


def sound(audio: bytes = SOUND, mime_type: str = "audio/pcm;rate=24000") -> dict[str, object]:
    blob = {"mimeType": mime_type, "data": base64.b64encode(audio).decode()}
    return content(modelTurn={"parts": [{"inlineData": blob}]})


def heard(text: str, **fields: Any) -> dict[str, object]:
    return content(inputTranscription={"text": text, **fields})


def words(text: str) -> dict[str, object]:
    return content(outputTranscription={"text": text})


INTERRUPTED = content(interrupted=True)
COMPLETED = content(turnComplete=True)


def read(*messages: dict[str, object], reader: Reader | None = None) -> list[SpeechEvent]:
    reader = reader or Reader(engine_owns_turns=True)
    return [event for message in messages for event in reader.read(message)]


def test_a_turn():
    assert read(heard("A table "), heard("for two."), words("Yes. "), sound(), COMPLETED) == [
        CallerStarted(),
        CallerText("A table", "turn-1"),
        CallerText("A table for two.", "turn-1"),
        CallerEnded(),
        CallerText("A table for two.", "turn-1", is_final=True),
        ReplyStarted("reply-1"),
        ReplyText("reply-1", "Yes. "),
        ReplyAudio("reply-1", SOUND),
        ReplyEnded("reply-1"),
    ]


def test_the_callers_words_may_come_after_the_reply_has_begun():
    events = read(heard("A table"), sound(), heard(" for two."), COMPLETED, heard("No."))
    texts = [event for event in events if isinstance(event, CallerText)]
    assert texts == [
        CallerText("A table", "turn-1"),
        CallerText("A table", "turn-1", is_final=True),
        CallerText("A table for two.", "turn-1", is_final=True),
        CallerText("No.", "turn-2"),
    ]
    assert events.count(CallerStarted()) == 2  # a late text is no sign that the caller speaks


def test_words_that_come_as_a_whole_after_the_reply_has_begun_are_final_with_it():
    events = read(sound(), heard("A table."), COMPLETED)
    assert events[-1] == CallerText("A table.", "turn-1", is_final=True)
    assert not [event for event in events if isinstance(event, CallerStarted)]


def test_interim_texts_are_replaced():
    interim = content(interimInputTranscription={"text": "A cable"})
    events = read(interim, heard("A table", finished=True))
    texts = [event.text for event in events if isinstance(event, CallerText)]
    assert texts == ["A cable", "A table"]


def test_an_interruption_and_completion_in_one_message():
    events = read(sound(), content(interrupted=True, turnComplete=True), sound())
    assert [type(event) for event in events] == [
        ReplyStarted, ReplyAudio, ReplyEnded, CallerStarted, CallerEnded, ReplyStarted, ReplyAudio,
    ]  # fmt: skip


def test_a_server_that_never_completes_an_interrupted_turn_is_heard_again():
    reader = Reader(engine_owns_turns=True)
    read(sound(), INTERRUPTED, reader=reader)
    reader.hear(LATE_MS - 20)
    assert not read(sound(), reader=reader)
    assert reader.is_generating
    reader.hear(20)
    assert not reader.is_generating
    assert read(sound(), reader=reader)[-1] == ReplyAudio("reply-2", SOUND)


def test_a_reply_that_was_asked_for_follows_an_interruption_at_once():
    reader = Reader(engine_owns_turns=True)
    read(sound(), reader=reader)
    reader.ask()
    read(INTERRUPTED, COMPLETED, reader=reader)
    assert reader.is_generating  # what was asked for has not begun
    assert ReplyAudio("reply-2", SOUND) in read(sound(), reader=reader)
    read(COMPLETED, reader=reader)
    assert not reader.is_generating


def test_a_cut_drops_the_rest_and_nothing_else():
    reader = Reader(engine_owns_turns=True)
    read(sound(), reader=reader)
    assert not reader.cut("reply-0")
    assert reader.cut("reply-1")
    assert read(sound(), words("late"), COMPLETED, reader=reader) == [
        ReplyEnded("reply-1", "interrupted")
    ]
    assert not reader.cut("reply-1")
    assert read(sound(), reader=reader)[-1] == ReplyAudio("reply-2", SOUND)


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("NEED_MORE_INPUT", None),
        ("PROHIBITED_INPUT_CONTENT", "incomplete"),
        ("RESPONSE_REJECTED", "failed"),
    ],
)
def test_a_refusal_without_a_sound_is_a_reply_that_ended(reason: str, end: Any):
    events = read(content(turnComplete=True, turnCompleteReason=reason))
    expected = [ReplyStarted("reply-1"), ReplyEnded("reply-1", end, reason)] if end else []
    assert events == expected


def test_audio_of_another_rate_is_converted_as_one_stream():
    reader = Reader(engine_owns_turns=True)
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype("<i2").tobytes()
    pieces = [tone[at : at + 641] for at in range(0, len(tone), 641)]
    events = read(*(sound(piece, "audio/pcm;rate=16000") for piece in pieces), reader=reader)
    found = b"".join(event.audio for event in events if isinstance(event, ReplyAudio))
    samples = np.frombuffer(found, "<i2").astype(float)
    assert abs(len(samples) - OUTPUT.sample_rate_hz) <= 2
    spectrum = np.abs(np.fft.rfft(samples[2000:22_000]))
    assert abs(np.argmax(spectrum) * OUTPUT.sample_rate_hz / 20_000 - 440) < 2


def test_other_parts_are_left_out_and_counted():
    parts = [{"text": "thinking", "thought": True}, {"executableCode": {}}, {"inlineData": {
        "mimeType": "video/mp4", "data": ""}}]  # fmt: skip
    events = read(content(modelTurn={"parts": parts}, somethingNew=1))
    assert [event.is_unknown_event for event in events if isinstance(event, EngineNotice)] == [
        True, False, True,
    ]  # fmt: skip


def test_calls_without_an_id_and_with_odd_arguments():
    calls = [{"name": "a", "args": '{"day": '}, {"args": {"x_y": 1}}, {"id": "c9", "name": "b"}]
    events = read(sound(), {"tool_call": {"function_calls": calls}})
    asked = [event.call for event in events if isinstance(event, ToolAsked)]
    assert [(call.id, call.name, call.arguments) for call in asked] == [
        ("call-1", "a", '{"day": '), ("call-2", "", '{"x_y": 1}'), ("c9", "b", "{}"),
    ]  # fmt: skip
    assert events[-1] == ReplyEnded("reply-1")


def test_usage_counts_thoughts_and_tools():
    usage: dict[str, Any] = {
        "promptTokenCount": 5,
        "toolUsePromptTokenCount": 2,
        "thoughtsTokenCount": 3,
    }
    details = [{"modality": "TEXT", "tokenCount": 1}, {"modality": "AUDIO", "token_count": 4}]
    usage |= {"promptTokensDetails": details, "cachedContentTokenCount": 1}
    turn = {"usageMetadata": {**usage, "responseTokenCount": 4, "totalTokenCount": "?"}}
    first, second = read(turn, turn)
    assert first == EngineUsage(7, 7, input_audio_tokens=4, cached_tokens=1)
    assert second == EngineUsage(14, 14, input_audio_tokens=8, cached_tokens=2)


def test_an_error_as_a_message():
    for error, kind in (
        ({"code": 503, "status": "UNAVAILABLE"}, ProviderUnavailable),
        ({"message": "no"}, ProviderProtocolError),
    ):
        with pytest.raises(SessionError) as caught:
            read({"error": error})
        assert caught.value.kind is kind


@pytest.mark.parametrize(
    "message",
    [
        sound(mime_type="audio/pcm;rate=0"),
        sound(mime_type="audio/pcm;rate=999999999"),
        content(modelTurn={"parts": [{"inlineData": {"data": "é"}}]}),
        content(modelTurn={"parts": ["text"]}),
        {"serverContent": []},
        {"toolCall": {"functionCalls": [7]}},
        {"error": "no"},
    ],
)
def test_what_breaks_the_protocol_is_an_error_with_words(message: dict[str, object]):
    with pytest.raises(SessionError) as caught:
        read(message)
    assert caught.value.problem


KEYS = [
    *("serverContent", "modelTurn", "parts", "inlineData", "mimeType", "data", "text"),
    *("interrupted", "turnComplete", "finished", "turn_complete_reason", "inputTranscription"),
    *("output_transcription", "toolCall", "functionCalls", "id", "name", "args", "ids"),
    *("tool_call_cancellation", "usageMetadata", "promptTokenCount", "goAway", "time_left"),
    *("error", "code", "sessionResumptionUpdate", "newHandle", "voiceActivity", "audioOffset"),
    *("voiceActivityType", "interimInputTranscription"),
]
VALUES = st.recursive(
    st.sampled_from([None, True, 0, -1, 1e300, "", "é", "9s", "ACTIVITY_START", "audio/pcm"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), max_size=6))
def test_no_message_breaks_the_reader_otherwise(messages: list[dict[str, object]]):
    reader = Reader(engine_owns_turns=True)
    for message in messages:
        with suppress(SessionError):
            list(reader.read(message))
