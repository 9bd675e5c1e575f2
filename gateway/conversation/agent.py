"""Agent: the engines and tools behind one `[agents.NAME]` table, shared by its calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from gateway.audio.voice_chunk import VoiceDetector
from gateway.call.live_call import LiveCall
from gateway.config.models import AgentConfig
from gateway.conversation.silence_budget import filler_texts
from gateway.conversation.tools import ToolBox
from gateway.conversation.voice import Voice
from gateway.languages import language
from gateway.languages.questions import Questions
from gateway.providers.contracts import LanguageModel, SpeechToText
from gateway.providers.speech_to_speech import SpeechToSpeech

E = TypeVar("E")


class Adjust(Protocol):
    """Makes an agent with other settings."""

    async def __call__(
        self, agent: Agent, wanted: Mapping[str, Any], keep: AsyncExitStack
    ) -> Agent:
        """Return the agent as it is to be from now on.

        Args:
            agent: as it is.
            wanted: a part of an `[agents.NAME]` table; what it does not name stays.
            keep: holds engines that are made for it until they are not used any more.

        Raises:
            CommandError: a key or value is wrong, or cannot be changed: nothing is.
            ProviderError: an engine refuses the settings, or cannot be reached.
        """


@dataclass(frozen=True, slots=True)
class Agent:
    """One bot, ready to talk."""

    name: str
    config: AgentConfig
    recognizer: SpeechToText
    llm: LanguageModel
    voice: Voice
    tools: ToolBox
    make_detector: Callable[[], VoiceDetector]
    """Makes the voice detector of one call."""
    speech: SpeechToSpeech | None = None
    """Understands and answers instead of recognizer and language model, its fallback."""
    adjust: Adjust | None = None
    """Changes its settings in one call; None = they are fixed."""

    languages: Mapping[str, Agent] = field(default_factory=dict)
    """The same in each language that it may go on in, its own included (BCP 47)."""

    def in_language(self, tag: str) -> Agent:
        """Return this agent in a language; itself where it is not to go on in it."""
        found = self.languages.get(tag)
        return self if found is None else replace(found, languages=self.languages)

    @property
    def questions(self) -> Questions:
        """How a question is asked in its language."""
        return language(self.config.language).questions


def fixed_texts(config: AgentConfig) -> list[str]:
    """Return what the configuration says besides the greeting: it is rendered ahead."""
    texts = (config.fallback, config.give_up, config.transfer_failed)
    silence = (*config.silence.reprompts, config.silence.goodbye)
    return [text for text in (*texts, *silence, *filler_texts(config.filler)) if text]


def of_call(agent: Agent, call: LiveCall) -> Agent:
    """Return the agent with the engines that serve one call, where they are chosen for it.

    Such an engine has `of_call(call, config)`, which returns the engine for the call.
    """
    config = agent.config
    return replace(
        agent,
        recognizer=_chosen(agent.recognizer, call, config),
        llm=_chosen(agent.llm, call, config),
        voice=agent.voice.chosen(lambda engine: _chosen(engine, call, config)),
        speech=None if agent.speech is None else _chosen(agent.speech, call, config),
        languages={tag: of_call(other, call) for tag, other in agent.languages.items()},
    )


def _chosen(engine: E, call: LiveCall, config: AgentConfig) -> E:
    choose: Callable[[LiveCall, AgentConfig], E] | None = getattr(engine, "of_call", None)
    return engine if choose is None else choose(call, config)


def adapted(agent: Agent) -> AgentConfig:
    """Return the agent's settings as its engine needs them."""
    config, speech = agent.config, agent.speech
    if speech is not None or not getattr(agent.recognizer, "hears_turns", False):
        turn = config.turn.model_copy(update={"by": "gateway"})
        config = config.model_copy(update={"turn": turn})
    if speech is not None and speech.turns == "none":  # both sides speak whenever they want
        barge_in = config.turn.barge_in.model_copy(update={"interruptible": False})
        turn = config.turn.model_copy(update={"barge_in": barge_in})
        config = config.model_copy(update={"turn": turn})
    if speech is not None and config.s2s is not None and config.s2s.filler == "engine":
        filler = config.filler.model_copy(update={"after_ms": 0})
        config = config.model_copy(update={"filler": filler})
    return config
