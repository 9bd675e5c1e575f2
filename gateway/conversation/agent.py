"""Agent: the engines and tools behind one `[agents.NAME]` table, shared by its calls."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.models import AgentConfig
from gateway.conversation.tools import ToolBox
from gateway.conversation.voice import Voice
from gateway.providers.contracts import LanguageModel, SpeechToText


@dataclass(frozen=True, slots=True)
class Agent:
    """One bot, ready to talk."""

    name: str
    config: AgentConfig
    recognizer: SpeechToText
    brain: LanguageModel
    voice: Voice
    tools: ToolBox
