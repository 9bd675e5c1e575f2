"""What servers of the field do beside the protocol, each as it was reported, through the provider.

Sources: the issue lists of LiteLLM, Pipecat, LiveKit Agents, vLLM, Ollama, llama.cpp, and the
documentation of Groq, Mistral, xAI, Azure, OpenRouter, DeepSeek and Gemini's compatible endpoint.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers.contracts import (
    AskedAgain,
    AssistantMessage,
    Memo,
    Message,
    ReplyRequest,
    ToolCall,
    ToolResult,
    Usage,
    UserMessage,
)
from tests.contract.test_llm_openai import OK, fail, read, serve
from tests.contract.test_llm_streams import (
    ARGS,
    ASKED,
    HOURS,
    OPEN,
    TOOLS,
    failure,
    heard,
    part,
)
from tests.support.llm_server import Answer, LlmServer, chunk, stream_of, text_stream

USED = {"prompt_tokens": 5, "completion_tokens": 7}


# --- framing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(text_stream(OPEN).replace("\n", "\r\n"), id="CRLF"),
        pytest.param(text_stream(OPEN).replace("\n", "\r"), id="CR"),
        pytest.param(f": OPENROUTER PROCESSING\n\n: ping\n\n{text_stream(OPEN)}", id="comments"),
        pytest.param("retry: 5000\nid: 1\nevent: message\n" + text_stream(OPEN), id="other fields"),
        pytest.param("\ufeff" + text_stream(OPEN), id="byte order mark"),
        pytest.param("\n\n\n" + text_stream(OPEN, end="\n\n"), id="empty lines, no [DONE]"),
        pytest.param(text_stream(OPEN).replace("data: ", "data:"), id="no space"),
        pytest.param(text_stream(OPEN).replace('"choices"', '\ndata: "choices"'), id="many lines"),
    ],
)
def test_lines(stream: str):
    assert heard(Answer(replay=stream)) == (OPEN, [])


@pytest.mark.parametrize(
    "text", ["We\u2028open\u2029at\x85nine.", "Grüße 👩\u200d👩\u200d👧 🇩🇪 👋"]
)
def test_characters_that_other_readers_cut_at(text: str):
    """JSON may hold them as they are; `str.splitlines` would end a line there."""
    events = [f'data: {{"choices":[{{"delta":{{"content":"{piece}"}}}}]}}\n\n' for piece in text]
    assert heard(Answer(replay=stream_of(*events))) == (text, [])


def test_control_characters_are_passed_on():
    """What is no text for a voice is left out where texts are read, not here."""
    assert heard(Answer(replay=text_stream("a\x00b\x07c", size=2))) == ("a\x00b\x07c", [])


def test_a_text_of_100_kilobytes():
    text = " ".join(["We open at nine."] * 6000)
    assert heard(Answer(replay=text_stream(text, size=500))) == (text, [])
    one_line = stream_of(chunk({"content": text}), chunk({}, "stop"))
    assert heard(Answer(replay=one_line)) == (text, [])


def test_a_line_without_an_end_ends_the_reply():
    endless = Answer(raw=b"data: " + b"x" * 4_100_000)
    assert "4000000 bytes" in str(failure(endless))


# --- chunks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [
        pytest.param({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, id="Azure"),
        pytest.param({"choices": [], "usage": None}, id="nothing"),
        pytest.param({"object": "ping"}, id="ping"),
        pytest.param(chunk({"role": "assistant", "content": None, "tool_calls": None}), id="nulls"),
        pytest.param(chunk({"role": None, "content": ""}, ""), id="an empty finish reason"),
    ],
)
def test_chunks_without_content(before: dict[str, Any]):
    stream = stream_of(before, chunk({"content": OPEN}), before, chunk({}, "stop"), before)
    assert heard(Answer(replay=stream)) == (OPEN, [])


@pytest.mark.parametrize("reason", ["stop", "eos", "end_turn", "STOP", "tool_calls", "length",
                                    "content_filter", "function_call", "abort"])  # fmt: skip
def test_any_finish_reason_ends_what_was_said(reason: str):
    stream = stream_of(chunk({"content": OPEN}), chunk({}, reason), end="{{hold}}\n")
    assert heard(Answer(replay=stream)) == (OPEN, [])


def test_a_finish_reason_that_does_not_fit_hides_no_call():
    """Ollama and older vLLM end calls with `stop`."""
    calls = stream_of(chunk({"tool_calls": [part(ARGS, "opening_hours", index=0)]}),
                      chunk({}, "stop"))  # fmt: skip
    assert heard(Answer(replay=calls)) == ("", HOURS)


# --- usage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "known"),
    [
        ({"usage": USED | {"prompt_tokens_details": {"cached_tokens": 4}}}, Usage(5, 7, 4)),
        ({"usage": USED | {"prompt_cache_hit_tokens": 3}}, Usage(5, 7, 3)),
        ({"usage": USED | {"prompt_tokens_details": None}}, Usage(5, 7)),
        ({"x_groq": {"id": "r", "usage": USED}}, Usage(5, 7)),
    ],
)
def test_usage(usage: dict[str, Any], known: Usage):
    stream = stream_of(chunk({"content": OPEN}), chunk({}, "stop"), chunk(None) | usage)

    async def test(server: LlmServer, model: Any) -> None:
        assert (await read(model, ASKED))[-1] == known

    serve(test, Answer(replay=stream))


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "kind", "hint"),
    [
        (401, {"message": "Invalid API Key"}, ProviderRejected, "check api_key"),
        (402, {"message": "Insufficient Balance"}, QuotaExceeded, "pay, or raise its quota"),
        (404, {"message": "no such model"}, ProviderRejected, "check model and base_url"),
        (429, {"message": "Slow down"}, RateLimited, "over a limit of the account"),
        (400, {"message": "Your credit balance is too low"}, QuotaExceeded, "credit balance"),
        (502, {"message": "Provider returned error", "metadata": {"raw": "CUDA out of memory"}},
         ProviderUnavailable, "CUDA out of memory"),
        (302, {}, ProviderRejected, "is base_url right?"),
    ],
)  # fmt: skip
def test_refusals_tell_what_to_check(
    status: int, error: dict[str, Any], kind: type[ProviderError], hint: str
):
    raised = failure(Answer(status=status, error=error), max_retries=0)
    assert type(raised) is kind
    assert f"HTTP {status}" in str(raised)
    assert hint in str(raised)


def test_an_error_of_xai_and_one_of_groq_within_the_stream():
    xai = '{"code": "Client specified an invalid argument", "error": "no such model"}'
    assert "Client specified an invalid argument" in str(
        failure(*[Answer(replay=xai)] * 3, tries=3)
    )
    groq = stream_of(chunk({}) | {"x_groq": {"error": "over capacity"}})
    assert heard(Answer(replay=groq), OK, tries=2)[0] == "Fine."


def test_a_call_that_groq_could_not_read_is_asked_for_again():
    error = {"message": "Failed to call a function.", "type": "invalid_request_error",
             "code": "tool_use_failed", "failed_generation": "<function=x"}  # fmt: skip
    assert heard(Answer(status=400, error=error), OK, tries=2)[0] == "Fine."


def test_an_error_with_a_finish_reason_amid_the_answer():
    """As OpenRouter sends it."""
    error = chunk({"content": ""}, "error") | {"error": {"code": 502, "message": "disconnected"}}

    async def test(server: LlmServer, model: Any) -> None:
        raised, text = await fail(model)
        assert text == OPEN
        assert type(raised) is ProviderUnavailable

    serve(test, Answer(replay=stream_of(chunk({"content": OPEN}), error)))


def test_a_page_of_a_proxy_is_named():
    page = "<html><head><title>502 Bad Gateway</title></head></html>"

    async def test(server: LlmServer, model: Any) -> None:
        raised, _ = await fail(model)
        assert "502 Bad Gateway" in str(raised)
        assert type(raised) is ProviderProtocolError

    serve(test, Answer(replay=page), max_retries=0)


def test_retry_after_as_a_date_is_compared_with_the_servers_clock():
    headers = (("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
               ("Retry-After", "Sun, 06 Nov 1994 08:49:38 GMT"))  # fmt: skip

    async def test(server: LlmServer, model: Any) -> None:
        await read(model)
        first, second = server.completions
        assert second.at_s - first.at_s >= 1.0

    serve(test, Answer(status=503, headers=headers), OK)


@pytest.mark.parametrize(
    ("message", "refused", "sent"),
    [
        ("Unsupported parameter: 'max_tokens' is not supported with this model. Use"
         " 'max_completion_tokens' instead.", "max_tokens", "max_completion_tokens"),
        ("Unsupported value: 'temperature' does not support 0.3 with this model.",
         "temperature", "max_tokens"),
        ("Extra inputs are not permitted: stream_options", "stream_options", "max_tokens"),
    ],
)  # fmt: skip
def test_a_setting_that_the_model_refuses_is_done_without(message: str, refused: str, sent: str):
    refusal = Answer(status=400, error={"message": message, "param": refused})

    async def test(server: LlmServer, model: Any) -> None:
        assert AskedAgain(has_failed=False) in await read(model)
        await read(model)
        for seen in server.completions[1:]:
            assert refused not in seen.body
            assert sent in seen.body
        assert len(server.completions) == 3

    serve(test, refusal, OK, OK, max_retries=0, temperature=0.3, max_tokens=50)


# --- requests -----------------------------------------------------------------------------------


async def history_sent(server: LlmServer, model: Any, *messages: Message, memo: Any = None) -> Any:
    await read(model, ReplyRequest("Be nice.", messages, TOOLS, memo))
    return server.completions[-1].body["messages"]


def test_no_request_holds_what_servers_cannot_read():
    async def test(server: LlmServer, model: Any) -> None:
        call = ToolCall("c", "opening_hours", ARGS)
        _, user, _, result, *_ = await history_sent(
            server,
            model,
            UserMessage("half a pair \ud83d and \x00\x07 bells 👋"),
            AssistantMessage("", (call,)),
            ToolResult("c", "opening_hours", "\x1b[1mnine\x1b[0m"),
        )
        assert user["content"] == "half a pair ? and  bells 👋"
        assert result["content"] == "[1mnine[0m"

    serve(test)


def test_what_a_vendor_wants_back_with_its_calls():
    """Thoughts of DeepSeek and Kimi, Gemini's signatures: each refuses a history without."""
    signature = {"google": {"thought_signature": "c2ln"}}
    stream = stream_of(
        chunk({"reasoning_content": "Hours "}),
        chunk({"reasoning_content": "it is."}),
        chunk({"tool_calls": [part(ARGS, "opening_hours", index=0, id="a",
                                   extra_content=signature)]}),
        chunk({}, "tool_calls"),
    )  # fmt: skip

    async def test(server: LlmServer, model: Any) -> None:
        events = await read(model, ASKED)
        (call,) = (event for event in events if isinstance(event, ToolCall))
        (memo,) = (event.state for event in events if isinstance(event, Memo))
        history = (UserMessage("When?"), AssistantMessage("", (call,)), ToolResult("a", "o", "9"))
        sent = (await history_sent(server, model, *history, memo=memo))[2]
        assert sent["reasoning_content"] == "Hours it is."
        assert sent["tool_calls"][0]["extra_content"] == signature
        unknown = (await history_sent(server, model, *history, memo="of another model"))[2]
        assert set(unknown) == {"role", "content", "tool_calls"}

    serve(test, Answer(replay=stream))


def test_ids_that_mistral_takes():
    async def test(server: LlmServer, model: Any) -> None:
        calls = tuple(ToolCall(id_, "opening_hours", ARGS) for id_ in ("D681PevKs", "call_a-1"))
        results = [ToolResult(call.id, call.name, "9") for call in calls]
        sent = await history_sent(
            server, model, UserMessage("When?"), AssistantMessage("", calls), *results
        )
        ids = [call["id"] for call in sent[2]["tool_calls"]]
        assert ids[0] == "D681PevKs"
        assert all(len(id_) == 9 and id_.isalnum() for id_ in ids)
        assert [message["tool_call_id"] for message in sent[3:5]] == ids

    serve(test, call_ids="nine_alphanumerics")
