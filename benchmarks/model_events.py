"""`python -m benchmarks.model_events`: processor time for one event of a language model's stream.

The same 2,000 events, one for each chunk of the network, read by the gateway and by the vendor's
own client.  No network: a transport in memory.  Needs the development packages.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import anthropic
import httpx2
import openai
from google import genai

from gateway.providers import registry
from gateway.providers.contracts import ReplyRequest, TextDelta, UserMessage
from tests.support.anthropic_double import AnthropicServer
from tests.support.gemini_model_double import GeminiModelServer
from tests.support.llm_server import Answer, LlmServer
from tests.support.responses_double import ResponsesServer

EVENTS = 2000
ANSWER = Answer(text="word " * EVENTS)
BODY: dict[str, Any] = {
    "model": "test",
    "input": [{"role": "user", "content": "x"}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
    "contents": [{"role": "user", "parts": [{"text": "x"}]}],
}
DOUBLES = {
    "openai": LlmServer,
    "openai_responses": ResponsesServer,
    "anthropic": AnthropicServer,
    "gemini": GeminiModelServer,
}


class Pieces(httpx2.AsyncByteStream):
    """A body that comes in these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def client_of(pieces: list[bytes]) -> httpx2.AsyncClient:
    def answer(_: httpx2.Request) -> httpx2.Response:
        kind = {"Content-Type": "text/event-stream"}
        return httpx2.Response(200, headers=kind, stream=Pieces(pieces))

    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer))


async def by_gateway(name: str, pieces: list[bytes]) -> int:
    table = {"provider": name, "model": "test", "api_key": "k", "base_url": "http://h/v1"}
    model: Any = registry.create("llm", table)
    await model._client.aclose()  # noqa: SLF001
    model._client = client_of(pieces)  # noqa: SLF001
    request = ReplyRequest("", (UserMessage("x"),))
    async with aclosing(model.reply(request)) as events:
        texts = [event async for event in events if isinstance(event, TextDelta)]
    await model.close()
    return len(texts)


async def by_sdk(name: str, pieces: list[bytes]) -> int:
    http = client_of(pieces)
    match name:
        case "anthropic":
            claude = anthropic.AsyncAnthropic(api_key="k", http_client=http)
            stream: Any = await claude.messages.create(**BODY_OF["anthropic"], stream=True)
        case "gemini":
            options = genai.types.HttpOptions(httpx_async_client=http)
            google = genai.Client(api_key="k", http_options=options).aio
            stream = await google.models.generate_content_stream(model="test", contents="x")
        case "openai_responses":
            client = openai.AsyncOpenAI(api_key="k", http_client=http)
            stream = await client.responses.create(model="test", input="x", stream=True)
        case _:
            client = openai.AsyncOpenAI(api_key="k", http_client=http)
            messages: Any = [{"role": "user", "content": "x"}]
            stream = await client.chat.completions.create(
                model="test", messages=messages, stream=True
            )
    count = len([event async for event in stream])
    await http.aclose()
    return count


BODY_OF = {"anthropic": {"model": "test", "max_tokens": 10,
                         "messages": [{"role": "user", "content": "x"}]}}  # fmt: skip


async def cost_us(read: Callable[[str, list[bytes]], Awaitable[int]], name: str) -> float:
    server = DOUBLES[name]()
    pieces = [server.encoded(event) for event in server.events_of(BODY, ANSWER)]
    await read(name, pieces)
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        assert await read(name, pieces) >= EVENTS
        best = min(best, time.process_time() - began)
    return best / len(pieces) * 1e6


async def main() -> None:
    found = {}
    for name in DOUBLES:
        found[name] = {
            "gateway_us": round(await cost_us(by_gateway, name), 1),
            "sdk_us": round(await cost_us(by_sdk, name), 1),
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
