"""What a router brings and costs: `python -m benchmarks.routing [--requests N]`.

Language models are doubles on this machine: 300 ms to the first token, then 30 ms for each.  Each
call makes ten requests with the history of a call; first tokens are timed where the conversation
would get them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from gateway.config.models import EnginePrices, RouterConfig
from gateway.conversation.tokens import tokens_asked, tokens_in
from gateway.providers import registry
from gateway.providers.contracts import (
    AssistantMessage,
    LanguageModel,
    Message,
    ReplyEvent,
    ReplyRequest,
    TextDelta,
    UserMessage,
    Wasted,
)
from gateway.routed.health import Health
from gateway.routed.llm import RoutedModel
from gateway.routed.route import Route, Router
from tests.support.gateway_process import free_port
from tests.support.llm_server import Answer, LlmServer

_TURNS = 10
_AT_ONCE = 4
_TEXT = "We open at nine in the morning, and we close at six."
_STALL_MS = 4000.0


@dataclass
class Measured:
    """What came of the requests."""

    first_ms: list[list[float]] = field(default_factory=list)
    """Of each turn of each call."""
    tokens: int = 0
    wasted: int = 0

    def percentile(self, share: float) -> float:
        """Return the time to the first token, ms, that a share of the requests (%) is within."""
        return float(np.percentile([each for call in self.first_ms for each in call], share))


def answer(first_token_ms: float = 300.0) -> Answer:
    return Answer(text=_TEXT, first_token_ms=first_token_ms, token_ms=30)


def answers(count: int, stalls: float, seed: int) -> list[Answer]:
    """Return what a model does: some of its answers stall."""
    rng = random.Random(seed)  # no secret
    return [answer(_STALL_MS if rng.random() < stalls else 300.0) for _ in range(count)]


def router_of(urls: Sequence[str], hedge_after_ms: int) -> Router[LanguageModel]:
    names = [f"model-{index}" for index in range(len(urls))]
    config = RouterConfig(try_=tuple(names), hedge_after_ms=hedge_after_ms)
    table = {"provider": "openai", "model": "double", "first_token_timeout_s": 6.0}
    engines = {
        name: registry.create("llm", {**table, "base_url": url})
        for name, url in zip(names, urls, strict=True)
    }
    prices = {name: EnginePrices() for name in names}
    return Router("bench", "llm", config, engines, prices, Health("bench", config))


async def call(router: Router[LanguageModel], measured: Measured) -> None:
    """Make the requests of one call."""
    model = RoutedModel(router, Route(router))
    messages: list[Message] = []
    first_ms: list[float] = []
    for _ in range(_TURNS):
        messages.append(UserMessage("When do you open on Monday, and when do you close?"))
        request = ReplyRequest("You are the receptionist of a cafe. " * 12, tuple(messages))
        began_s = asyncio.get_running_loop().time()
        found, text = 0.0, ""
        reply = cast("AsyncGenerator[ReplyEvent, None]", model.reply(request))
        async with aclosing(reply) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    found = found or (asyncio.get_running_loop().time() - began_s) * 1000
                    text += event.text
                elif isinstance(event, Wasted):
                    measured.wasted += event.input_tokens + event.output_tokens
        measured.tokens += tokens_asked(request) + tokens_in(text)
        first_ms.append(found)
        messages.append(AssistantMessage(text))
    measured.first_ms.append(first_ms)


async def measure(router: Router[LanguageModel], requests: int) -> Measured:
    measured = Measured()
    places = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with places:
            await call(router, measured)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, requests // _TURNS)):
                group.create_task(one())
    finally:
        for engine in router.engines.values():
            await engine.close()
    return measured


async def hedging(requests: int) -> None:
    """Compare a model that stalls in 5 % of requests, alone and with another beside it."""
    for hedge_after_ms in (0, 600):
        async with AsyncExitStack() as stack:
            servers = [
                await stack.enter_async_context(
                    LlmServer(*answers(2 * requests, 0.05, seed), default=answer())
                )
                for seed in (1, 2)
            ]
            router = router_of([server.base_url for server in servers], hedge_after_ms)
            found = await measure(router, requests)
        name = f"hedge_after_ms = {hedge_after_ms}" if hedge_after_ms else "without a hedge"
        sys.stdout.write(
            f"{name}: n {sum(map(len, found.first_ms))}, first token p50"
            f" {found.percentile(50):.0f} ms, p90 {found.percentile(90):.0f},"
            f" p99 {found.percentile(99):.0f}, max {found.percentile(100):.0f};"
            f" tokens wasted {100 * found.wasted / found.tokens:.1f} %\n"
        )


async def failover(calls: int) -> None:
    """Measure what a dead first engine costs: refused connections, and silence."""
    async with AsyncExitStack() as stack:
        well = await stack.enter_async_context(LlmServer(default=answer()))
        silent = await stack.enter_async_context(LlmServer(default=Answer(hang=True)))
        dead = f"http://127.0.0.1:{free_port()}/v1"
        cases = {
            "only the working engine": ([well.base_url], 0),
            "the first refuses connections": ([dead, well.base_url], 0),
            "the first is silent, hedge 300 ms": ([silent.base_url, well.base_url], 300),
        }
        for name, (urls, hedge_after_ms) in cases.items():
            first: list[float] = []
            later: list[float] = []
            for _ in range(calls):  # each with a router of its own: no breaker is open yet
                measured = Measured()
                router = router_of(urls, hedge_after_ms)
                await call(router, measured)
                for engine in router.engines.values():
                    await engine.close()
                first.append(measured.first_ms[0][0])
                later += measured.first_ms[0][1:]
            sys.stdout.write(
                f"{name}: first turn p50 {np.percentile(first, 50):.0f} ms, max {max(first):.0f};"
                f" later turns p50 {np.percentile(later, 50):.0f}, max {max(later):.0f}"
                f" ({calls} calls of {_TURNS} turns)\n"
            )


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=600, help="for each line of hedging")
    parser.add_argument("--calls", type=int, default=5, help="for each line of failover")
    args = parser.parse_args()
    asyncio.run(hedging(args.requests))
    asyncio.run(failover(args.calls))


if __name__ == "__main__":
    main()
