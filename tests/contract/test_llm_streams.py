"""Streams as servers of the field send them, through the real provider and its HTTP client."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import (
    ContextExceeded,
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.contracts import (
    ReplyRequest,
    Retracted,
    TextDelta,
    ToolCall,
    ToolSpec,
    Usage,
    UserMessage,
)
from tests.contract.test_llm_openai import OK, read, run, serve
from tests.support.llm_server import Answer, LlmServer, chunk, completion, stream_of, text_stream

OPEN = "We open at nine."
TOOLS = (ToolSpec("opening_hours", "Tell them.", {"type": "object"}),)
ASKED = ReplyRequest("Be nice.", (UserMessage("When?"),), TOOLS)
HOURS = [("opening_hours", {"day": "saturday"})]
ARGS = '{"day": "saturday"}'


def heard(*script: Answer, tries: int = 1, **settings: Any) -> tuple[str, list[tuple[str, Any]]]:
    """What a caller hears of the answer, and the calls in it."""
    found: list[Any] = []

    async def test(server: LlmServer, model: Any) -> None:
        text = ""
        for event in await read(model, ASKED):
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, Retracted):
                text = ""
            elif isinstance(event, ToolCall):
                found.append((event.name, json.loads(event.arguments)))
        found.insert(0, text.strip())
        assert len(server.completions) == tries

    serve(test, *script, **settings)
    return found[0], found[1:]


def failure(*script: Answer, tries: int = 1, **settings: Any) -> ProviderError:
    raised: list[ProviderError] = []

    async def test(server: LlmServer, model: Any) -> None:
        with pytest.raises(ProviderError) as error:
            await read(model, ASKED)
        raised.append(error.value)
        assert len(server.completions) == tries

    serve(test, *script, **settings)
    return raised[0]


def part(arguments: Any = None, name: str | None = None, **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {
        "function": {key: value for key, value in function.items() if value is not None},
        **more,
    }


def call_stream(*parts: Any) -> str:
    """Each element is the `tool_calls` of one chunk."""
    chunks = (chunk({"tool_calls": each}) for each in parts)
    return stream_of(*chunks, chunk({}, "tool_calls"))


# --- thoughts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"Okay, the caller asks for the hours. I should be brief. </think> {OPEN}",
        f"They want the hours, which are on file. </thinking> {OPEN}",
        f"<think>hm</think>{OPEN}",
        f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{OPEN}",
    ],
)
def test_thoughts_are_not_heard(text: str):
    assert heard(Answer(replay=text_stream(text))) == (OPEN, [])


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_thoughts_of_their_own_field_keep_a_reply_alive(key: str):
    thoughts = [item for n in range(8) for item in (chunk({key: f"{n} "}), "{{pause 0.1}}\n")]
    stream = stream_of(*thoughts, chunk({"content": OPEN}), chunk({}, "stop"))
    limits = {"first_token_timeout_s": 0.4, "stall_timeout_s": 0.4}
    assert heard(Answer(replay=stream), **limits) == (OPEN, [])


def test_thoughts_in_the_text_keep_it_alive_too():
    thoughts = [item for n in range(8) for item in (chunk({"content": "a "}), "{{pause 0.1}}\n")]
    stream = stream_of(
        chunk({"content": "<think>"}), *thoughts, chunk({"content": f"</think>{OPEN}"})
    )
    limits = {"first_token_timeout_s": 0.4, "stall_timeout_s": 0.4}
    assert heard(Answer(replay=stream), **limits) == (OPEN, [])


def test_who_stops_thinking_is_asked_again():
    stream = stream_of(chunk({"reasoning_content": "hm"}), "{{hold}}\n")
    limits = {"first_token_timeout_s": 0.2, "stall_timeout_s": 0.2}
    assert heard(Answer(replay=stream), OK, tries=2, **limits)[0] == "Fine."
    error = failure(Answer(replay=stream), max_retries=0, **limits)
    assert isinstance(error, ProviderTimeout)
    assert "mid-thought" in str(error)


def test_a_model_that_was_seen_to_think_unopened_is_not_heard_thinking_again():
    thought = Answer(replay=text_stream(f"Saturday it is, hours are known. </think> {OPEN}"))

    async def test(server: LlmServer, model: Any) -> None:
        first = await read(model, ASKED)
        second = await read(model, ASKED)
        assert Retracted() in first
        assert Retracted() not in second
        spoken = "".join(event.text for event in second if isinstance(event, TextDelta))
        assert spoken.strip() == OPEN

    run(test, thought, thought)


# --- tool calls -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        [[part("{}", "opening_hours", index=0, id="a")], [part(ARGS, index=0)]],
        [[part("", "opening_hours", index=0, id="a")], [part(ARGS, index=0)]],
        [[part({"day": "saturday"}, "opening_hours", index=0, id="a")]],
        [[part(json.dumps(ARGS), "opening_hours", index=0, id="a")]],
        [[part(ARGS, "opening_hours")]],
        [[part(ARGS, "opening_hours", index=None, id=None)]],
        [[part(ARGS, "functions.opening_hours", index=0, id="a")]],
        [[part(ARGS, "opening_hours<|channel|>commentary", index=0, id="a")]],
        [[part(ARGS, "<|tool_call|>opening_hours", index=0, id="a")]],
        [[part(ARGS, " opening_hours() ", index=0, id="a")]],
        [[part(ARGS, "default_api.opening_hours", index=0, id="a")]],
        [[part(f"{ARGS}<|call|>", "opening_hours", index=0, id="a")]],
        [[part(f"```json\n{ARGS}\n```", "opening_hours", index=0, id="a")]],
        [[part("{'day': 'saturday'}", "opening_hours", index=0, id="a")]],
        [[part(ARGS[:-1], "opening_hours", index=0, id="a")]],
        [[part('{"day": "sat', "opening_hours", index=0)], [part(ARGS, index=0)]],
        [[part(None, "opening_hours", index=0)], [part(None, index=0)], [part(ARGS, index=0)]],
        [[{"index": 0, "name": "opening_hours", "arguments": ARGS}]],
    ],
)
def test_odd_arguments_and_names(parts: list[Any]):
    assert heard(Answer(replay=call_stream(*parts))) == ("", HOURS)


@pytest.mark.parametrize("nothing", ["", "null", "{}", "None", None, {}, '""', "``` ```"])
def test_no_arguments(nothing: Any):
    stream = call_stream([part(nothing, "opening_hours", index=0, id="a")])
    assert heard(Answer(replay=stream)) == ("", [("opening_hours", {})])


def test_the_function_call_of_old_servers():
    chunks = (
        chunk({"function_call": {"name": "opening_hours", "arguments": ""}}),
        chunk({"function_call": {"arguments": ARGS}}),
    )
    assert heard(Answer(replay=stream_of(*chunks, chunk({}, "function_call")))) == ("", HOURS)


def test_a_call_as_text_beside_the_same_call_is_made_once():
    text = f'<tool_call>{{"name": "opening_hours", "arguments": {ARGS}}}</tool_call>'
    stream = stream_of(
        chunk({"content": text}),
        chunk({"tool_calls": [part(ARGS, "opening_hours", index=0, id="a")]}),
        chunk({}, "tool_calls"),
    )
    assert heard(Answer(replay=stream)) == ("", HOURS)


def test_a_call_as_text_is_made():
    text = f'<tool_call> {{"name": "opening_hours", "arguments": {ARGS}}} </tool_call>'
    assert heard(Answer(replay=text_stream(text))) == ("", HOURS)


# --- content --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "contents",
    [
        [[{"type": "text", "text": OPEN}]],
        ["We ", [{"type": "text", "text": "open "}, {"type": "text", "text": "at "}], "nine."],
        [[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}], OPEN],
        [[{"type": "reference", "reference_ids": [1]}], [{"type": "text", "text": OPEN}]],
        [{"type": "text", "text": OPEN}],
        [[{"type": "text", "text": {"value": OPEN}}]],
        [["We open ", "at nine."]],
        [None, "", OPEN],
    ],
)
def test_content_in_parts(contents: list[Any]):
    stream = stream_of(*(chunk({"content": each}) for each in contents), chunk({}, "stop"))
    assert heard(Answer(replay=stream)) == (OPEN, [])


# --- the end --------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["{{hold}}\n", "{{drop}}\n", "data: [DONE]\n\n{{hold}}\n",
                                 "data: [DONE]\n\n{{drop}}\n", ""])  # fmt: skip
def test_the_finish_reason_is_the_end(end: str):
    began = time.monotonic()
    text = stream_of(chunk({"content": OPEN}), chunk({}, "stop"), end=end)
    assert heard(Answer(replay=text)) == (OPEN, [])
    calls = [part(ARGS, "opening_hours", index=0, id="a")]
    stream = stream_of(chunk({"tool_calls": calls}), chunk({}, "tool_calls"), end=end)
    assert heard(Answer(replay=stream)) == ("", HOURS)
    assert time.monotonic() - began < 6  # less than a timeout


def test_usage_behind_the_finish_reason_is_read():
    usage = chunk(None) | {"usage": {"prompt_tokens": 5, "completion_tokens": 7}}
    stream = stream_of(chunk({"content": OPEN}), chunk({}, "stop"), usage, end="{{hold}}\n")

    async def test(server: LlmServer, model: Any) -> None:
        events = await read(model, ASKED)
        assert events[-1].input_tokens == 5  # type: ignore[union-attr]

    run(test, Answer(replay=stream))


ONE_CALL = chunk({"tool_calls": [part(ARGS, "opening_hours", index=0, id="a")]})
USED = chunk(None) | {"usage": {"prompt_tokens": 5, "completion_tokens": 7}}


@pytest.mark.parametrize(
    "before",
    [
        (chunk({"content": "We open "}), chunk({"content": "at nine."}), chunk({}, "stop")),
        (chunk({"content": "We open "}), chunk({"content": "at nine."}, "stop")),
        (chunk({"content": "We open at nine. <"}), chunk({}, "stop")),  # held back as a tag
        (ONE_CALL, chunk({}, "tool_calls")),
        (chunk({"content": "One moment."}), ONE_CALL, chunk({}, "tool_calls")),
        (chunk({"content": OPEN}), "data: [DONE]\n\n"),
        (ONE_CALL, "data: [DONE]\n\n"),
    ],
)
def test_no_text_and_no_tool_call_waits_for_what_comes_behind_the_end(before: tuple[Any, ...]):
    """The rest comes after a second; by then the reply is long over, and its cost is told."""
    stream = stream_of(*before, "{{pause 1}}\n", USED)

    async def test(server: LlmServer, model: Any) -> None:
        for _ in range(2):
            is_told = asyncio.Event()
            told: list[Usage] = []

            def tell(usage: Usage, told: list[Usage] = told, event: Any = is_told) -> None:
                told.append(usage)
                event.set()

            events = await read(model, replace(ASKED, late_usage=tell))
            assert events
            assert not server.completions[-1].finished.is_set()
            assert not any(isinstance(event, Usage) for event in events)
            if "[DONE]" not in str(before[-1]):
                async with asyncio.timeout(5):
                    await is_told.wait()
                assert told == [Usage(5, 7)]

    serve(test, *[Answer(replay=stream)] * 2)


def test_the_wait_for_the_cost_is_bounded_and_so_is_the_connection():
    held = stream_of(chunk({"content": OPEN}), chunk({}, "stop"), end="{{hold}}\n")

    async def test(server: LlmServer, model: Any) -> None:
        told: list[Usage] = []
        await read(model, replace(ASKED, late_usage=told.append))
        async with asyncio.timeout(5):
            await server.completions[0].disconnected.wait()
        assert told == []

    serve(test, Answer(replay=held))


def test_a_finish_reason_with_every_chunk_is_no_end():
    chunks = [
        i
        for w in ("We ", "open ", "at nine.")
        for i in (chunk({"content": w}, "stop"), "{{pause 0.1}}\n")
    ]
    assert heard(Answer(replay=stream_of(*chunks))) == (OPEN, [])


# --- no stream ------------------------------------------------------------------------------

ERROR = {"error": {"message": "model is loading", "type": "server_error", "code": 503}}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(ERROR),
        json.dumps(ERROR, indent=2),
        f"data: {json.dumps(ERROR)}\n\n",
        json.dumps({"error": "model is loading"}),
        json.dumps([ERROR]),
        json.dumps({"object": "error", "message": "overloaded", "code": 503}),
        json.dumps({"detail": "busy, try again"}),
        'data: {"choices": [{"error": {"message": "upstream", "code": 502}}]}\n\n',
    ],
)
def test_an_error_that_may_pass_is_tried_again(body: str):
    assert heard(Answer(replay=body), OK, tries=2)[0] == "Fine."
    assert isinstance(failure(*[Answer(replay=body)] * 3, tries=3), ProviderUnavailable)


@pytest.mark.parametrize("code", ["invalid_api_key", 401, 404, "insufficient_quota"])
def test_an_error_that_does_not_pass_is_not(code: Any):
    body = json.dumps({"error": {"message": "no", "code": code}})
    error = failure(Answer(replay=body))
    assert isinstance(error, ProviderRejected)
    assert str(code) in str(error)


def test_a_whole_completion_is_used():
    answer = Answer(text=OPEN)
    whole = completion({}, answer)
    for body in (json.dumps(whole), json.dumps(whole, indent=2), f"data: {json.dumps(whole)}\n\n"):
        assert heard(Answer(replay=body)) == (OPEN, [])
    message = {"role": "assistant", "content": None,
               "tool_calls": [part(ARGS, "opening_hours", id="a")]}  # fmt: skip
    whole["choices"] = [{"message": message, "finish_reason": "tool_calls"}]
    assert heard(Answer(replay=json.dumps(whole))) == ("", HOURS)


def test_lines_of_json_without_events_are_read():
    lines = "\n".join(json.dumps(chunk({"content": word})) for word in ("We open ", "at nine."))
    assert heard(Answer(replay=lines + "\n")) == (OPEN, [])


def test_events_without_blank_lines_between_are_read():
    stream = text_stream(OPEN).replace("\n\n", "\n")
    assert heard(Answer(replay=stream)) == (OPEN, [])


def test_a_web_page_is_said_to_be_one():
    error = failure(Answer(replay="<!DOCTYPE html><html><title>Welcome to nginx</title></html>"))
    assert isinstance(error, ProviderProtocolError)
    assert "web page" in str(error)
    assert "Welcome to nginx" in str(error)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "no", "code": "context_length_exceeded"}),
        (400, {"message": "This model's maximum context length is 4096 tokens. However, you ..."}),
        (400, {"message": "the request exceeds the available context size", "code": 400}),
        (413, {"message": "prompt is too long: 210000 tokens > 200000 maximum"}),
        (400, {"type": "exceed_context_size_error", "message": "x"}),
        (200, {"message": "maximum context length is 4096 tokens", "code": 400}),
    ],
)
def test_a_context_that_is_too_long_is_known_as_that(status: int, error: dict[str, Any]):
    body = json.dumps({"error": error})
    answer = Answer(replay=body) if status == 200 else Answer(status=status, error=error)
    assert isinstance(failure(answer), ContextExceeded)


def test_no_connection_is_left_behind():
    """`run` fails on whatever warns at collection."""
    held = Answer(replay=stream_of(chunk({"content": OPEN}), chunk({}, "stop"), end="{{hold}}\n"))

    async def test(server: LlmServer, model: Any) -> None:
        for _ in range(3):
            await read(model, ASKED)
        async with asyncio.timeout(5):
            for seen in server.completions:
                await seen.disconnected.wait()

    run(test, held, held, held)
