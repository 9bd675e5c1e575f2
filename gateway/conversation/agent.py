"""Agent: the engines and tools behind one `[agents.NAME]` table, shared by its calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.audio.voice_chunk import VoiceDetector
from gateway.config.models import AgentConfig
from gateway.conversation.tools import ToolBox
from gateway.conversation.voice import Voice
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
