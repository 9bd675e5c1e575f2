"""One suite over every file in gateway/providers/llm: a new provider is tested by existing.

One that needs settings gets a line in `TABLES`.
"""

from __future__ import annotations

import asyncio
import pkgutil
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast, get_args

import pytest
from pydantic import ValidationError

import gateway.providers.llm
from gateway.providers import registry
from gateway.providers.contracts import (
    AssistantMessage,
    LanguageModel,
    Memo,
    Message,
    ProviderSettings,
    ReplyEvent,
    ReplyRequest,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from tests.support.llm_server import LlmServer

NAMES = [module.name for module in pkgutil.iter_modules(gateway.providers.llm.__path__)]
TABLES: dict[str, Callable[[LlmServer], dict[str, Any]]] = {
    "openai": lambda server: {"base_url": server.base_url, "model": "test"},
}
HANG_UP = ToolSpec("hang_up", "End the call.", {"type": "object", "properties": {}})

pytestmark = pytest.mark.parametrize("name", NAMES)


@asynccontextmanager
async def provider(name: str) -> AsyncIterator[LanguageModel]:
    async with LlmServer() as server:
        table = TABLES.get(name, lambda _: {})(server)
        model = registry.create("llm", {"provider": name, **table})
        try:
            yield model
        finally:
            await model.close()


def run(name: str, test: Callable[[LanguageModel], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), provider(name) as model:
            await test(model)

    asyncio.run(main())


def reply(model: LanguageModel, request: ReplyRequest) -> AsyncGenerator[ReplyEvent, None]:
    return cast("AsyncGenerator[ReplyEvent, None]", model.reply(request))


async def answer(
    model: LanguageModel, messages: Sequence[Message], memo: object = None
) -> list[ReplyEvent]:
    request = ReplyRequest("You are a receptionist.", messages, (HANG_UP,), memo)
    async with aclosing(reply(model, request)) as events:
        return [event async for event in events]


def text_of(events: list[ReplyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def memo_of(events: list[ReplyEvent]) -> object:
    return next((event.state for event in reversed(events) if isinstance(event, Memo)), None)


def test_the_module_has_what_the_registry_needs(name: str):
    module = registry.load("llm", name)
    assert isinstance(module.SUMMARY, str)
    assert module.SUMMARY
    assert isinstance(module.probe(), str)
    assert issubclass(module.Settings, ProviderSettings)


def test_settings_are_strict_and_frozen(name: str):
    settings: type[ProviderSettings] = registry.load("llm", name).Settings
    with pytest.raises(ValidationError, match="no_such_key"):
        settings.model_validate({"no_such_key": 1})
    assert settings.model_config.get("frozen")


def test_it_warms_up_and_knows_its_sentences(name: str):
    async def test(model: LanguageModel) -> None:
        await model.warm_up()
        await model.warm_up()
        assert not isinstance(model.known_texts, str)
        assert all(isinstance(text, str) and text.strip() for text in model.known_texts)

    run(name, test)


def test_it_speaks_first_and_answers(name: str):
    async def test(model: LanguageModel) -> None:
        opening = await answer(model, ())
        assert text_of(opening).strip()
        history = (AssistantMessage(text_of(opening)), UserMessage("When are you open?"))
        events = await answer(model, history, memo_of(opening))
        assert text_of(events).strip()
        assert all(isinstance(event, get_args(ReplyEvent)) for event in (*opening, *events))

    run(name, test)


def test_it_streams_in_pieces(name: str):
    async def test(model: LanguageModel) -> None:
        events = await answer(model, ())
        assert len([event for event in events if isinstance(event, TextDelta)]) > 1

    run(name, test)


def test_it_takes_a_history_with_tools_and_an_interruption(name: str):
    async def test(model: LanguageModel) -> None:
        call = ToolCall("c1", "hang_up", "{}")
        history = (
            AssistantMessage("Hello, this", interrupted=True),
            UserMessage("Goodbye."),
            AssistantMessage("", (call,)),
            ToolResult("c1", "hang_up", '{"status": "ok"}'),
        )
        events = await answer(model, history)
        assert all(isinstance(event, get_args(ReplyEvent)) for event in events)

    run(name, test)


def test_closing_in_mid_stream_is_clean_and_the_next_reply_works(name: str):
    async def test(model: LanguageModel) -> None:
        for _ in range(3):
            async with aclosing(reply(model, ReplyRequest("", ()))) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        break
        assert text_of(await answer(model, ()))

    run(name, test)


def test_being_cancelled_ends_it(name: str):
    async def test(model: LanguageModel) -> None:
        has_begun = asyncio.Event()

        async def speak() -> None:
            async with aclosing(reply(model, ReplyRequest("", ()))) as events:
                async for _ in events:
                    has_begun.set()
                    await asyncio.Event().wait()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(speak())
            await has_begun.wait()
            task.cancel()
        assert task.cancelled()

    run(name, test)


def test_calls_do_not_disturb_each_other(name: str):
    async def test(model: LanguageModel) -> None:
        alone = text_of(await answer(model, (UserMessage("Hello."),)))
        async with asyncio.TaskGroup() as group:
            messages = (UserMessage("Hello."),)
            tasks = [group.create_task(answer(model, messages)) for _ in range(4)]
        assert {text_of(task.result()) for task in tasks} == {alone}

    run(name, test)


def test_close_is_idempotent(name: str):
    async def test(model: LanguageModel) -> None:
        await answer(model, ())
        await model.close()
        await model.close()

    run(name, test)
