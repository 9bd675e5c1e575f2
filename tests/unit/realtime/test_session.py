"""The rules of a session, one by one; every frame is valid by the vendor's own types."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.call.steering import (
    Answer,
    BotTurnEnd,
    CancelAnswer,
    HistoryChanged,
    Instructed,
    MessagesAdded,
    ToolReturned,
)
from gateway.providers.contracts import AssistantMessage, ToolCall, ToolResult, UserMessage
from gateway.realtime.beta import Dialect
from tests.support.session_desk import SessionDesk


@pytest.fixture
def desk() -> SessionDesk:
    made = SessionDesk()
    made.session.begin()
    return made


def says(desk: SessionDesk, text: str, ms: int = 1000, **end: Any) -> dict[str, Any]:
    """Let the bot speak one sentence to its end; return the response."""
    desk.session.bot_began()
    desk.session.bot_words(text)
    desk.session.bot_audio(bytes(48 * ms), ms)
    kept = (AssistantMessage(end.get("heard", text)),)
    ended = {"heard": text, "messages": kept, "is_cut": False} | end
    desk.session.bot_ended(BotTurnEnd(**ended))
    response: dict[str, Any] = desk.sent[-1]["response"]
    return response


def message(text: str, role: str = "user") -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def test_a_response_that_was_asked_for_is_the_bots_next_turn(desk: SessionDesk) -> None:
    desk.do("response.create", response={"metadata": {"key": "value"}})
    asked = desk.sent[-2]["response"]
    assert (asked["status"], asked["metadata"]) == ("in_progress", {"key": "value"})
    assert isinstance(desk.asked[-1], Answer)
    assert says(desk, "Hello.")["id"] == asked["id"]


def test_a_second_response_is_refused_while_one_is_active(desk: SessionDesk) -> None:
    desk.do("response.create")
    came = desk.do("response.create", event_id="second")
    assert came[0]["error"]["code"] == "conversation_already_has_active_response"
    assert came[0]["error"]["event_id"] == "second"


def test_an_interrupted_response_has_what_was_heard(desk: SessionDesk) -> None:
    response = says(desk, "We have tea and coffee.", heard="We have", is_cut=True, cause="speech")
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert response["output"][0]["content"][0]["transcript"] == "We have"
    assert response["output"][0]["status"] == "incomplete"


def test_a_cancelled_response_ends_when_the_conversation_has_cut_it(desk: SessionDesk) -> None:
    desk.session.bot_began()
    assert desk.do("response.cancel") == []
    assert isinstance(desk.asked[-1], CancelAnswer)
    desk.session.bot_ended(BotTurnEnd("", (), is_cut=True, cause="client"))
    assert desk.sent[-1]["response"]["status_details"]["reason"] == "client_cancelled"
    error = desk.do("response.cancel")[0]["error"]
    assert error["code"] == "response_cancel_not_active"
    assert error["message"].startswith("Cancellation failed")


def test_a_function_is_handed_over_and_its_result_goes_where_the_call_is(
    desk: SessionDesk,
) -> None:
    call = ToolCall("call_1", "book", '{"day": 1}')
    running = ToolResult("call_1", "book", "", is_running=True)
    desk.session.bot_began()
    desk.session.bot_calls(call)
    desk.session.bot_ended(BotTurnEnd("", (AssistantMessage("", (call,)), running), is_cut=False))
    assert desk.kinds()[-7:] == [
        "response.output_item.added", "conversation.item.added",
        "response.function_call_arguments.delta", "response.function_call_arguments.done",
        "response.output_item.done", "conversation.item.done", "response.done",
    ]  # fmt: skip
    output = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
    desk.do("conversation.item.create", item=output)
    result = ToolResult("call_1", "book", "done")
    assert desk.asked[-1] == ToolReturned(result)
    assert desk.session.history.messages() == (AssistantMessage("", (call,)), result)
    strange = desk.do("conversation.item.create", item={**output, "call_id": "other"})
    assert strange[0]["error"]["code"] == "item_create_invalid_call_id"


def test_items_are_put_where_the_client_wants_them(desk: SessionDesk) -> None:
    for name, before in (("a", None), ("b", None), ("c", "a"), ("d", "root")):
        item = {**message(name), "id": name}
        came = desk.do("conversation.item.create", item=item, previous_item_id=before)
        assert [one["type"] for one in came] == [
            "conversation.item.added",
            "conversation.item.done",
        ]
    assert [item.id for item in desk.session.history] == ["d", "a", "c", "b"]
    texts = [message.text for message in desk.session.history.messages()]
    assert texts == ["d", "a", "c", "b"]
    assert [type(one) for one in desk.asked] == [
        MessagesAdded, MessagesAdded, HistoryChanged, HistoryChanged
    ]  # fmt: skip
    again = desk.do("conversation.item.create", item={**message("a"), "id": "a"})
    assert again[0]["error"]["code"] == "item_create_duplicate_item_id"


def test_a_system_item_adds_to_the_instructions(desk: SessionDesk) -> None:
    desk.do("session.update", session={"type": "realtime", "instructions": "Be brief."})
    desk.do("conversation.item.create", item=message("The shop is closed.", "system"))
    assert desk.asked[-1] == Instructed("Be brief.", "The shop is closed.")


def test_truncation_leaves_the_words_that_were_played(desk: SessionDesk) -> None:
    response = says(desk, "One two three four five six seven eight nine ten.", 5000)
    item_id = response["output"][0]["id"]
    too_long = desk.do("conversation.item.truncate", item_id=item_id, audio_end_ms=9000)
    assert "5000ms" in too_long[0]["error"]["message"]
    came = desk.do("conversation.item.truncate", item_id=item_id, audio_end_ms=2500)
    assert [one["type"] for one in came] == ["conversation.item.truncated"]
    changed = desk.asked[-1]
    assert isinstance(changed, HistoryChanged)
    assert changed.messages[0].text == "One two three four five"


def test_idle_callers_are_asked_and_the_silence_is_an_item(desk: SessionDesk) -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": 5000}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    desk.do("session.update", session=session)
    says(desk, "Anything else?")
    desk.session.pass_time(10.0, is_playing=True)
    desk.session.pass_time(11.0, is_playing=False)
    desk.session.pass_time(15.9, is_playing=False)
    assert "input_audio_buffer.timeout_triggered" not in desk.kinds()
    desk.session.pass_time(16.1, is_playing=False)
    at = desk.kinds().index("input_audio_buffer.timeout_triggered")
    assert desk.kinds()[at : at + 5] == [
        "input_audio_buffer.timeout_triggered", "input_audio_buffer.committed",
        "conversation.item.added", "conversation.item.done", "response.created",
    ]  # fmt: skip


def test_a_response_of_its_own_input_has_the_items_it_names(desk: SessionDesk) -> None:
    desk.do("conversation.item.create", item={**message("My name is Ann."), "id": "a"})
    given = [{"type": "item_reference", "id": "a"}, message("What is it?")]
    aside = {"conversation": "none", "output_modalities": ["text"], "input": given}
    desk.do("response.create", response=aside)
    request = desk.asked[-1].request  # type: ignore[union-attr]
    assert request.messages == (UserMessage("My name is Ann."), UserMessage("What is it?"))
    key = desk.asked[-1].key  # type: ignore[union-attr]
    desk.session.aside(key, "Ann.", [])
    desk.session.aside_over(key, "", is_cancelled=False)
    done = desk.sent[-1]["response"]
    assert (done["conversation_id"], done["output"][0]["content"][0]["text"]) == (None, "Ann.")
    assert len(desk.session.history) == 1


@pytest.mark.parametrize(
    ("session", "param", "code"),
    [
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "session.tools",
         "unsupported_tool_type"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 11025}}}},
         "session.audio.input.format.rate", "invalid_value"),
        ({"output_modalities": ["video"]}, "session.output_modalities[0]", "invalid_value"),
        ({"type": "transcription"}, "session.type", "invalid_value"),
        ({"max_output_tokens": 0}, "session.max_output_tokens", "invalid_value"),
    ],
)  # fmt: skip
def test_a_wrong_setting_names_its_place(
    desk: SessionDesk, session: dict[str, Any], param: str, code: str
) -> None:
    before = desk.session.settings
    error = desk.do("session.update", session={"type": "realtime", **session})[0]["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert desk.session.settings == before


def test_the_beta_dialect_goes_both_ways() -> None:
    dialect = Dialect(is_beta=False)
    update = {
        "type": "session.update",
        "session": {
            "modalities": ["text", "audio"], "voice": "alloy", "input_audio_format": "g711_ulaw",
            "turn_detection": {"type": "server_vad"}, "temperature": 0.8,
        },
    }  # fmt: skip
    (read,) = dialect.read(update)
    assert dialect.is_beta
    assert read["session"] == {
        "output_modalities": ["audio"],
        "audio": {
            "input": {"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "server_vad"}},
            "output": {"voice": "alloy"},
        },
    }
    delta = {"type": "response.output_audio.delta", "delta": ""}
    (written,) = dialect.write(delta)
    assert written["type"] == "response.audio.delta"
    assert list(dialect.write({"type": "conversation.item.done"})) == []
