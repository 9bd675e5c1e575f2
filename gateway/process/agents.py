"""Builds agents from their configuration and warms them before the first caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import structlog

from gateway.config.models import AgentConfig
from gateway.conversation.actions import builtin_tools
from gateway.conversation.agent import Agent
from gateway.conversation.silence_budget import filler_texts
from gateway.conversation.tools import ToolBox, load_tool
from gateway.conversation.voice import Voice, render_what_can_be
from gateway.errors import ProviderUnavailable
from gateway.providers import registry
from gateway.providers.contracts import LanguageModel, SpeechToText, TextToSpeech

log = structlog.get_logger(__name__)

E = TypeVar("E")


class Agents:
    """Every agent of a worker; engines with the same settings are shared."""

    def __init__(self, configs: Mapping[str, AgentConfig], folder: Path) -> None:
        """Build all.

        Args:
            configs: `[agents]`.
            folder: what tool paths are relative to.

        Raises:
            GatewayError: a provider or tool cannot be built.
        """
        self._recognizers: dict[str, SpeechToText] = {}
        self._brains: dict[str, LanguageModel] = {}
        self._synthesizers: dict[str, TextToSpeech] = {}
        self._voices: dict[str, Voice] = {}
        self.by_name = {name: self._build(name, config, folder) for name, config in configs.items()}

    async def warm_up(self) -> None:
        """Load every model and render what will surely be said.

        A language model that does not answer yet is only logged: it may come up later, and the
        caller hears the fallback until then.

        Raises:
            ProviderError: a recognizer or synthesizer does not work.
        """
        for recognizer in self._recognizers.values():
            await recognizer.warm_up()
        for synthesizer in self._synthesizers.values():
            await synthesizer.warm_up()
        for brain in self._brains.values():
            try:
                await brain.warm_up()
            except ProviderUnavailable as error:
                log.warning("language_model_not_reachable", problem=str(error))
        for agent in self.by_name.values():
            await agent.voice.render_ahead(_fixed_texts(agent.config))
            await render_what_can_be(agent.voice, agent.brain.known_texts)

    async def close(self) -> None:
        """Give every engine back."""
        for agent in self.by_name.values():
            agent.tools.close()
        for recognizer in self._recognizers.values():
            await recognizer.close()
        for brain in self._brains.values():
            await brain.close()
        for synthesizer in self._synthesizers.values():
            await synthesizer.close()

    def _build(self, name: str, config: AgentConfig, folder: Path) -> Agent:
        tools = [load_tool(reference, folder) for reference in config.tools]
        builtins = builtin_tools(config.builtin_tools, config.transfer_targets)
        synthesizer = _shared(
            self._synthesizers, config.tts, lambda table: registry.create("tts", table)
        )
        return Agent(
            name=name,
            config=config,
            recognizer=_shared(
                self._recognizers, config.stt, lambda table: registry.create("stt", table)
            ),
            brain=_shared(self._brains, config.llm, lambda table: registry.create("llm", table)),
            voice=_shared(self._voices, config.tts, lambda _: Voice(synthesizer)),
            tools=ToolBox(tools, builtins, timeout_s=config.tool_timeout_s),
        )


def _shared(
    known: dict[str, E], table: Mapping[str, Any], make: Callable[[Mapping[str, Any]], E]
) -> E:
    """Give the engine of a settings table, made on first use."""
    key = repr(sorted(table.items()))
    if key not in known:
        known[key] = make(table)
    return known[key]


def _fixed_texts(config: AgentConfig) -> list[str]:
    texts = (config.greeting, config.fallback, config.give_up, config.transfer_failed)
    silence = (*config.silence.reprompts, config.silence.goodbye)
    return [text for text in (*texts, *silence, *filler_texts(config.filler)) if text]
