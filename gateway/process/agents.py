"""Agents, built from their configuration and warmed before the first caller, and their service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import structlog

from gateway.config.dialplans import Dialplan
from gateway.config.engine_table import EngineTable
from gateway.config.models import AgentConfig, GatewayConfig, SpeechTable
from gateway.conversation.actions import builtin_tools
from gateway.conversation.agent import Agent, fixed_texts
from gateway.conversation.day_ledger import DayLedger
from gateway.conversation.tool_loops import ToolLoops
from gateway.conversation.tools import ToolBox, load_tool
from gateway.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from gateway.process.adjusting import Adjuster
from gateway.process.engine_pool import E, EnginePool, key_of
from gateway.providers import registry
from gateway.providers.contracts import (
    LanguageModel,
    SpeechToText,
    TextToSpeech,
    VoiceDetection,
)
from gateway.providers.kit.reach import is_remote
from gateway.providers.speech_to_speech import SpeechToSpeech
from gateway.routed.build import routed
from gateway.setup.checked_config import Setup

log = structlog.get_logger(__name__)


@contextmanager
def _may_come_later(*, is_remote: bool) -> Iterator[None]:
    """Log that an engine behind a network cannot be reached; raise any other error."""
    try:
        yield
    except (ProviderUnavailable, ProviderTimeout) as error:
        if not is_remote:
            raise
        log.warning("engine_not_reachable", problem=str(error))


class Agents:
    """Every agent of a configuration; engines with the same settings are shared."""

    def __init__(
        self, configs: Mapping[str, AgentConfig], folder: Path, pool: EnginePool | None = None
    ) -> None:
        """Build all.

        Args:
            configs: `[agents]`.
            folder: what tool paths are relative to.
            pool: where engines come from; an own one when not given.

        Raises:
            GatewayError: a provider or tool cannot be built.
        """
        self._pool = pool or EnginePool()
        self._adjuster = Adjuster(folder, self._pool)
        self._tool_loops = ToolLoops()
        self._recognizers: dict[str, SpeechToText] = {}
        self._models: dict[str, LanguageModel] = {}
        self._synthesizers: dict[str, TextToSpeech] = {}
        self._detections: dict[str, VoiceDetection] = {}
        self._speech: dict[str, SpeechToSpeech] = {}
        self._warm: dict[str, int] = {}
        """Connections to keep ready, by the key of the engine."""
        self.by_name: dict[str, Agent] = {}
        try:
            for name, config in configs.items():
                self.by_name[name] = self._build(name, config, folder)
        except BaseException:
            for key in self._keys():
                self._pool.forget(key)
            raise

    async def warm_up(self) -> None:
        """Load every model and render what the configuration says.

        An engine behind a network that does not answer yet is only logged: it may come up later,
        and the caller hears the fallback until then.

        Raises:
            ProviderError: an engine of this machine does not work, or a vendor refuses the key.
        """
        DayLedger.of_machine()  # its thread starts now, not in a call
        for detection in self._detections.values():
            await detection.warm_up()
        for synthesizer in self._synthesizers.values():
            with _may_come_later(is_remote=is_remote(synthesizer)):
                await synthesizer.warm_up()
        for recognizer in self._recognizers.values():  # some wait for a process beside this one
            with _may_come_later(is_remote=is_remote(recognizer)):
                await recognizer.warm_up()
        vendors: list[LanguageModel | SpeechToSpeech]
        vendors = [*self._models.values(), *self._speech.values()]
        for engine in vendors:
            with _may_come_later(is_remote=True):
                await engine.warm_up()
        for agent in self._in_all_languages():
            with _may_come_later(is_remote=agent.voice.is_remote):
                await agent.voice.render_ahead(_fixed_texts(agent.config))
        for key, engine in self._speech.items():
            _keep_warm(engine, self._warm.get(key, 0))

    @property
    def speech_keys(self) -> frozenset[str]:
        """Name the speech-to-speech engines."""
        return frozenset(self._speech)

    def cool_down(self, but: Agents | None = None) -> None:
        """Keep no connections ready any more: no call of theirs will begin.

        Args:
            but: agents that have taken their place; engines that these have, too, are theirs.
        """
        for key, engine in self._speech.items():
            if but is None or key not in but.speech_keys:
                _keep_warm(engine, 0)

    async def render_known_texts(self, quiet: Callable[[], Awaitable[None]]) -> None:
        """Render what the language models say of themselves that they may say.

        Calls need not wait for it: a text that is not rendered yet is spoken as any other is.

        Args:
            quiet: awaited before each text; returns once there is time for it.
        """
        for agent in self._in_all_languages():
            try:
                for text in agent.llm.known_texts:
                    await quiet()
                    await agent.voice.render_ahead([text])
            except ProviderError as error:  # each is tried again when it is needed
                log.warning("render_ahead_failed", problem=str(error))

    async def close(self) -> None:
        """Release every engine."""
        for agent in self.by_name.values():
            agent.tools.close()
        self._tool_loops.close()
        for key in self._keys():
            await self._pool.give_back(key)

    def _in_all_languages(self) -> Iterator[Agent]:
        for agent in self.by_name.values():
            yield agent
            yield from agent.languages.values()

    def _keys(self) -> tuple[str, ...]:
        return (
            *self._recognizers, *self._models, *self._synthesizers, *self._detections,
            *self._speech,
        )  # fmt: skip

    def _build(self, name: str, config: AgentConfig, folder: Path) -> Agent:
        tools = [load_tool(reference, folder) for reference in config.tools]
        builtins = builtin_tools(
            config.builtin_tools,
            config.transfer_targets,
            config.agent_targets,
            tuple(config.in_languages),
        )
        toolbox = ToolBox(tools, builtins, timeout_s=config.tool_timeout_s, loops=self._tool_loops)
        languages = {
            tag: self._with_engines(name, other, toolbox)
            for tag, other in config.in_languages.items()
        }
        return replace(self._with_engines(name, config, toolbox), languages=languages)

    def _with_engines(self, name: str, config: AgentConfig, toolbox: ToolBox) -> Agent:
        recognizer = self._engine(self._recognizers, "stt", config.stt)
        model = self._engine(self._models, "llm", config.llm)
        synthesizer = self._engine(self._synthesizers, "tts", config.tts)
        voice = self._pool.voice(key_of("tts", config.tts), synthesizer, config.language)
        detection = self._engine(self._detections, "vad", config.vad)
        speech = self._speech_engine(config.s2s)
        return Agent(
            name, config, recognizer, model, voice, toolbox, detection.open, speech,
            self._adjuster,
        )  # fmt: skip

    def _speech_engine(self, table: SpeechTable | None) -> SpeechToSpeech | None:
        if table is None:
            return None
        key = key_of("s2s", table)
        self._warm[key] = max(table.warm_sessions, self._warm.get(key, 0))
        return self._engine(self._speech, "s2s", table)

    def _engine(self, mine: dict[str, E], kind: registry.Kind, table: EngineTable) -> E:
        """Return the engine of a settings table; it is taken from the pool once."""
        key = key_of(kind, table)
        if key not in mine:
            mine[key] = self._pool.take(key, lambda: self._made(mine, kind, table))
        return mine[key]

    def _made(self, mine: dict[str, E], kind: registry.Kind, table: EngineTable) -> E:
        """Make an engine; those behind a router are engines of the pool as well."""
        if table.plan is not None and kind != "vad":
            return cast("E", routed(kind, table.plan, partial(self._engine, mine)))
        return cast("E", registry.create(kind, table))


def _keep_warm(engine: SpeechToSpeech, count: int) -> None:
    keep: Callable[[int], None] | None = getattr(engine, "keep_warm", None)
    if keep is not None:
        keep(count)


def _fixed_texts(config: AgentConfig) -> list[str]:
    greeting = "" if "{" in config.greeting else config.greeting  # it is another in each call
    return [greeting, *fixed_texts(config)] if greeting else fixed_texts(config)


class Service:
    """One configuration at work.  Calls that began with it end with it."""

    def __init__(self, setup: Setup, config: GatewayConfig, pool: EnginePool) -> None:
        """Build the agents.

        Args:
            setup: the configuration and dialplan as checked.
            config: the same as this worker sees it (ports of its assignment).
            pool: engines that another service may use too.

        Raises:
            GatewayError: a provider or tool cannot be built.
        """
        self.config = config
        self.plan: Dialplan = setup.plan
        self.agents = Agents(config.agents, setup.folder, pool)
        self._calls = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Hold it for one call."""
        self._calls += 1
        self._is_idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._is_idle.set()

    async def close_when_idle(self) -> None:
        """Release the engines once the last call that holds it is over."""
        await self._is_idle.wait()
        await self.agents.close()
