"""The real SDK against a local server that streams, stalls, fails and sees the socket go."""

from __future__ import annotations

import asyncio
import gc
import socket
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import pytest
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel, ValidationError

from gateway.errors import (
    ContextExceeded,
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers.contracts import (
    AskedAgain,
    LanguageModel,
    ReplyEvent,
    ReplyRequest,
    TextDelta,
    ToolCall,
    ToolSpec,
    Usage,
    UserMessage,
)
from gateway.providers.llm.openai import Settings, create
from tests.support.llm_server import Answer, Call, LlmServer, chunk, reply_chunks

HELLO = ReplyRequest("Be nice.", (UserMessage("Hello"),))
Test = Callable[[LlmServer, LanguageModel], Awaitable[None]]


def run(test: Test, *script: Answer, default: Answer | None = None, **settings: Any) -> None:
    serve(test, *script, default=default, **settings)
    gc.collect()  # whatever was left open would warn here, and warnings are errors


def serve(test: Test, *script: Answer, default: Answer | None = None, **settings: Any) -> None:
    """The same without looking for what was left open, which takes time."""

    async def main() -> None:
        async with asyncio.timeout(20), LlmServer(*script, default=default) as server:
            table = {"base_url": server.base_url, "model": "test", "api_key": "sk-secret"}
            model = create(Settings(**{**table, **settings}))
            try:
                await test(server, model)
            finally:
                await model.close()

    asyncio.run(main())


def reply(model: LanguageModel, request: ReplyRequest = HELLO) -> AsyncGenerator[ReplyEvent, None]:
    return cast("AsyncGenerator[ReplyEvent, None]", model.reply(request))


async def read(model: LanguageModel, request: ReplyRequest = HELLO) -> list[ReplyEvent]:
    async with aclosing(reply(model, request)) as events:
        return [event async for event in events]


async def fail(model: LanguageModel) -> tuple[ProviderError, str]:
    """Return the error of a reply that must fail, and the text that came before it."""
    text = ""
    try:
        async with aclosing(reply(model)) as events:
            async for event in events:
                assert isinstance(event, TextDelta | AskedAgain)
                text += event.text if isinstance(event, TextDelta) else ""
    except ProviderError as error:
        return error, text
    raise AssertionError("no error")


def fails(
    error: type[ProviderError], hint: str, tries: int, *script: Answer, **settings: Any
) -> None:
    """Assert how a reply fails, after how many requests, and that no secret is in the message."""

    async def test(server: LlmServer, model: LanguageModel) -> None:
        raised, _ = await fail(model)
        assert type(raised) is error
        assert hint in str(raised)
        assert server.base_url in str(raised)
        assert raised.__cause__ is not None
        assert "sk-secret" not in str(raised)
        assert len(server.completions) == tries

    run(test, *script, **settings)


@pytest.mark.parametrize(
    ("answer", "was_taken"),
    [(Answer(status=503), False), (Answer(stall_after=1), True), (Answer(close_after=1), True)],
)
def test_each_further_try_is_told_before_it_is_made(answer: Answer, was_taken: bool):
    async def test(server: LlmServer, model: LanguageModel) -> None:
        async with aclosing(reply(model)) as events:
            assert await anext(events) == AskedAgain(was_taken)
            assert len(server.completions) == 1
        assert len(server.completions) == 1  # whoever stops here has stopped it

    run(test, answer, first_token_timeout_s=0.3)


# --- what is sent and what comes ----------------------------------------------------------------


def test_text_and_usage_are_streamed():
    async def test(server: LlmServer, model: LanguageModel) -> None:
        *deltas, usage = await read(model)
        assert deltas == [TextDelta("Good"), TextDelta(" morning."), TextDelta(" Yes?")]
        assert isinstance(usage, Usage)
        assert usage.output_tokens == 3

    run(test, Answer(text="Good morning. Yes?"))


def test_the_request_carries_what_was_configured():
    async def test(server: LlmServer, model: LanguageModel) -> None:
        tools = (ToolSpec("hang_up", "End.", {"type": "object"}),)
        await read(model, ReplyRequest("Be nice.", (UserMessage("Hello"),), tools))
        (seen,) = server.completions
        assert seen.headers["authorization"] == "Bearer sk-secret"
        assert seen.headers["x-team"] == "desk"
        assert [message["role"] for message in seen.body.pop("messages")] == ["system", "user"]
        assert seen.body.pop("tools")[0]["function"]["name"] == "hang_up"
        assert seen.body == {
            "model": "test",
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.3,
            "max_tokens": 50,
            "top_k": 4,
        }

    run(
        test,
        temperature=0.3,
        max_tokens=50,
        extra_body={"top_k": 4},
        headers={"X-Team": "desk"},
    )


def test_what_is_not_configured_is_not_sent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-server")

    async def test(server: LlmServer, model: LanguageModel) -> None:
        await read(model)
        assert set(server.completions[0].body) == {"model", "stream", "messages"}
        assert "sk-of-another-server" not in server.completions[0].headers["authorization"]

    run(test, api_key="", stream_usage=False)


def test_parallel_tool_calls_come_after_the_text():
    calls = (Call("hours", '{"day": "monday"}', "a"), Call("menu", "{}", "b"))

    async def test(server: LlmServer, model: LanguageModel) -> None:
        events = await read(model)
        assert events[:3] == [
            TextDelta("One"),
            TextDelta(" moment."),
            ToolCall("a", "hours", '{"day": "monday"}'),
        ]
        assert events[3] == ToolCall("b", "menu", "{}")

    run(test, Answer(text="One moment.", calls=calls))


def test_the_connection_is_used_again():
    async def test(server: LlmServer, model: LanguageModel) -> None:
        await model.warm_up()
        for _ in range(3):
            await read(model)
        assert server.connections == 1

    run(test)


# --- cancelled for real -------------------------------------------------------------------------


async def gone(server: LlmServer) -> None:
    """Wait until the server has seen the client leave its latest request."""
    async with asyncio.timeout(2):
        await server.completions[-1].disconnected.wait()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(hang=True), id="before the head"),
        pytest.param(Answer(text="One two three", stall_after=0), id="before the first token"),
        pytest.param(Answer(text="One two three", stall_after=2), id="between tokens"),
        pytest.param(Answer(text="word " * 500, token_ms=5), id="while tokens come"),
        pytest.param(Answer(calls=(Call("t", "{}"),), stall_after=2), id="within a tool call"),
    ],
)
def test_a_cancelled_reply_closes_the_socket(answer: Answer):
    async def test(server: LlmServer, model: LanguageModel) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(read(model))
            await server.until(
                lambda: (
                    bool(server.completions)
                    and server.completions[0].chunks_sent >= (answer.stall_after or 0)
                )
            )
            task.cancel()
        assert task.cancelled()
        await gone(server)
        assert not server.completions[-1].finished.is_set()
        assert server.completions[-1].chunks_sent < 500

    run(test, answer)


def test_a_reply_closed_by_its_reader_closes_the_socket():
    async def test(server: LlmServer, model: LanguageModel) -> None:
        async with aclosing(reply(model)) as events:
            assert await anext(events) == TextDelta("word")
        await gone(server)
        assert server.completions[-1].chunks_sent < 500
        assert await read(model)  # and the next one works

    run(test, Answer(text="word " * 500, token_ms=5))


def test_a_cancelled_back_off_sends_nothing_more():
    async def test(server: LlmServer, model: LanguageModel) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(read(model))
            await server.until(lambda: bool(server.completions))
            await server.completions[0].finished.wait()
            task.cancel()
        assert len(server.completions) == 1

    run(test, Answer(status=503, headers=(("Retry-After", "5"),)))


# --- failures -----------------------------------------------------------------------------------

OK = Answer(text="Fine.")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_may_pass_is_tried_again(status: int):
    async def test(server: LlmServer, model: LanguageModel) -> None:
        assert TextDelta("Fine.") in await read(model)
        assert len(server.completions) == 2

    run(test, Answer(status=status), OK)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_cannot_help_is_not_tried_again(status: int):
    fails(ProviderRejected, f"scripted {status}", 1, Answer(status=status), OK)


def test_an_empty_account_is_not_tried_again():
    error = {"message": "pay first", "code": "insufficient_quota"}
    fails(QuotaExceeded, "pay first", 1, Answer(status=429, error=error), OK)


def test_tries_are_counted():
    broken = [Answer(status=503)] * 3
    fails(ProviderUnavailable, "scripted 503", 3, *broken, OK, max_retries=2)
    fails(ProviderUnavailable, "scripted 503", 1, *broken, OK, max_retries=0)


def test_retry_after_is_kept():
    async def test(server: LlmServer, model: LanguageModel) -> None:
        await read(model)
        first, second = server.completions
        assert second.at_s - first.at_s >= 0.6

    run(test, Answer(status=429, headers=(("retry-after-ms", "600"),)), OK)


def test_nobody_waits_for_a_long_retry_after():
    slow = Answer(status=429, headers=(("Retry-After", "60"),))
    fails(RateLimited, "scripted 429", 1, slow, OK)


def test_a_key_in_an_error_is_not_repeated():
    error = {"message": "Incorrect API key provided: sk-secret"}
    fails(ProviderRejected, "provided: ***", 1, Answer(status=401, error=error))


def test_a_server_without_usage_is_asked_without_from_then_on():
    refusal = Answer(status=400, error={"message": "Unknown field: stream_options"})

    async def test(server: LlmServer, model: LanguageModel) -> None:
        assert await read(model) == [AskedAgain(has_failed=False), TextDelta("Fine.")]
        assert await read(model) == [TextDelta("Fine.")]
        assert ["stream_options" in seen.body for seen in server.completions] == [
            True,
            False,
            False,
        ]

    run(test, refusal, OK, OK, max_retries=0)


def test_no_first_token_is_a_timeout_and_tried_again():
    for answer in (Answer(hang=True), Answer(stall_after=1), Answer(stall_after=0)):
        fails(
            ProviderTimeout,
            "no first token within 0.3 s",
            2,
            answer,
            answer,
            first_token_timeout_s=0.3,
            max_retries=1,
        )


def test_a_first_token_in_the_second_try_is_as_good():
    async def test(server: LlmServer, model: LanguageModel) -> None:
        assert TextDelta("Fine.") in await read(model)
        await asyncio.wait_for(server.completions[0].disconnected.wait(), 2)

    run(test, Answer(hang=True), OK, first_token_timeout_s=1.0)


@pytest.mark.parametrize(
    ("answer", "error", "hint"),
    [
        (Answer(text="a b c", stall_after=3), ProviderTimeout, "stalled in mid-answer for 0.1 s"),
        (Answer(text="a b c", close_after=3), ProviderUnavailable, "connection failed"),
        (
            Answer(text="a b c", error_after=3, error={"message": "overloaded"}),
            ProviderUnavailable,
            "overloaded",
        ),
        (
            Answer(
                text="a b c",
                error_after=3,
                error={"message": "too long", "code": "context_length_exceeded"},
            ),
            ContextExceeded,
            "too long",
        ),
    ],
)
def test_nothing_is_tried_again_once_a_word_was_said(
    answer: Answer, error: type[ProviderError], hint: str
):
    async def test(server: LlmServer, model: LanguageModel) -> None:
        raised, text = await fail(model)
        assert text == "a b"
        assert type(raised) is error
        assert hint in str(raised)
        assert len(server.completions) == 1

    run(test, answer, OK, stall_timeout_s=0.1)


def test_slow_tokens_are_no_stall():
    async def test(server: LlmServer, model: LanguageModel) -> None:
        texts = [event for event in await read(model) if isinstance(event, TextDelta)]
        assert len(texts) == 8

    run(
        test,
        Answer(text="b c d e f g h i", token_ms=80),
        stall_timeout_s=0.5,
        first_token_timeout_s=0.5,
    )


def test_a_connection_lost_before_the_first_word_is_tried_again():
    async def test(server: LlmServer, model: LanguageModel) -> None:
        assert TextDelta("Fine.") in await read(model)

    run(test, Answer(close_after=1), Answer(close_after=0), OK)


@pytest.mark.parametrize(
    "raw",
    [
        b"data: {not json\n\n",
        b"data: \xff\xfe\n\n",
        b"<html>Welcome to nginx</html>",
        b"",
        b"data: [DONE]\n\n",
        b'data: "text"\n\n',
        b'data: {"choices": "many"}\n\ndata: 5\n\ndata: [DONE]\n\n',
    ],
)
def test_garbage_is_a_protocol_error(raw: bytes):
    async def test(server: LlmServer, model: LanguageModel) -> None:
        raised, _ = await fail(model)
        assert type(raised) is ProviderProtocolError
        assert len(server.completions) == 1

    run(test, Answer(raw=raw), OK)


def test_a_missing_end_is_forgiven():
    body = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'

    async def test(server: LlmServer, model: LanguageModel) -> None:
        assert await read(model) == [TextDelta("Hi")]

    run(test, Answer(raw=body))


# --- warm-up ------------------------------------------------------------------------------------


def test_warm_up_costs_no_tokens_and_forgives_a_missing_list():
    async def test(server: LlmServer, model: LanguageModel) -> None:
        await model.warm_up()
        assert [seen.path for seen in server.requests] == ["/v1/models"]

    run(test)
    run(test, default=Answer(status=404))


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, ProviderRejected), (403, ProviderRejected), (503, ProviderUnavailable)],
)
def test_warm_up_finds_a_refused_key_and_a_sick_server(status: int, error: type[ProviderError]):
    async def test(server: LlmServer, model: LanguageModel) -> None:
        with pytest.raises(error, match=server.base_url):
            await model.warm_up()

    run(test, default=Answer(status=status))


def test_nobody_there_is_said_clearly():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        where = f"127.0.0.1:{taken.getsockname()[1]}/v1"

        async def test(server: LlmServer, model: LanguageModel) -> None:
            with pytest.raises(ProviderUnavailable, match=f"http://{where}: connection") as raised:
                await model.warm_up()
            assert "pass-word" not in str(raised.value)
            error, _ = await fail(model)
            assert type(error) is ProviderUnavailable

        run(test, base_url=f"http://user:pass-word@{where}", max_retries=1)


# --- settings and secrets -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"model": ""},
        {"model": "m", "base_url": "localhost:8000"},
        {"model": "m", "temperature": 3},
        {"model": "m", "max_tokens": 0},
        {"model": "m", "timeout_s": 0},
        {"model": "m", "api_key": 5},
    ],
)
def test_settings_refuse(table: dict[str, Any]):
    with pytest.raises(ValidationError):
        Settings(**table)


def test_the_key_is_in_no_traceback_and_no_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")

    async def test(server: LlmServer, model: LanguageModel) -> None:
        error, _ = await fail(model)
        assert "sk-secret" not in "".join(traceback.format_exception(error))
        assert "sk-secret" not in caplog.text
        assert "sk-secret" not in repr(model)

    run(test, Answer(status=401))


# --- the server itself --------------------------------------------------------------------------


def extras(model: BaseModel) -> dict[str, Any]:
    """Everything that the SDK's types do not know, at any depth."""
    found = dict(model.model_extra or {})
    for _, value in model:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, BaseModel):
                found |= extras(item)
    return found


@pytest.mark.parametrize(
    "answer",
    [
        Answer(),
        Answer(text="One moment.", calls=(Call("hours", '{"day": "monday"}'), Call("menu"))),
        Answer(text="", refusal="I cannot do that."),
        Answer(text="So", finish_reason="length"),
    ],
)
def test_the_servers_chunks_are_what_the_sdk_declares(answer: Answer):
    body = {"messages": [], "stream_options": {"include_usage": True}}
    for item in (*reply_chunks(body, answer), chunk({"content": "x"})):
        valid = ChatCompletionChunk.model_validate(item, strict=True)
        assert extras(valid) == {}
