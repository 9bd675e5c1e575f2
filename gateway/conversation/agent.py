"""Agent: the engines and tools behind one `[agents.NAME]` table, shared by its calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.audio.voice_chunk import VoiceDetector
from gateway.config.models import AgentConfig
from gateway.conversation.tools import ToolBox
from gateway.conversation.voice import Voice
from gateway.languages import language
from gateway.languages.questions import Questions
from gateway.providers.contracts import LanguageModel, SpeechToText
from gateway.providers.speech_to_speech import SpeechToSpeech


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

    @property
    def questions(self) -> Questions:
        """How a question is asked in its language."""
        return language(self.config.language).questions


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
