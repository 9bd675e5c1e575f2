from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from gateway.errors import ProviderProtocolError, ProviderRejected
from gateway.providers.chat_completions import StreamedReply
from gateway.providers.chat_history import (
    CUT_NOTE,
    GO_ON,
    OPENING,
    request_messages,
    request_tools,
)
from gateway.providers.contracts import (
    AssistantMessage,
    ReplyEvent,
    TextDelta,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    UserMessage,
)

CALL = ToolCall("c1", "hours", '{"day": "mon"}')
STARTER = {"role": "user", "content": OPENING}


def as_object(value: Any) -> Any:
    """JSON as the SDK hands it over: attributes, nothing validated."""
    return ChatCompletionChunk.construct(**value) if isinstance(value, dict) else value


def read(*deltas: Any, finish_reason: str | None = "stop") -> list[ReplyEvent]:
    reply = StreamedReply("test")
    events: list[ReplyEvent] = []
    for delta in deltas:
        events += reply.feed(as_object({"choices": [{"delta": delta, "finish_reason": None}]}))
    events += reply.feed(as_object({"choices": [{"delta": {}, "finish_reason": finish_reason}]}))
    return [*events, *reply.finish()]


def said(events: list[ReplyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def part(arguments: Any = None, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **more}


@pytest.mark.parametrize(
    ("parts", "calls"),
    [
        pytest.param(
            [
                [part("", "hours", index=0, id="a")],
                [part('{"day":', index=0)],
                [part(' "mon"}', index=0)],
                [part("", "menu", index=1, id="b")],
                [part("{}", index=1)],
            ],
            [("a", "hours", '{"day": "mon"}'), ("b", "menu", "{}")],
            id="as OpenAI does",
        ),
        pytest.param(
            [
                [part("", "hours", index=0, id="a"), part("", "menu", index=1, id="b")],
                [part('{"x":', index=1), part("{", index=0)],
                [part("}", index=0), part("1}", index=1)],
            ],
            [("a", "hours", "{}"), ("b", "menu", '{"x":1}')],
            id="interleaved",
        ),
        pytest.param(
            [[part('{"n": 1}', "add", index=0, id="a"), part('{"n": 2}', "add", index=1, id="b")]],
            [("a", "add", '{"n": 1}'), ("b", "add", '{"n": 2}')],
            id="all in one chunk",
        ),
        pytest.param(
            [
                [part("{", "add", index=0, id="a")],
                [part('"n"', "add", index=0, id="a")],
                [part(": 1}", "add", index=0, id="a")],
                [part("", "add", index=0, id="a")],
            ],
            [("a", "add", '{"n": 1}')],
            id="id and name repeated with every delta",
        ),
        pytest.param(
            [
                [part('{"n": 1}', "add", index=0, id="a")],
                [part('{"n": 2}', "add", index=0, id="b")],
            ],
            [("a", "add", '{"n": 1}'), ("b", "add", '{"n": 2}')],
            id="every call at index 0",
        ),
        pytest.param(
            [[part("", "hours", index=0, id="a")], [part("", "menu", index=0, id="b")]],
            [("a", "hours", "{}"), ("b", "menu", "{}")],
            id="every call at index 0, without arguments",
        ),
        pytest.param(
            [[part('{"n": 1}', "add", id="a")], [part('{"n": 2}', "add", id="b")]],
            [("a", "add", '{"n": 1}'), ("b", "add", '{"n": 2}')],
            id="no index",
        ),
        pytest.param(
            [
                [part('{"n": 1}', "add", index=0, id="x")],
                [part('{"n": 2}', "add", index=1, id="x")],
            ],
            [("x", "add", '{"n": 1}'), (None, "add", '{"n": 2}')],
            id="the same id for all",
        ),
        pytest.param(
            [[part('{"n": 1}', "add", index=0)], [part('{"n": 2}', "add", index=0)]],
            [(None, "add", '{"n": 1}'), (None, "add", '{"n": 2}')],
            id="no ids",
        ),
        pytest.param(
            [[part("{", "add", index=0, id="a")], [part("}", index=0, id="other")]],
            [("a", "add", "{}")],
            id="a new id with every delta",
        ),
        pytest.param(
            [[part("{", "add", index=0, id="a")], [part("}", index=1, id="a")]],
            [("a", "add", "{}")],
            id="counts the deltas",
        ),
        pytest.param(
            [[part({"n": 1}, "add", index=0, id="a")]],
            [("a", "add", '{"n": 1}')],
            id="arguments as an object",
        ),
        pytest.param(
            [[part(None, "hours", index=0, id="a")]], [("a", "hours", "{}")], id="no arguments"
        ),
        pytest.param([[part("{}", index=0, id="a")]], [], id="no name"),
        pytest.param([["nonsense", None, {}]], [], id="nonsense"),
    ],
)
def test_tool_calls_are_put_together(parts: list[Any], calls: list[tuple[str | None, str, str]]):
    events = read(*({"tool_calls": each} for each in parts), finish_reason="tool_calls")
    made = [event for event in events if isinstance(event, ToolCall)]
    assert [(call.name, call.arguments) for call in made] == [call[1:] for call in calls]
    for call, (expected_id, _, _) in zip(made, calls, strict=True):
        assert call.id == expected_id or (expected_id is None and len(call.id) == 9)
    assert len({call.id for call in made}) == len(made)


@given(st.text('{"n": 12}', max_size=30), st.lists(st.integers(0, 30), max_size=6))
def test_arguments_may_be_cut_anywhere(arguments: str, cuts: list[int]):
    places = [0, *sorted(cuts), len(arguments)]
    pieces = [arguments[a:b] for a, b in pairwise(places)]
    deltas = [{"tool_calls": [part(piece, index=0)]} for piece in pieces]
    events = read({"tool_calls": [part("", "add", index=0, id="a")]}, *deltas)
    assert events == read({"tool_calls": [part(arguments, "add", index=0, id="a")]})


def test_text_and_refusals_are_spoken():
    assert read({"content": "Hel"}, {"content": "lo"}, {"content": ""}, {"content": None}) == [
        TextDelta("Hel"),
        TextDelta("lo"),
    ]
    assert read({"refusal": "I cannot do that."}) == [TextDelta("I cannot do that.")]


def test_thoughts_are_not():
    thoughts = ({"content": "<thi"}, {"content": "nk>hm</think>\n"}, {"reasoning_content": "hm"})
    assert said(read(*thoughts, {"content": "Hello"})) == "Hello"


def test_an_empty_answer_is_no_error():
    assert read({"role": "assistant", "content": ""}) == []


@pytest.mark.parametrize("reason", ["content_filter", "length"])
def test_nothing_left_to_say_is_an_error(reason: str):
    with pytest.raises(ProviderRejected, match=reason):
        read({"content": ""}, finish_reason=reason)
    assert read({"content": "So far"}, finish_reason=reason) == [TextDelta("So far")]


def test_the_last_usage_counts():
    reply = StreamedReply("test")
    usages: list[Any] = [
        {"prompt_tokens": 5, "completion_tokens": 1},
        {"prompt_tokens": 5, "completion_tokens": 9},
    ]
    for usage in usages:
        chunk = {"choices": [{"delta": {"content": "x"}}], "usage": usage}
        assert list(reply.feed(as_object(chunk))) == [TextDelta("x")]
    assert list(reply.feed(as_object({"choices": []}))) == []
    assert list(reply.finish()) == []
    assert reply.usage == Usage(5, 9)


@pytest.mark.parametrize(
    ("usages", "known"),
    [
        ([{}], None),
        ([{"total_tokens": 12}], None),
        ([{"prompt_tokens": 5}], Usage(5, None)),
        ([{"completion_tokens": 7}], Usage(None, 7)),
        ([{"prompt_tokens": 5, "total_tokens": 12}], Usage(5, 7)),
        ([{"completion_tokens": 7, "total_tokens": 12}], Usage(5, 7)),
        ([{"input_tokens": 5, "output_tokens": 7}], Usage(5, 7)),
        ([{"prompt_tokens": 5}, {"completion_tokens": 7}], Usage(5, 7)),
        ([{"prompt_tokens": 5, "completion_tokens": 7}, {"duration_ms": 3}], Usage(5, 7)),
        ([{"prompt_tokens": "5", "completion_tokens": None}], None),
        ([{"prompt_tokens": True, "completion_tokens": -1}], None),
        ([{"prompt_tokens": 5.0, "completion_tokens": 7.0}], Usage(5, 7)),
    ],
)
def test_a_count_that_is_not_told_is_not_known(usages: list[Any], known: Usage | None):
    reply = StreamedReply("test")
    for usage in usages:
        assert list(reply.feed({"choices": [], "usage": usage})) == []
    assert reply.usage == known


json_like = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "content", "tool_calls", "function", "usage"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(json_like)
def test_nonsense_does_no_harm(nonsense: Any):
    reply = StreamedReply("test")
    allowed = TextDelta | Thinking
    assert all(isinstance(event, allowed) for event in reply.feed(as_object(nonsense)))


def test_no_choice_at_all_is_a_protocol_error():
    with pytest.raises(ProviderProtocolError, match="without any choice"):
        list(StreamedReply("test").finish())


# --- requests ---------------------------------------------------------------------------------


def test_an_empty_history_still_has_somebody_to_answer():
    assert request_messages("Be nice.", ()) == [{"role": "system", "content": "Be nice."}, STARTER]
    assert request_messages("", ()) == [STARTER]


def test_a_greeting_first_is_preceded_by_the_caller():
    assert request_messages("", [AssistantMessage("Hello.")]) == [
        STARTER,
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": GO_ON},
    ]


def test_tool_calls_and_results_are_mapped():
    messages = [
        UserMessage("When?"),
        AssistantMessage("", (CALL,)),
        ToolResult("c1", "hours", '"9 to 5"'),
    ]
    function = {"name": "hours", "arguments": '{"day": "mon"}'}
    assert request_messages("", messages) == [
        {"role": "user", "content": "When?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": '"9 to 5"'},
    ]


def test_broken_arguments_do_not_spoil_the_next_request():
    mapped: Any = request_messages("", [AssistantMessage("", (ToolCall("c", "t", '{"a'),))])
    assert mapped[1]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_an_interrupted_message_shows_it_and_the_model_is_told_what_that_means():
    mapped = request_messages("Be nice.", [UserMessage("x"), AssistantMessage("We, ", (), True)])
    assert mapped[0]["content"] == f"Be nice.\n\n{CUT_NOTE}"
    assert mapped[2] == {"role": "assistant", "content": "We…"}


def test_two_assistant_texts_in_a_row_become_one():
    messages = [UserMessage("x"), AssistantMessage("One."), AssistantMessage("Two.")]
    assert request_messages("", messages)[1:-1] == [{"role": "assistant", "content": "One. Two."}]


def test_tools_are_mapped():
    assert request_tools([ToolSpec("hours", "Tell them.", {"type": "object"})]) == [
        {
            "type": "function",
            "function": {
                "name": "hours",
                "description": "Tell them.",
                "parameters": {"type": "object"},
            },
        }
    ]
