"""The script as a language model: memo, streaming, tools, speculation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.conversation.sentences import SentenceSplitter
from gateway.errors import ConfigError
from gateway.providers.contracts import (
    AssistantMessage,
    Expect,
    LanguageModel,
    Memo,
    Message,
    ReplyEvent,
    ReplyRequest,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from gateway.providers.llm.script import Settings, create, probe

MODEL: LanguageModel = create(Settings())
TOOLS = tuple(ToolSpec(name, "", {}) for name in ("opening_hours", "place_order", "hang_up"))


def reply(messages: Sequence[Message], memo: object = None) -> tuple[list[ReplyEvent], object]:
    async def collect() -> list[ReplyEvent]:
        request = ReplyRequest("", messages, TOOLS, memo)
        return [event async for event in MODEL.reply(request)]

    events = asyncio.run(collect())
    memos = [event.state for event in events if isinstance(event, Memo)]
    return [event for event in events if not isinstance(event, Memo)], memos[-1] if memos else memo


def text_of(events: Sequence[ReplyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_it_greets_in_small_pieces_and_says_what_it_expects() -> None:
    events, _ = reply([])
    assert text_of(events) == "Thank you for calling the Corner Cafe. How can I help you?"
    assert len(events) > 4
    assert isinstance(events[-1], Expect)


def test_the_greeting_may_have_been_said_by_somebody_else() -> None:
    history = [AssistantMessage("Hello."), UserMessage("are you open on sunday")]
    events, memo = reply(history)
    call = events[-1]
    assert isinstance(call, ToolCall)
    history += [
        AssistantMessage("", (call,)),
        ToolResult(call.id, call.name, '{"is_open": false, "day": "on Sunday"}'),
    ]
    events, _ = reply(history, memo)
    assert text_of(events).startswith("We are closed on Sunday. ")


def test_a_dropped_reply_leaves_no_trace() -> None:
    _, memo = reply([])
    guess, _ = reply([UserMessage("two espressos")], memo)
    assert text_of(guess).startswith("Two espressos, got it.")
    events, _ = reply([UserMessage("two espressos and a small tea")], memo)
    assert text_of(events) == "Two espressos and a small tea, got it. Anything else?"


def test_a_result_that_was_never_told_is_told_with_the_next_answer() -> None:
    _, memo = reply([])
    messages: list[Message] = [UserMessage("are you open on sunday")]
    events, memo = reply(messages, memo)
    call = events[-1]
    assert isinstance(call, ToolCall)
    messages += [
        AssistantMessage("", (call,)),
        ToolResult(call.id, call.name, '{"is_open": false, "day": "on Sunday"}'),
        UserMessage("where are you"),
    ]
    events, _ = reply(messages, memo)
    assert text_of(events).startswith("We are closed on Sunday. ")
    assert "Market Street" in text_of(events)
    assert sum(isinstance(event, Expect) for event in events) == 1


def test_a_goodbye_needs_no_second_reply() -> None:
    _, memo = reply([])
    events, memo = reply([UserMessage("goodbye")], memo)
    call = events[-1]
    assert isinstance(call, ToolCall)
    assert call.name == "hang_up"
    events, _ = reply([UserMessage("goodbye"), ToolResult(call.id, "hang_up", "{}")], memo)
    assert events == [Expect()]


def test_nothing_new_is_answered_by_nothing() -> None:
    _, memo = reply([])
    events, _ = reply([AssistantMessage("Hello.")], memo)
    assert events == []


def test_it_begins_where_another_agent_has_led_the_call_so_far() -> None:
    assert reply([AssistantMessage("I hand you over.")]) == reply([])


def test_known_texts_are_spoken_as_they_are() -> None:
    known = set(MODEL.known_texts)
    assert MODEL.known_texts[0].startswith("Thank you for calling the Corner Cafe.")
    assert {"Anything else?", "Go on.", "Is there anything else I can do for you?"} <= known
    assert not [text for text in known if "{" in text or not text.strip()]
    splitter = SentenceSplitter()
    spoken = [*splitter.push(text_of(reply([])[0])), *splitter.flush()]
    ready = [
        piece for text in MODEL.known_texts for piece in [*splitter.push(text), *splitter.flush()]
    ]
    assert set(spoken) <= set(ready)


def test_settings_name_another_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('[main]\ngreeting = "Moin."\n')
    assert create(Settings(file=path)).known_texts[0] == "Moin."
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        create(Settings(file=tmp_path / "missing.toml"))


def test_it_is_always_available() -> None:
    assert probe() == ""
    asyncio.run(MODEL.warm_up())
    asyncio.run(MODEL.close())
