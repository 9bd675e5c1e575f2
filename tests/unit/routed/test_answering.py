"""Replies of language models behind a router, on virtual engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.config.models import EnginePrices, RouterConfig
from gateway.errors import (
    ContextExceeded,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    RateLimited,
)
from gateway.providers.contracts import (
    AskedAgain,
    Billed,
    Memo,
    ReplyEvent,
    ReplyRequest,
    TextDelta,
    Thinking,
    ToolCall,
    UserMessage,
    Wasted,
)
from gateway.routed.health import Health
from gateway.routed.llm import RoutedModel
from gateway.routed.route import Route, Router
from tests.support.virtual_time import run as run_virtual

REQUEST = ReplyRequest("Be short.", (UserMessage("When do you open on Monday?"),))
BROKEN = ProviderUnavailable("x", "the connection was lost")


@dataclass
class Model:
    """Does what its script says: texts, events, errors; a number waits for seconds."""

    script: Sequence[Any]
    known_texts: Sequence[str] = ()
    counts_tokens: bool = True
    waits_for_tools: bool = False
    requests: list[ReplyRequest] = field(default_factory=list)
    closed: int = 0

    async def warm_up(self) -> None: ...

    async def close(self) -> None: ...

    async def reply(self, request: ReplyRequest) -> AsyncIterator[ReplyEvent]:
        self.requests.append(request)
        try:
            for step in self.script:
                if isinstance(step, ProviderError):
                    raise step
                if isinstance(step, int | float):
                    await asyncio.sleep(step)
                else:
                    yield TextDelta(step) if isinstance(step, str) else step
        finally:
            self.closed += 1


def router_of(models: dict[str, Model], **config: Any) -> Router[Any]:
    settings = RouterConfig(try_=tuple(models), **config)
    prices = {name: EnginePrices() for name in models}
    return Router("r", "llm", settings, models, prices, Health("r", settings))


async def events_of(model: RoutedModel, request: ReplyRequest = REQUEST) -> list[ReplyEvent]:
    reply: AsyncGenerator[ReplyEvent, None] = model.reply(request)  # type: ignore[assignment]
    async with aclosing(reply) as events:
        return [event async for event in events]


def run(models: dict[str, Model], **config: Any) -> list[ReplyEvent]:
    async def scenario() -> list[ReplyEvent]:
        router = router_of(models, **config)
        return await events_of(RoutedModel(router, Route(router)))

    found: list[ReplyEvent] = run_virtual(scenario())
    return found


def text_of(events: Sequence[ReplyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    "script",
    [
        [BROKEN],
        [Thinking(), BROKEN],
        [ProviderRejected("x", "wrong key")],
        [],
        [AskedAgain(), 0.5, "Too late."],
        [0.2, RateLimited("x", "429")],
    ],
)
def test_before_the_first_word_the_next_one_answers(script: list[Any]) -> None:
    models = {"a": Model(script), "b": Model(["At ", "nine."])}
    events = run(models)
    assert text_of(events) == "At nine."
    assert models["b"].requests == [models["b"].requests[0]]
    assert models["b"].requests[0].messages == REQUEST.messages
    assert models["a"].closed == models["b"].closed == 1


def test_without_another_one_the_error_is_raised_and_its_own_second_try_counts() -> None:
    with pytest.raises(ProviderUnavailable):
        run({"a": Model([BROKEN])})
    assert text_of(run({"a": Model([AskedAgain(), "At nine."])})) == "At nine."


def test_an_option_that_the_server_does_not_take_is_no_failure() -> None:
    models = {"a": Model([AskedAgain(has_failed=False), "At nine."]), "b": Model(["No."])}
    assert text_of(run(models)) == "At nine."


def test_a_history_that_is_too_long_is_no_fault_of_the_engine() -> None:
    models = {"a": Model([ContextExceeded("x", "too long")]), "b": Model(["No."])}
    with pytest.raises(ContextExceeded):
        run(models)
    assert not models["b"].requests


def test_behind_its_first_words_another_one_goes_on_without_repeating() -> None:
    call = ToolCall("1", "book", "{}")
    models = {
        "a": Model(["We open ", "at ", "ni", call, BROKEN]),
        "b": Model(["We open at nine", " on Monday."]),
    }
    events = run(models)
    assert text_of(events) == "We open at nine on Monday."
    assert not any(isinstance(event, ToolCall) for event in events)
    said, wish = models["b"].requests[0].messages[-2:]
    assert said.text == "We open at"
    assert isinstance(wish, UserMessage)


def test_a_script_cannot_go_on_with_what_a_model_has_begun() -> None:
    models = {"a": Model(["We open ", "at ", BROKEN]), "b": Model(["No."], counts_tokens=False)}
    with pytest.raises(ProviderUnavailable):
        run(models)
    assert not models["b"].requests


def test_the_first_to_speak_wins_and_the_other_is_cancelled() -> None:
    models = {"a": Model([5, "Late."]), "b": Model([0.3, "At nine."])}

    async def scenario() -> tuple[list[ReplyEvent], float]:
        router = router_of(models, hedge_after_ms=600)
        model = RoutedModel(router, Route(router))
        loop = asyncio.get_running_loop()
        began = loop.time()
        events = await events_of(model)
        took = loop.time() - began
        again = await events_of(model)  # the call does not wait for it again
        assert text_of(again) == "At nine."
        assert loop.time() - began - took < 0.4
        return events, took

    events, took_s = run_virtual(scenario())
    assert text_of(events) == "At nine."
    assert 0.89 < took_s < 0.95
    assert len(models["a"].requests) == models["a"].closed == 1
    (wasted,) = (event for event in events if isinstance(event, Wasted))
    assert wasted.input_tokens > 0


def test_a_first_one_that_speaks_after_all_wins_too() -> None:
    models = {"a": Model([0.7, "At nine."]), "b": Model([5, "No."])}
    events = run(models, hedge_after_ms=600)
    assert text_of(events) == "At nine."
    assert models["b"].closed == 1
    assert len([event for event in events if isinstance(event, Billed)]) == 1
    assert len([event for event in events if isinstance(event, Wasted)]) == 1


def test_each_engine_gets_its_own_memory_back() -> None:
    models = {"a": Model(["One.", Memo("of a")]), "b": Model(["Two.", Memo("of b")])}

    async def scenario() -> None:
        router = router_of(models)
        model = RoutedModel(router, Route(router))
        first = await events_of(model)
        memo = next(event.state for event in first if isinstance(event, Memo))
        models["a"].script = [BROKEN]
        second = await events_of(model, ReplyRequest("", REQUEST.messages, memo=memo))
        memo = next(event.state for event in second if isinstance(event, Memo))
        assert [each.memo for each in models["a"].requests] == [None, "of a"]
        assert [each.memo for each in models["b"].requests] == [None]
        await events_of(model, ReplyRequest("", REQUEST.messages, memo=memo))
        assert models["b"].requests[-1].memo == "of b"

    run_virtual(scenario())


def test_an_engine_that_keeps_failing_is_left_alone_until_it_is_probed() -> None:
    models = {"a": Model([BROKEN]), "b": Model(["At nine."])}

    async def scenario() -> None:
        router = router_of(models)
        for _ in range(6):  # calls, each with a memory of its own
            assert text_of(await events_of(RoutedModel(router, Route(router)))) == "At nine."
        assert len(models["a"].requests) == 3
        await asyncio.sleep(31)
        models["a"].script = ["Back."]
        assert text_of(await events_of(RoutedModel(router, Route(router)))) == "Back."
        assert text_of(await events_of(RoutedModel(router, Route(router)))) == "Back."

    run_virtual(scenario())


def test_a_reply_that_is_closed_leaves_no_task_and_no_open_request() -> None:
    models = {"a": Model([5, "Late."]), "b": Model(["At ", 5, "nine."])}

    async def scenario() -> None:
        router = router_of(models, hedge_after_ms=100)
        reply: AsyncGenerator[ReplyEvent, None]
        reply = RoutedModel(router, Route(router)).reply(REQUEST)  # type: ignore[assignment]
        async for event in reply:
            if isinstance(event, TextDelta):
                break
        await reply.aclose()
        assert models["a"].closed == models["b"].closed == 1
        assert len(asyncio.all_tasks()) == 1

    run_virtual(scenario())


class OurBugError(Exception):
    pass


def test_a_bug_in_a_provider_is_no_failure_of_an_engine() -> None:
    class Buggy(Model):
        async def reply(self, request: ReplyRequest) -> AsyncIterator[ReplyEvent]:
            raise OurBugError
            yield Thinking()

    with pytest.raises(OurBugError):
        run({"a": Buggy([]), "b": Model(["No."])})
