"""Adjuster: an agent with other settings, for one call; engines come from the pool, warmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gateway.config.engine_table import EngineTable
from gateway.conversation.agent import Agent
from gateway.errors import CommandError, ProviderTimeout
from gateway.process.engine_pool import Closable, EnginePool, key_of
from gateway.providers import registry
from gateway.setup.adjusted import adjusted

_WARM_WITHIN_S = 8.0
"""An engine that is not ready by then is not used: a command has a limit of its own."""


class _Engine(Closable, Protocol):
    async def warm_up(self) -> None: ...


E = TypeVar("E", bound=_Engine)


class Adjuster:
    """Satisfies `Adjust`."""

    def __init__(self, folder: Path, pool: EnginePool) -> None:
        """Prepare.

        Args:
            folder: of the configuration.
            pool: where engines come from.
        """
        self._folder = folder
        self._pool = pool

    async def __call__(
        self, agent: Agent, wanted: Mapping[str, Any], keep: AsyncExitStack
    ) -> Agent:
        """Return the agent as it is to be from now on; see `Adjust`."""
        config = adjusted(agent.config, wanted, self._folder)
        before, found = agent.config, agent
        async with AsyncExitStack() as taken:
            stt, llm, tts, s2s = config.stt, config.llm, config.tts, config.s2s
            if key_of("stt", stt) != key_of("stt", before.stt):
                recognizer = await self._engine(
                    "stt", stt, lambda: registry.create("stt", stt), taken
                )
                found = replace(found, recognizer=recognizer)
            if key_of("llm", llm) != key_of("llm", before.llm):
                model = await self._engine("llm", llm, lambda: registry.create("llm", llm), taken)
                found = replace(found, llm=model)
            voice_key = key_of("tts", tts)
            is_other_voice = voice_key != key_of("tts", before.tts)
            if is_other_voice or config.language != before.language:
                voice = await self._engine("tts", tts, lambda: registry.create("tts", tts), taken)
                shared = self._pool.voice(voice_key, voice, config.language)
                found = replace(found, voice=shared)
            if s2s is not None and agent.speech is not None and _differs(s2s, before.s2s):
                speech = await self._engine("s2s", s2s, lambda: registry.create("s2s", s2s), taken)
                if speech.turns != agent.speech.turns:
                    text = "s2s: what ends the caller's turns cannot be changed in a call"
                    raise CommandError(422, text)
                found = replace(found, speech=speech)
            await keep.enter_async_context(taken.pop_all())
        return replace(found, config=config)

    async def _engine(
        self, kind: registry.Kind, table: EngineTable, make: Callable[[], E], taken: AsyncExitStack
    ) -> E:
        """Return the engine of a table, ready to be used.  Raises ProviderError."""
        key = key_of(kind, table)
        engine = self._pool.take(key, make)
        taken.push_async_callback(self._pool.give_back, key)
        limit = asyncio.timeout(_WARM_WITHIN_S)
        try:
            async with limit:
                await engine.warm_up()
        except TimeoutError as error:
            if not limit.expired():
                raise
            problem = f"is not ready within {_WARM_WITHIN_S:g} s"
            raise ProviderTimeout(table.provider, problem) from error
        return engine


def _differs(table: EngineTable, before: EngineTable | None) -> bool:
    return before is None or key_of("", table) != key_of("", before)
