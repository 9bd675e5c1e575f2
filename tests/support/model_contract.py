"""What a conversation relies on in every language model; a provider's tests inherit it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast, get_args

from gateway.providers.contracts import (
    AssistantMessage,
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
from tests.support.provider_contract import ProviderContract, Subject

HANG_UP = ToolSpec("hang_up", "End the call.", {"type": "object", "properties": {}})


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


class ModelContract(ProviderContract):
    """The tests; the model, or the double of its vendor, answers whatever it is asked."""

    def test_it_warms_up_and_knows_its_sentences(self, provider: Subject):
        async def test(model: LanguageModel) -> None:
            await model.warm_up()
            await model.warm_up()
            assert not isinstance(model.known_texts, str)
            assert all(isinstance(text, str) and text.strip() for text in model.known_texts)

        provider.using(test)

    def test_it_speaks_first_and_answers(self, provider: Subject):
        async def test(model: LanguageModel) -> None:
            opening = await answer(model, ())
            assert text_of(opening).strip()
            history = (AssistantMessage(text_of(opening)), UserMessage("When are you open?"))
            events = await answer(model, history, memo_of(opening))
            assert text_of(events).strip()
            assert all(isinstance(event, get_args(ReplyEvent)) for event in (*opening, *events))

        provider.using(test)

    def test_it_streams_in_pieces(self, provider: Subject):
        async def test(model: LanguageModel) -> None:
            events = await answer(model, ())
            assert len([event for event in events if isinstance(event, TextDelta)]) > 1

        provider.using(test)

    def test_it_takes_a_history_with_tools_and_an_interruption(self, provider: Subject):
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

        provider.using(test)

    def test_closing_in_mid_stream_is_clean_and_the_next_reply_works(self, provider: Subject):
        async def test(model: LanguageModel) -> None:
            for _ in range(3):
                async with aclosing(reply(model, ReplyRequest("", ()))) as events:
                    async for event in events:
                        if isinstance(event, TextDelta):
                            break
            assert text_of(await answer(model, ()))

        provider.using(test)

    def test_being_cancelled_ends_it(self, provider: Subject):
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

        provider.using(test)

    def test_calls_do_not_disturb_each_other(self, provider: Subject):
        async def test(model: LanguageModel) -> None:
            alone = text_of(await answer(model, (UserMessage("Hello."),)))
            async with asyncio.TaskGroup() as group:
                messages = (UserMessage("Hello."),)
                tasks = [group.create_task(answer(model, messages)) for _ in range(4)]
            assert {text_of(task.result()) for task in tasks} == {alone}

        provider.using(test)
