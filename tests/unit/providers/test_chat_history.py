"""Whatever cuts have made of a history, the strictest server takes the request."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.conversation.chat_context import ChatContext
from gateway.conversation.history import within_tokens
from gateway.conversation.tokens import tokens_of
from gateway.providers.chat_history import CUT, GO_ON, NO_RESULT, OPENING, request_messages
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolResult,
    UserMessage,
)


def assert_strict(messages: list[dict[str, Any]]) -> None:
    """What servers and chat templates are known to refuse, all of it together."""
    roles = [message["role"] for message in messages]
    if roles[0] == "system":
        assert messages[0]["content"].strip()
        messages, roles = messages[1:], roles[1:]
    assert "system" not in roles
    assert roles[0] == "user"
    assert roles[-1] in {"user", "tool"}
    open_ids: list[str] = []
    used: set[str] = set()
    before = ""
    for message in messages:
        role = message["role"]
        assert role == "tool" or not open_ids, "a call without its result"
        match role:
            case "user":
                assert before in {"", "assistant"}
                assert message["content"].strip()
            case "assistant":
                assert before in {"user", "tool"}
                calls = message.get("tool_calls")
                assert calls is None or calls
                assert calls or message["content"].strip()
                assert message["content"] is None or message["content"].strip()
                for call in calls or ():
                    assert isinstance(json.loads(call["function"]["arguments"]), dict)
                    assert call["id"]
                    assert call["id"] not in used
                    used.add(call["id"])
                    open_ids.append(call["id"])
            case "tool":
                assert before in {"assistant", "tool"}
                assert message["tool_call_id"] == open_ids.pop(0)
                assert message["content"].strip()
        before = role
    assert not open_ids


ids = st.sampled_from(["a", "b", "call_1", ""])
texts = st.sampled_from(["", " ", "Yes.", "And then, ", "\n"])
some_calls = st.lists(
    st.builds(ToolCall, ids, st.just("t"), st.sampled_from(["{}", '{"a', "null", "[1]", ""])),
    max_size=3,
)
any_message: st.SearchStrategy[Message] = st.one_of(
    st.builds(UserMessage, texts),
    st.builds(AssistantMessage, texts, some_calls.map(tuple), st.booleans()),
    st.builds(ToolResult, ids, st.just("t"), st.sampled_from(["", '"done"'])),
)


@given(st.sampled_from(["", " ", "Be nice."]), st.lists(any_message, max_size=12))
@settings(max_examples=500)
def test_any_history_makes_a_valid_request(instructions: str, history: list[Message]):
    assert_strict(request_messages(instructions, history))


@given(st.lists(any_message, max_size=10), st.integers(0, 10))
def test_every_tail_of_it_does(history: list[Message], cut: int):
    assert_strict(request_messages("", history[cut:]))


@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(20, 400))
@settings(max_examples=200)
def test_calls_with_cuts_results_that_come_late_and_tight_bounds(seed: int, most: int, tokens: int):
    chance = random.Random(seed)
    context = ChatContext("Be nice.", most, tokens)
    late: list[ToolResult] = []
    for turn in range(12):
        if chance.random() < 0.8:
            context.add_user(f"Turn {turn}.")
        a_reply(context, chance, late, turn)
        while late and chance.random() < 0.5:
            context.settle(late.pop(0))
        if chance.random() < 0.5:
            context.told(context.bring_forward())
        if chance.random() < 0.1:
            context.shorten()
        assert_strict(request_messages("Be nice.", context.messages()))


def a_reply(context: ChatContext, chance: random.Random, late: list[ToolResult], turn: int) -> None:
    """One reply that may call tools, and be cut, taken back or heard to its end."""
    before = context.snapshot()
    context.bring_forward()
    context.begin()
    for number in range(chance.randrange(3)):
        call = ToolCall(f"c{turn}-{number}", "t", "{}")
        context.add_assistant(chance.choice(["", "One moment. "]), [call])
        assert_strict(request_messages("Be nice.", context.messages()))
        pending = chance.random() < 0.5
        if pending or chance.random() < 0.8:
            context.add_tool_results([ToolResult(call.id, "t", "pending" if pending else "1")])
        if pending:
            late.append(ToolResult(call.id, "t", '"done"'))
    context.add_assistant(chance.choice(["", "Some words of an answer. "]))
    assert_strict(request_messages("Be nice.", context.messages()))
    match chance.randrange(4):
        case 0:
            context.commit("", interrupted=True)
        case 1:
            context.commit("Some words", interrupted=True)
        case 2:
            context.restore(before)
            context.add_user("And more.")
        case _:
            context.commit("Some words of an answer. ")


def test_the_caller_behind_a_result_and_the_bot_last():
    call = ToolCall("c", "t", "{}")
    history = [
        UserMessage("Book."),
        AssistantMessage("", (call,)),
        ToolResult("c", "t", "1"),
        UserMessage("Hello?"),
        AssistantMessage("Yes."),
    ]
    _, *mapped = request_messages("", history)
    assert [m["role"] for m in mapped] == ["user", "assistant", "tool", "assistant", "user",
                                           "assistant", "user"]  # fmt: skip
    assert (mapped[3]["content"], mapped[-1]["content"]) == (CUT, GO_ON)


def test_a_call_without_a_result_gets_one_and_a_result_without_a_call_goes():
    mapped: Any = request_messages(
        "", [AssistantMessage("", (ToolCall("c", "t", "{}"),)), ToolResult("x", "t", "1")]
    )
    assert mapped[0] == {"role": "user", "content": OPENING}
    assert mapped[2] == {"role": "tool", "tool_call_id": "c", "content": NO_RESULT}
    assert len(mapped) == 3


def test_a_result_that_stands_behind_what_was_said_meanwhile_is_found():
    call = ToolCall("c", "t", "{}")
    history = [UserMessage("x"), AssistantMessage("", (call,)), UserMessage("y"),
               ToolResult("c", "t", "1")]  # fmt: skip
    mapped: Any = request_messages("", history)
    assert next(m for m in mapped if m["role"] == "tool")["content"] == "1"


def test_ids_that_are_used_twice_become_two_and_stay_the_same_between_requests():
    pair = [AssistantMessage("", (ToolCall("c", "t", "{}"),)), ToolResult("c", "t", "1")]
    history = [UserMessage("x"), *pair, AssistantMessage("Yes."), UserMessage("y"), *pair]
    first, second = request_messages("", history), request_messages("", history)
    assert first == second
    assert_strict(first)


@pytest.mark.parametrize("limit", [10, 60, 100, 1000])
def test_the_history_is_bounded_by_tokens(limit: int):
    long = ToolResult("c", "t", "x" * 4000)
    turn = [UserMessage("word " * 8), AssistantMessage("word " * 8)]
    history = (*turn * 6, UserMessage("x"), AssistantMessage("", (ToolCall("c", "t", "{}"),)), long)
    kept = within_tokens(history, limit)
    assert kept[-3:][0] == UserMessage("x")
    assert sum(map(tokens_of, kept)) <= max(limit, 170)
    assert within_tokens(history, 100_000) == history


def test_a_history_that_is_too_long_is_halved_until_nothing_can_go():
    context = ChatContext("")
    for number in range(16):
        context.add_user(f"Turn {number}.")
        context.add_assistant("An answer of some words.")
    context.add_user("Now?")
    sizes = [len(context.messages())]
    while context.shorten():
        sizes.append(len(context.messages()))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] <= sizes[0] * 0.6
    assert context.messages()[-1] == UserMessage("Now?")
    assert sizes[-1] <= 3
