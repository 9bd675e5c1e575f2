"""Every provider behind a network, and the double of its vendor: one line for each.

What holds for all of them is tested once, over this table (`test_doubles.py`, `test_bad_input.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.providers.registry import Kind
from tests.support.anthropic_double import AnthropicServer
from tests.support.cartesia_voice import CartesiaVoice
from tests.support.deepgram_double import DeepgramDouble
from tests.support.deepgram_listen_double import DeepgramListenDouble
from tests.support.deepgram_voice import AuraVoice, FluxVoice
from tests.support.dialect_doubles import InworldDouble, XaiDouble
from tests.support.elevenlabs_double import ElevenLabsDouble
from tests.support.elevenlabs_voice import ElevenLabsVoice
from tests.support.gemini_double import MODEL, GeminiDouble
from tests.support.gemini_model_double import GeminiModelServer
from tests.support.hume_double import HumeDouble
from tests.support.ink_double import InkDouble
from tests.support.inworld_stt_double import InworldSttDouble
from tests.support.inworld_voice import InworldVoice
from tests.support.live_double import LiveDouble
from tests.support.llm_server import LlmServer
from tests.support.moshi_double import MoshiDouble
from tests.support.native_models import KEY as MODEL_KEY
from tests.support.openai_double import OpenAiDouble
from tests.support.recognizer_double import KEY
from tests.support.responses_double import ResponsesServer
from tests.support.scribe_double import ScribeDouble
from tests.support.speech_server import SpeechServer
from tests.support.transcription_double import TranscriptionDouble
from tests.support.whisper_double import WhisperDouble


@dataclass(frozen=True)
class Doubled:
    """A provider and its double."""

    kind: Kind
    name: str
    """Of the provider."""
    double: Callable[..., Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those without which it cannot be made or does not lead here, besides the double's."""

    def __str__(self) -> str:
        made = getattr(self.double, "__name__", "")
        return f"{self.kind}-{self.name}-{made}"

    def table(self, double: Any, **more: object) -> dict[str, Any]:
        """Return the table of the configuration that leads to a double which is running."""
        own = double.settings() if hasattr(double, "settings") else {"base_url": double.base_url}
        return {**own, **self.settings, "provider": self.name, **more}

    @asynccontextmanager
    async def running(self, double: Any) -> AsyncIterator[Any]:
        """Serve with it while the block lasts."""
        async with double.running() if hasattr(double, "running") else double:
            yield double


DOUBLES = [
    Doubled("stt", "cartesia", InkDouble),
    Doubled("stt", "deepgram", DeepgramListenDouble),
    Doubled("stt", "deepgram", DeepgramListenDouble, {"model": "nova-3"}),
    Doubled("stt", "elevenlabs", ScribeDouble),
    Doubled("stt", "inworld", InworldSttDouble),
    Doubled("stt", "openai", TranscriptionDouble),
    Doubled("stt", "openai_http", WhisperDouble),
    Doubled("llm", "openai", LlmServer, {"model": "test", "api_key": KEY}),
    Doubled("llm", "anthropic", AnthropicServer, {"model": "test", "api_key": MODEL_KEY}),
    Doubled("llm", "gemini", GeminiModelServer, {"model": "test", "api_key": MODEL_KEY}),
    Doubled("llm", "openai_responses", ResponsesServer, {"model": "test", "api_key": MODEL_KEY}),
    Doubled("tts", "cartesia", CartesiaVoice),
    Doubled("tts", "deepgram", AuraVoice),
    Doubled("tts", "deepgram", FluxVoice),
    Doubled("tts", "elevenlabs", ElevenLabsVoice),
    Doubled("tts", "inworld", InworldVoice),
    Doubled("tts", "openai", SpeechServer, {"api_key": KEY}),
    Doubled("s2s", "deepgram_agent", DeepgramDouble),
    Doubled("s2s", "elevenlabs_agent", ElevenLabsDouble),
    Doubled("s2s", "gemini_live", GeminiDouble, {"model": MODEL}),
    Doubled("s2s", "hume_evi", HumeDouble),
    Doubled("s2s", "inworld_realtime", InworldDouble),
    Doubled("s2s", "moshi", MoshiDouble),
    Doubled("s2s", "openai_live", LiveDouble),
    Doubled("s2s", "openai_realtime", OpenAiDouble),
    Doubled("s2s", "xai_realtime", XaiDouble),
]
