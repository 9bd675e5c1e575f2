"""Every provider behind a network, and the double of its vendor: one line for each.

What holds for all of them is tested once, over this table (`test_doubles.py`, `test_bad_input.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from gateway.providers.registry import Kind


@dataclass(frozen=True)
class Doubled:
    """A provider and its double."""

    kind: Kind
    name: str
    """Of the provider."""
    place: str
    """Module in `tests.support` and class: the SDKs that judge doubles take seconds to import."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those without which it cannot be made or does not lead here, besides the double's."""

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}-{self.place.partition(':')[2]}"

    @property
    def double(self) -> Callable[..., Any]:
        """Make a double."""
        module, _, name = self.place.partition(":")
        found: Callable[..., Any] = getattr(import_module(f"tests.support.{module}"), name)
        return found

    def table(self, double: Any, **more: object) -> dict[str, Any]:
        """Return the table of the configuration that leads to a double which is running."""
        own = double.settings() if hasattr(double, "settings") else {"base_url": double.base_url}
        return {**own, **self.settings, "provider": self.name, **more}

    @asynccontextmanager
    async def running(self, double: Any) -> AsyncIterator[Any]:
        """Serve with it while the block lasts."""
        async with double.running() if hasattr(double, "running") else double:
            yield double


KEY = "sk-secret+key/1"
"""That of all doubles but those of language models' own protocols."""
_NATIVE = {"model": "test", "api_key": "sk-secret"}
_GEMINI = {"model": "gemini-2.5-flash-native-audio-latest"}
DOUBLES = [
    Doubled("stt", "cartesia", "ink_double:InkDouble"),
    Doubled("stt", "deepgram", "deepgram_listen_double:DeepgramListenDouble"),
    Doubled("stt", "deepgram", "deepgram_listen_double:DeepgramListenDouble", {"model": "nova-3"}),
    Doubled("stt", "elevenlabs", "scribe_double:ScribeDouble"),
    Doubled("stt", "google", "google_stt_double:GoogleSttDouble"),
    Doubled("stt", "inworld", "inworld_stt_double:InworldSttDouble"),
    Doubled("stt", "kyutai", "kyutai_stt_double:KyutaiSttDouble"),
    Doubled("stt", "openai", "transcription_double:TranscriptionDouble"),
    Doubled("stt", "openai_http", "whisper_double:WhisperDouble"),
    Doubled("llm", "openai", "llm_server:LlmServer", {"model": "test", "api_key": KEY}),
    Doubled(
        "llm",
        "anthropic",
        "anthropic_double:AnthropicServer",
        _NATIVE,
    ),
    Doubled(
        "llm",
        "gemini",
        "gemini_model_double:GeminiModelServer",
        _NATIVE,
    ),
    Doubled(
        "llm",
        "openai_responses",
        "responses_double:ResponsesServer",
        _NATIVE,
    ),
    Doubled("tts", "cartesia", "cartesia_voice:CartesiaVoice"),
    Doubled("tts", "deepgram", "deepgram_voice:AuraVoice"),
    Doubled("tts", "deepgram", "deepgram_voice:FluxVoice"),
    Doubled("tts", "elevenlabs", "elevenlabs_voice:ElevenLabsVoice"),
    Doubled("tts", "google", "google_voice:GoogleVoice"),
    Doubled("tts", "hume", "hume_voice:HumeVoice"),
    Doubled("tts", "inworld", "inworld_voice:InworldVoice"),
    Doubled("tts", "kyutai", "kyutai_voice:KyutaiVoice"),
    Doubled("tts", "openai", "speech_server:SpeechServer", {"api_key": KEY}),
    Doubled("s2s", "deepgram_agent", "deepgram_double:DeepgramDouble"),
    Doubled("s2s", "elevenlabs_agent", "elevenlabs_double:ElevenLabsDouble"),
    Doubled(
        "s2s",
        "gemini_live",
        "gemini_double:GeminiDouble",
        _GEMINI,
    ),
    Doubled("s2s", "hume_evi", "hume_double:HumeDouble"),
    Doubled("s2s", "inworld_realtime", "dialect_doubles:InworldDouble"),
    Doubled("s2s", "moshi", "moshi_double:MoshiDouble"),
    Doubled("s2s", "openai_live", "live_double:LiveDouble"),
    Doubled("s2s", "openai_realtime", "openai_double:OpenAiDouble"),
    Doubled("s2s", "xai_realtime", "dialect_doubles:XaiDouble"),
]
