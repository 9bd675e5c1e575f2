"""xAI's Grok Voice: OpenAI's realtime events with a session object of its own.

Source: docs.x.ai (Voice Agent API), read through third-party clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from gateway.providers.kit.advice import Advice, missing_key, unknown_voice
from gateway.providers.s2s._openai_dialect import (
    PLACES,
    Dialect,
    RealtimeSettings,
    turn_cautions,
)
from gateway.providers.s2s._openai_session import RealtimeEngine
from gateway.providers.speech_to_speech import SpeechToSpeech

SUMMARY = "xAI's Grok Voice: OpenAI's realtime dialect with a session object of its own."
VOICES = ("Ara", "Eve", "Leo", "Rex", "Sal")
"""In the vendor's documentation of its Voice Agent API."""
_SAME = ("instructions", "tools", "input_format", "output_format", "transcription", "speed")
DIALECT = Dialect(
    "xai_realtime",
    pcm_rates_hz=(8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 24_000),
    places={
        **{name: PLACES[name] for name in _SAME},
        "voice": ("voice",),
        "turn_detection": ("turn_detection",),
        "reasoning": ("reasoning",),
        "pronunciations": ("replace",),
    },
    session_type="",
    language_key="language_hint",
    keywords_key="keyterms",
    ignored=frozenset({"ping"}),
)


class Settings(RealtimeSettings):
    """`s2s = { provider = "xai_realtime", ... }`."""

    model: Annotated[str, Field(min_length=1)] = "grok-voice-latest"
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.x.ai/v1"
    """`wss://`; `ws://` only to this host or a private network."""
    speed: Annotated[float, Field(ge=0.7, le=1.5)] | None = None
    """Of its speech; 1.0 is normal."""
    transcription_model: str = "grok-transcribe"
    """Writes down what the caller says; empty = nothing is written down."""
    turn_detection: Literal["server_vad", "none"] = "server_vad"
    """The engine's end of turn, by silence; `none` = the gateway ends turns."""
    reasoning_effort: Literal["", "none", "high"] = ""
    """Of models that reason."""
    pronunciations: dict[str, str] = Field(default_factory=dict)
    """How words are spoken: what is written on the left is said as on the right."""

    def wishes(self) -> dict[str, object]:
        """Return what only xAI has."""
        wanted: dict[str, object] = {}
        if self.reasoning_effort:
            wanted["reasoning"] = {"effort": self.reasoning_effort}
        if self.pronunciations:
            wanted["pronunciations"] = self.pronunciations
        return wanted


def create(settings: Settings) -> SpeechToSpeech:
    """Make the engine; nothing is connected yet."""
    return RealtimeEngine(DIALECT, settings)


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    yield from unknown_voice(settings.voice, VOICES)
    yield from turn_cautions(settings)


def probe() -> str:
    """Return nothing: what it needs is installed with the gateway."""
    return ""
