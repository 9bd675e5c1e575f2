"""Random sequences of client events and of what happens in the call: each is answered.

10,000 of them: REALTIME_SEQUENCES=10000 python -m pytest tests/unit/realtime
"""

from __future__ import annotations

import base64
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.call.steering import AnswerAside, BotTurnEnd
from gateway.providers.contracts import AssistantMessage, ToolCall, ToolResult
from tests.support.session_desk import SessionDesk

COUNT = int(os.environ.get("REALTIME_SEQUENCES", "300"))
AUDIO = base64.b64encode(bytes(4800)).decode()
ANSWERS: dict[str, set[str]] = {
    "session.update": {"session.updated"},
    "input_audio_buffer.commit": {"input_audio_buffer.committed"},
    "input_audio_buffer.clear": {"input_audio_buffer.cleared"},
    "conversation.item.create": {"conversation.item.added"},
    "conversation.item.retrieve": {"conversation.item.retrieved"},
    "conversation.item.delete": {"conversation.item.deleted"},
    "conversation.item.truncate": {"conversation.item.truncated"},
    "response.create": {"response.created"},
}
"""A cancelled response is done once the conversation says what was heard; an append is silent."""

junk = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99999) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=4,
)
item_ids = st.sampled_from(["a", "b", "c", "root", "no such item", "", "ITEM", "LAST"])
vad = st.sampled_from([
    None, {"type": "server_vad"}, {"type": "semantic_vad", "eagerness": "high"},
    {"type": "server_vad", "create_response": False, "idle_timeout_ms": 5000},
    {"type": "semantic_vad", "eagerness": "at once"}, {"type": "none"}, 7,
])  # fmt: skip
formats = st.sampled_from([
    {"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"},
    {"type": "audio/pcm", "rate": 11}, {"type": "opus"}, "pcm16",
])  # fmt: skip
tools = st.sampled_from([
    [], [{"type": "function", "name": "f", "parameters": {}}],
    [{"type": "function", "name": "f"}, {"type": "function", "name": "f"}],
    [{"type": "mcp", "server_label": "x"}], [{"type": "function"}], "f",
])  # fmt: skip
sessions = st.fixed_dictionaries({}, optional={
    "type": st.sampled_from(["realtime", "transcription", 3]),
    "instructions": st.text(max_size=9) | st.none(),
    "output_modalities": st.sampled_from([["text"], ["audio"], ["text", "audio"], [], ["video"]]),
    "tools": tools,
    "tool_choice": st.sampled_from(["auto", "none", {"type": "function", "name": "f"}, "x"]),
    "audio": st.fixed_dictionaries({}, optional={
        "input": st.fixed_dictionaries({}, optional={
            "turn_detection": vad, "format": formats,
            "transcription": st.sampled_from([None, {"model": "x"}, 4]),
        }),
        "output": st.fixed_dictionaries(
            {}, optional={"format": formats, "voice": st.text(max_size=3)}
        ),
    }),
    "something new": junk,
})  # fmt: skip
items = st.sampled_from([
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
    {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "be kind"}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]},
    {"type": "message", "role": "user", "content": []},
    {"type": "function_call", "name": "f", "call_id": "call_1", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    {"type": "function_call_output", "call_id": "?", "output": "42"},
    {"type": "item"}, {},
])  # fmt: skip
responses = st.fixed_dictionaries({}, optional={
    "conversation": st.sampled_from(["auto", "none", "both"]),
    "output_modalities": st.sampled_from([["text"], ["audio"], 1]),
    "metadata": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=18),
    "input": st.lists(items | st.just({"type": "item_reference", "id": "a"}), max_size=2),
    "tools": tools,
    "tool_choice": st.sampled_from(["none", {"type": "function", "name": "g"}]),
})  # fmt: skip


def event(kind: str, **fields: Any) -> Any:
    return st.fixed_dictionaries(
        {"type": st.just(kind)}, optional={**fields, "event_id": st.text(max_size=5)}
    )


client_events = st.one_of(
    event("session.update", session=sessions | junk),
    event("input_audio_buffer.append", audio=st.sampled_from([AUDIO, "", "AAA", "AA==", 5])),
    event("input_audio_buffer.commit"),
    event("input_audio_buffer.clear"),
    event("output_audio_buffer.clear"),
    event(
        "conversation.item.create",
        item=st.builds(
            lambda i, n: {**i, **({"id": n} if n in "abc" and n else {})}, items, item_ids
        ),
        previous_item_id=item_ids | st.none(),
    ),
    event("conversation.item.retrieve", item_id=item_ids | junk),
    event("conversation.item.delete", item_id=item_ids | junk),
    event(
        "conversation.item.truncate",
        item_id=item_ids,
        audio_end_ms=st.integers(-5, 500),
        content_index=st.sampled_from([0, 0, 1]),
    ),
    event("response.create", response=responses | junk),
    event("response.cancel", response_id=st.sampled_from(["resp", "RESPONSE"])),
    event("no such event"),
    st.dictionaries(st.text(max_size=6), junk, max_size=3),
)
happenings = st.sampled_from([
    "began", "ended", "discarded", "bot", "audio", "words", "call", "over", "cut", "failed",
    "aside", "aside over", "time",
])  # fmt: skip


@settings(max_examples=COUNT, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(client_events | happenings, max_size=25))
def test_each_event_is_answered_and_the_session_lives(steps: list[Any]) -> None:
    desk = SessionDesk()
    desk.session.begin()
    now_s = 0.0
    for step in steps:
        now_s += 3.0
        if isinstance(step, str):
            happen(desk, step, now_s)
        else:
            check(desk, known(desk, step))
    happen(desk, "over", now_s)
    came = desk.do("session.update", session={"type": desk.session.settings.type}, event_id="end")
    assert [one["type"] for one in came] == ["session.updated"]
    assert_order(desk.sent)


def known(desk: SessionDesk, step: dict[str, Any]) -> dict[str, Any]:
    """Put in ids that there are."""
    found = dict(step)
    ids = [item.id for item in desk.session.history]
    if found.get("item_id") in ("ITEM", "LAST") and ids:
        found["item_id"] = ids[0] if found["item_id"] == "ITEM" else ids[-1]
    if found.get("response_id") == "RESPONSE" and desk.session.active is not None:
        found["response_id"] = desk.session.active.id
    return found


def check(desk: SessionDesk, step: dict[str, Any]) -> None:
    before = len(desk.sent)
    desk.session.accept(step)
    came = desk.sent[before:]
    errors = [one["error"] for one in came if one["type"] == "error"]
    if errors:
        assert len(errors) == 1
        given_id = step.get("event_id")
        assert errors[0]["event_id"] == (given_id if isinstance(given_id, str) else None)
        return
    wanted = ANSWERS.get(str(step.get("type")), set())
    assert wanted <= {one["type"] for one in came}, (step, came)


def happen(desk: SessionDesk, what: str, now_s: float) -> None:  # noqa: C901 - one per case
    """Let something happen that the call allows now."""
    session = desk.session
    active = session.active
    has_begun = active is not None and active.has_begun
    match what:
        case "began":
            session.caller_began(100)
        case "ended":
            session.caller_ended("hello", 900)
        case "discarded":
            session.caller_discarded(900)
        case "bot" if not has_begun:
            session.bot_began()
        case "audio":
            session.bot_audio(bytes(960), 20)
        case "words" if has_begun:
            session.bot_words("Hello.")
        case "call" if has_begun:
            session.bot_calls(ToolCall("call_1", "f", "{}"))
        case "over" | "cut" | "failed" if has_begun:
            messages = (
                AssistantMessage("Hello.", (ToolCall("call_1", "f", "{}"),)),
                ToolResult("call_1", "f", "", is_running=True),
            )
            problem = "no engine" if what == "failed" else ""
            session.bot_ended(
                BotTurnEnd("Hel", messages, is_cut=what == "cut", cause="speech", problem=problem)
            )
        case "aside" | "aside over":
            keys = [one.key for one in desk.asked if isinstance(one, AnswerAside)]
            if keys and what == "aside":
                session.aside(keys[-1], "text", [ToolCall("call_2", "g", "{}")])
            elif keys:
                session.aside_over(keys[-1], "", is_cancelled=False)
        case "time":
            session.pass_time(now_s, is_playing=False)


def assert_order(events: list[dict[str, Any]]) -> None:
    """Every response that began is done once, its items are added before they are done."""
    open_responses: set[str] = set()
    open_items: set[str] = set()
    for one in events:
        match one["type"]:
            case "response.created":
                open_responses.add(one["response"]["id"])
            case "response.done":
                open_responses.remove(one["response"]["id"])
                assert one["response"]["status"] != "in_progress"
            case "response.output_item.added":
                assert one["response_id"] in open_responses
                open_items.add(one["item"]["id"])
            case "response.output_item.done":
                open_items.remove(one["item"]["id"])
            case kind if kind.startswith("response."):
                assert one["response_id"] in open_responses
                assert one["item_id"] in open_items
