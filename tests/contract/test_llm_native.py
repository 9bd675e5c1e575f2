"""Vendors' own protocols: the same tests for each double, then what only one of them has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import openai
import pytest
from google import genai

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
from gateway.providers import registry
from gateway.providers.contracts import (
    AskedAgain,
    AssistantMessage,
    LanguageModel,
    Memo,
    Message,
    ReplyRequest,
    TextDelta,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    UserMessage,
)
from tests.contract.test_llm_openai import fail, gone, read, reply
from tests.support.anthropic_double import AnthropicServer
from tests.support.gemini_model_double import GeminiModelServer
from tests.support.llm_server import Answer, Call
from tests.support.model_contract import text_of
from tests.support.native_models import KEY, NativeServer
from tests.support.responses_double import ResponsesServer

OPEN = "We open at nine."
SCHEMA = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
TOOLS = (ToolSpec("opening_hours", "Tell them.", SCHEMA),
         ToolSpec("hang_up", "End the call.", {"type": "object", "properties": {}}))  # fmt: skip
ARGS = '{"day": "saturday"}'
HOURS = Call("opening_hours", ARGS, "call_1")
ASKED = ReplyRequest("Be nice.", (UserMessage("When?"),), TOOLS)
OK = Answer(text="Fine.")
Test = Callable[[Any, LanguageModel], Awaitable[None]]


@dataclass(frozen=True)
class Vendor:
    name: str
    double: type[NativeServer]
    empty: str
    """Finish reason of an answer that was withheld."""

    def run(self, test: Test, *script: Answer, **settings: Any) -> None:
        async def main() -> None:
            async with asyncio.timeout(20), self.double(*script) as server:
                table = {"provider": self.name, "base_url": server.base_url, "model": "test"}
                model = registry.create("llm", {**table, "api_key": KEY, **settings})
                try:
                    await test(server, model)
                finally:
                    await model.close()
                assert settings.get("strange") or not server.strange

        asyncio.run(main())


VENDORS = [
    Vendor("anthropic", AnthropicServer, "refusal"),
    Vendor("gemini", GeminiModelServer, "SAFETY"),
    Vendor("openai_responses", ResponsesServer, "content_filter"),
]
every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
ANTHROPIC, GEMINI, RESPONSES = VENDORS


# --- every vendor -------------------------------------------------------------------------------


@every_vendor
def test_text_comes_in_pieces_and_usage_with_what_was_cached(vendor: Vendor):
    async def test(server: NativeServer, model: LanguageModel) -> None:
        server.cached = 7
        *deltas, usage = await read(model, ASKED)
        assert deltas == [TextDelta("Good"), TextDelta(" morning."), TextDelta(" Yes?")]
        assert isinstance(usage, Usage)
        assert usage.input_tokens is not None
        assert usage.input_tokens > 20
        assert (usage.output_tokens, usage.cached_tokens) == (3, 7)

    vendor.run(test, Answer(text="Good morning. Yes?"))


@every_vendor
def test_what_is_configured_is_sent(vendor: Vendor):
    async def test(server: NativeServer, model: LanguageModel) -> None:
        await read(model, ASKED)
        (seen,) = server.completions
        assert seen.headers["x-team"] == "desk"
        sent = json.dumps(seen.body)
        assert "0.3" in sent
        assert " 50" in sent
        assert "Be nice." in sent
        assert "opening_hours" in sent

    vendor.run(test, temperature=0.3, max_tokens=50, headers={"X-Team": "desk"})


@every_vendor
def test_thoughts_are_not_heard_and_keep_the_reply_alive(vendor: Vendor):
    slow = Answer(text=OPEN, thoughts="The caller asks for hours I am sure", token_ms=100)

    async def test(server: NativeServer, model: LanguageModel) -> None:
        events = await read(model, ASKED)
        assert text_of(events) == OPEN
        assert Thinking() in events

    vendor.run(test, slow, first_token_timeout_s=0.6, stall_timeout_s=0.6, max_retries=0)


@every_vendor
@pytest.mark.parametrize("thoughts", ["", "Hours it is."])
def test_calls_and_results_go_back_and_forth(vendor: Vendor, thoughts: str):
    menu = Call("hang_up", "{}", "call_2")

    async def test(server: NativeServer, model: LanguageModel) -> None:
        events = await read(model, ASKED)
        calls = [event for event in events if isinstance(event, ToolCall)]
        made = [(call.name, json.loads(call.arguments)) for call in calls]
        assert made == [("opening_hours", {"day": "saturday"}), ("hang_up", {})]
        assert len({call.id for call in calls}) == 2
        memo = next((event.state for event in events if isinstance(event, Memo)), None)
        assert memo or not thoughts
        history = (
            UserMessage("When?"),
            AssistantMessage("One moment.", tuple(calls)),
            ToolResult(calls[0].id, "opening_hours", '"nine"'),
            ToolResult(calls[1].id, "hang_up", '{"error": "no"}', is_error=True),
        )
        for notes in (memo, None, "of another model"):  # lost with a reply that was cut off
            request = ReplyRequest("Be nice.", history, TOOLS, notes)
            assert text_of(await read(model, request)) == "Fine."
        sent = json.dumps(server.completions[1].body)
        assert "nine" in sent
        if thoughts and vendor is not GEMINI:
            assert thoughts in sent

    vendor.run(test, Answer(text="One moment.", thoughts=thoughts, calls=(HOURS, menu)), OK, OK, OK)


@every_vendor
def test_histories_that_cuts_have_made(vendor: Vendor):
    call = ToolCall("c1", "opening_hours", ARGS)
    histories: list[tuple[Message, ...]] = [
        (),
        (AssistantMessage("Hello."),),
        (AssistantMessage("Hello, this", interrupted=True), UserMessage("x"), UserMessage("y")),
        (UserMessage("x"), AssistantMessage("", (call,))),
        (UserMessage("x"), AssistantMessage("", (call,)), UserMessage("y")),
        (ToolResult("c9", "opening_hours", "9"), UserMessage("x")),
        (UserMessage("x"), AssistantMessage("", (replace(call, arguments='{"a'),)),
         ToolResult("c1", "opening_hours", ""), UserMessage("y\x00 \ud83d"), AssistantMessage(" ")),
    ]  # fmt: skip

    async def test(server: NativeServer, model: LanguageModel) -> None:
        for history in histories:
            assert text_of(await read(model, ReplyRequest("Be nice.", history, TOOLS)))
            assert text_of(await read(model, ReplyRequest("", history)))

    vendor.run(test)


@every_vendor
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(hang=True), id="before the head"),
        pytest.param(Answer(text="One two three", stall_after=1), id="before the first token"),
        pytest.param(Answer(text="word " * 500, token_ms=5), id="while tokens come"),
    ],
)
def test_a_cancelled_reply_closes_the_socket(vendor: Vendor, answer: Answer):
    async def test(server: NativeServer, model: LanguageModel) -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(read(model, ASKED))
            least = 8 if answer.token_ms else answer.stall_after or 0
            await server.until(
                lambda: bool(server.completions) and server.completions[0].chunks_sent >= least
            )
            task.cancel()
        assert task.cancelled()
        await gone(server)
        assert server.completions[-1].chunks_sent < 500

    vendor.run(test, answer)


@every_vendor
def test_a_reply_closed_by_its_reader_closes_the_socket_and_the_next_one_works(vendor: Vendor):
    async def test(server: NativeServer, model: LanguageModel) -> None:
        async with aclosing(reply(model, ASKED)) as events:
            assert await anext(events) == TextDelta("word")
        await gone(server)
        assert text_of(await read(model, ASKED)) == "Fine."

    vendor.run(test, Answer(text="word " * 500, token_ms=5), OK)


@every_vendor
def test_the_connection_is_used_again(vendor: Vendor):
    async def test(server: NativeServer, model: LanguageModel) -> None:
        await model.warm_up()
        for _ in range(3):
            await read(model, ASKED)
        assert server.connections == 1

    vendor.run(test)


@every_vendor
@pytest.mark.parametrize(
    ("answer", "kind", "hint"),
    [
        (Answer(status=503), ProviderUnavailable, "HTTP 503"),
        (Answer(status=529), ProviderUnavailable, "HTTP 529"),
        (Answer(status=429), RateLimited, "over a limit"),
        (Answer(status=404), ProviderRejected, "check model and base_url"),
        (Answer(hang=True), ProviderTimeout, "no first token within 0.3 s"),
        (Answer(text="a b", stall_after=0), ProviderTimeout, "no first token within 0.3 s"),
        (Answer(text="a b", close_after=1), ProviderUnavailable, "connection failed"),
        (Answer(raw=b"<!doctype html><title>Sign in</title>"), ProviderProtocolError, "Sign in"),
        (Answer(raw=b"data: {not json\n\n"), ProviderProtocolError, "not the stream"),
        (Answer(raw=b""), ProviderProtocolError, "without any choice"),
    ],
)
def test_failures(vendor: Vendor, answer: Answer, kind: type[ProviderError], hint: str):
    async def test(server: NativeServer, model: LanguageModel) -> None:
        raised, text = await fail(model)
        assert type(raised) is kind
        assert hint in str(raised)
        assert raised.provider == vendor.name
        assert text == ""

    vendor.run(test, answer, max_retries=0, first_token_timeout_s=0.3)


@every_vendor
def test_an_error_after_a_word_is_not_tried_again(vendor: Vendor):
    async def test(server: Any, model: LanguageModel) -> None:
        server.script.append(server.busy)
        raised, text = await fail(model)
        assert text.startswith("a")
        assert type(raised) is ProviderUnavailable
        assert len(server.completions) == 1

    vendor.run(test)


@every_vendor
def test_an_error_before_a_word_is_tried_again(vendor: Vendor):
    async def test(server: Any, model: LanguageModel) -> None:
        server.script.extend([replace(server.busy, error_after=0), OK])
        assert (await read(model, ASKED))[:2] == [AskedAgain(was_taken=True), TextDelta("Fine.")]

    vendor.run(test)


@every_vendor
def test_retry_after_is_kept(vendor: Vendor):
    async def test(server: NativeServer, model: LanguageModel) -> None:
        await read(model, ASKED)
        first, second = server.completions
        assert second.at_s - first.at_s >= 0.6

    vendor.run(test, Answer(status=429, headers=(("retry-after-ms", "600"),)), OK)


@every_vendor
def test_a_wrong_key_is_found_before_the_first_call_and_never_shown(vendor: Vendor):
    async def test(server: NativeServer, model: LanguageModel) -> None:
        with pytest.raises(ProviderRejected, match="check api_key") as raised:
            await model.warm_up()
        error, _ = await fail(model)
        assert type(error) is ProviderRejected
        assert "check api_key" in str(error)
        for each in (str(raised.value), str(error)):
            assert "sk-wrong" not in each
            assert each.startswith(f"{vendor.name}: {server.base_url}")
        assert len(server.completions) == 1

    vendor.run(test, api_key="sk-wrong")


@every_vendor
def test_an_empty_account_is_known_as_that(vendor: Vendor):
    async def test(server: NativeServer, model: LanguageModel) -> None:
        raised, _ = await fail(model)
        assert type(raised) is QuotaExceeded
        assert len(server.completions) == 1

    vendor.run(test, vendor.double.quota)


@every_vendor
def test_an_answer_that_was_withheld(vendor: Vendor):
    async def test(server: NativeServer, model: LanguageModel) -> None:
        raised, _ = await fail(model)
        assert type(raised) is ProviderRejected
        assert vendor.empty in str(raised)
        assert text_of(await read(model, ASKED)) == "So far"

    withheld = Answer(text="", finish_reason=vendor.empty)
    vendor.run(test, withheld, replace(withheld, text="So far"))


@every_vendor
def test_long_texts_and_odd_characters(vendor: Vendor):
    text = ("Grüße\u2028👩\u200d👧" * 40 + " ") * 150  # 150 KB

    async def test(server: NativeServer, model: LanguageModel) -> None:
        request = ReplyRequest("Be nice.", (UserMessage(text),))
        assert text_of(await read(model, request)) == text.rstrip()

    vendor.run(test, Answer(text=text.rstrip()))


@every_vendor
def test_thirty_replies_with_faults_leave_nothing_open(vendor: Vendor):
    faults = [Answer(status=500), Answer(text="a b", close_after=2), OK, OK,
              Answer(text="a b c d", error_after=5, error={"message": "x"})]  # fmt: skip

    async def test(server: NativeServer, model: LanguageModel) -> None:
        said = 0
        for _ in range(30):
            try:
                said += bool(text_of(await read(model, ASKED)))
            except ProviderError:
                continue
        assert said >= 15
        await model.close()
        await server.until(lambda: server.open_connections == 0)

    vendor.run(test, *faults * 6, max_retries=1)


# --- the doubles are what the vendors' own clients read -----------------------------------------


def test_anthropics_own_client_reads_the_double():
    async def test(server: NativeServer, model: LanguageModel) -> None:
        url = server.base_url.removesuffix("/v1")
        async with anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0) as client:
            stream = client.messages.stream(
                model="test", max_tokens=10, messages=[{"role": "user", "content": [
                    {"type": "text", "text": "When?"}]}])  # fmt: skip
            async with stream as events:
                message = await events.get_final_message()
        kinds = [block.type for block in message.content]
        assert kinds == ["thinking", "text", "tool_use"]
        assert message.content[2].input == {"day": "saturday"}  # type: ignore[union-attr]

    ANTHROPIC.run(test, Answer(text=OPEN, thoughts="Hm.", calls=(HOURS,)))


def test_openais_own_client_reads_the_double():
    async def test(server: NativeServer, model: LanguageModel) -> None:
        async with (
            openai.AsyncOpenAI(api_key=KEY, base_url=server.base_url) as client,
            client.responses.stream(
                model="test", input=[{"role": "user", "content": "x"}], store=False
            ) as events,
        ):
            said = [e.delta async for e in events if e.type == "response.output_text.delta"]
        assert "".join(said) == OPEN

    RESPONSES.run(test, Answer(text=OPEN, thoughts="Hm.", calls=(HOURS,)))


def test_googles_own_client_reads_the_double():
    async def test(server: NativeServer, model: LanguageModel) -> None:
        base = server.base_url.removesuffix("/v1")
        options = genai.types.HttpOptions(base_url=base, api_version="v1")
        client = genai.Client(api_key=KEY, http_options=options).aio
        parts = []
        async for chunk in await client.models.generate_content_stream(
            model="test", contents="When?"
        ):
            parts += chunk.candidates[0].content.parts or [] if chunk.candidates else []  # type: ignore[union-attr]
        await client.aclose()
        assert "".join(part.text or "" for part in parts if not part.thought) == OPEN
        assert [part.function_call.name for part in parts if part.function_call] == [HOURS.name]

    GEMINI.run(test, Answer(text=OPEN, thoughts="Hm.", calls=(HOURS,)))


# --- one vendor ---------------------------------------------------------------------------------


def test_anthropic_is_told_what_to_keep():
    history = (UserMessage("When?"), AssistantMessage("At", interrupted=True), UserMessage("Well?"))

    async def test(server: NativeServer, model: LanguageModel) -> None:
        await read(model, ReplyRequest("Be nice.", history, TOOLS))
        body = server.completions[0].body
        mark = {"type": "ephemeral", "ttl": "1h"}
        assert body["system"][0] == {"type": "text", "text": "Be nice.", "cache_control": mark}
        assert "cache_control" not in body["system"][1]  # what comes with the first cut
        assert [tool.get("cache_control") for tool in body["tools"]] == [None, mark]
        assert body["messages"][-1]["content"][-1]["cache_control"] == mark

    async def off(server: NativeServer, model: LanguageModel) -> None:
        await read(model, ASKED)
        assert "cache_control" not in json.dumps(server.completions[0].body)

    ANTHROPIC.run(test, cache="1h")
    ANTHROPIC.run(off, cache="off")


def test_anthropic_thinks_only_where_no_thought_was_lost():
    call = ToolCall("call_1", "opening_hours", ARGS)
    history = (UserMessage("When?"), AssistantMessage("", (call,)), ToolResult("call_1", "o", "9"))

    async def test(server: NativeServer, model: LanguageModel) -> None:
        events = await read(model, ASKED)
        (memo,) = (event.state for event in events if isinstance(event, Memo))
        await read(model, ReplyRequest("", history, TOOLS, memo))
        await read(model, ReplyRequest("", history, TOOLS, None))
        await read(model, ReplyRequest("", (*history, UserMessage("And?")), TOOLS, None))
        kinds = [seen.body["thinking"]["type"] for seen in server.completions]
        assert kinds == ["enabled", "enabled", "disabled", "enabled"]
        thought = server.completions[1].body["messages"][1]["content"][0]
        assert thought == {"type": "thinking", "thinking": "Hours it is.", "signature": "c2ln"}

    script = (Answer(thoughts="Hours it is.", calls=(HOURS,)), OK, OK, OK)
    ANTHROPIC.run(test, *script, thinking_budget_tokens=1024, max_tokens=2048)


def test_a_conversation_that_is_too_long_for_anthropic():
    async def test(server: NativeServer, model: LanguageModel) -> None:
        for _ in range(2):
            raised, _text = await fail(model)
            assert type(raised) is ContextExceeded

    too_long = {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens"}
    script = Answer(text="", finish_reason="model_context_window_exceeded")
    ANTHROPIC.run(test, Answer(status=400, error=too_long), script)


def test_gemini_gets_its_signatures_back_or_is_told_that_they_are_lost():
    call = ToolCall("c1", "opening_hours", ARGS)
    history = (UserMessage("When?"), AssistantMessage("", (call,)), ToolResult("c1", "o", "9"))

    async def test(server: NativeServer, model: LanguageModel) -> None:
        events = await read(model, ASKED)
        (made,) = (event for event in events if isinstance(event, ToolCall))
        (memo,) = (event.state for event in events if isinstance(event, Memo))
        own = (history[0], AssistantMessage("", (made,)), ToolResult(made.id, "o", "9"))
        await read(model, ReplyRequest("", own, TOOLS, memo))
        await read(model, ReplyRequest("", history, TOOLS, memo))
        signatures = [
            seen.body["contents"][1]["parts"][0]["thoughtSignature"]
            for seen in server.completions[1:]
        ]
        assert signatures == ["c2lnbmF0dXJl", "skip_thought_signature_validator"]

    GEMINI.run(test, Answer(calls=(HOURS,)), OK, OK, model="gemini-3-flash")


def test_gemini_is_asked_again_when_it_says_nothing():
    for reason in ("STOP", "MALFORMED_FUNCTION_CALL", "OTHER"):

        async def test(server: NativeServer, model: LanguageModel) -> None:
            assert text_of(await read(model, ASKED)) == "Fine."
            assert len(server.completions) == 2

        GEMINI.run(test, Answer(text="", finish_reason=reason), OK)

    async def silent(server: NativeServer, model: LanguageModel) -> None:
        call = ToolCall("c1", "hang_up", "{}")
        history = (UserMessage("Bye"), AssistantMessage("", (call,)), ToolResult("c1", "o", "9"))
        assert text_of(await read(model, ReplyRequest("", history, TOOLS))) == ""

    GEMINI.run(silent, Answer(text=""))


def test_gemini_refuses_a_prompt_and_asks_to_wait():
    async def test(server: NativeServer, model: LanguageModel) -> None:
        raised, _ = await fail(model)
        assert type(raised) is ProviderRejected
        assert "PROHIBITED_CONTENT" in str(raised)
        raised, _ = await fail(model)
        assert type(raised) is RateLimited
        assert len(server.completions) == 2  # nobody waits for 34 s

    wait = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota per minute", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]}  # fmt: skip
    GEMINI.run(test, Answer(refusal="PROHIBITED_CONTENT"), Answer(status=429, error=wait))


def test_gemini_settings_are_sent():
    async def test(server: NativeServer, model: LanguageModel) -> None:
        await read(model, ASKED)
        body = server.completions[0].body
        assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 0}
        assert {each["threshold"] for each in body["safetySettings"]} == {"BLOCK_ONLY_HIGH"}
        assert len(body["safetySettings"]) == 4
        declared = body["tools"][0]["functionDeclarations"]
        assert "parametersJsonSchema" not in declared[1]

    GEMINI.run(test, thinking_budget_tokens=0, safety_threshold="BLOCK_ONLY_HIGH")


def test_responses_settings_are_sent_and_done_without_where_refused():
    async def test(server: NativeServer, model: LanguageModel) -> None:
        await read(model, ASKED)
        body = server.completions[0].body
        assert body["reasoning"] == {"effort": "low"}
        assert body["text"] == {"verbosity": "low"}
        assert body["prompt_cache_key"] == "desk"
        await read(model, ASKED)
        assert "include" not in server.completions[-1].body
        assert len(server.completions) == 3

    refused = {"message": "Encrypted content is not supported with this model.", "param": "include"}
    RESPONSES.run(
        test, OK, Answer(status=400, error=refused), OK,
        reasoning_effort="low", verbosity="low", prompt_cache_key="desk",
    )  # fmt: skip


def test_responses_of_servers_without_pieces_and_failures_within():
    message = {"type": "message", "content": [{"type": "output_text", "text": OPEN}]}
    call = {"type": "function_call", "call_id": "a", "name": "opening_hours", "arguments": ARGS}
    done = {"type": "response.completed", "response": {"output": [message, call]}}
    failed = {"type": "response.failed", "response": {"error": {"code": "server_error",
                                                                "message": "broken"}}}  # fmt: skip

    async def test(server: NativeServer, model: LanguageModel) -> None:
        items = [
            {"type": "response.output_item.done", "output_index": place, "item": item}
            for place, item in enumerate((message, call))
        ]
        server.script.extend([Answer(chunks=(done,)), Answer(chunks=(*items, done))])
        for _ in range(2):
            events = await read(model, ASKED)
            assert text_of(events) == OPEN
            assert ToolCall("a", "opening_hours", ARGS) in events
        server.script.append(Answer(chunks=(failed,)))
        raised, _ = await fail(model)
        assert type(raised) is ProviderUnavailable
        assert "broken" in str(raised)

    RESPONSES.run(test, max_retries=0)


def test_what_cannot_work_is_told_by_the_check():
    thinks = registry.load("llm", "anthropic")
    settings = thinks.Settings(model="m", api_key=KEY, thinking_budget_tokens=1024, temperature=0.5)
    assert {key for key, _ in thinks.faults(settings)} == {"thinking_budget_tokens", "temperature"}
    assert not list(thinks.faults(thinks.Settings(model="m", thinking_budget_tokens=0)))
    gemini = registry.load("llm", "gemini")
    both = gemini.Settings(model="m", thinking_budget_tokens=1, thinking_level="low")
    assert [key for key, _ in gemini.faults(both)] == ["thinking_level"]
    for vendor in VENDORS:
        module = registry.load("llm", vendor.name)
        (told,) = module.cautions(module.Settings(model="m"))
        assert told[0] == "api_key"
