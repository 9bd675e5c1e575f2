"""OpenAI Realtime (GA): an engine that hears and speaks by itself, over a WebSocket.

Source: OpenAI's realtime reference and the types of its Python SDK (`openai.types.realtime`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from gateway.providers.kit.advice import Advice, missing_key, unknown_voice
from gateway.providers.s2s._openai_dialect import (
    PLACES,
    Dialect,
    WholeSettings,
    turn_cautions,
)
from gateway.providers.s2s._openai_session import RealtimeEngine
from gateway.providers.speech_to_speech import SpeechToSpeech

SUMMARY = "OpenAI Realtime, or a server that speaks its dialect (base_url)."
VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse",
)  # fmt: skip
"""In OpenAI's realtime reference; `voice` may also be the id of one of your own."""
DIALECT = Dialect(
    "openai_realtime",
    call_header="X-Client-Request-Id",
    may_be_warm=True,
    places={
        **PLACES,
        "noise_reduction": ("audio", "input", "noise_reduction"),
        "reasoning": ("reasoning",),
        "truncation": ("truncation",),
    },
)


class Settings(WholeSettings):
    """`s2s = { provider = "openai_realtime", ... }`."""

    model: Annotated[str, Field(min_length=1)] = "gpt-realtime-2.1"
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.openai.com/v1"
    """`wss://`; `ws://` only to this host or a private network."""
    voice: str = "marin"
    transcription_model: str = "gpt-transcribe"
    """Writes down what the caller says; empty = nothing is written down."""
    noise_reduction: Literal["", "near_field", "far_field"] = ""
    """Before its turn detection and the model: for a handset, or for a speakerphone."""
    reasoning_effort: Literal["", "minimal", "low", "medium", "high", "xhigh"] = ""
    """Of models that reason."""
    truncation: Literal["", "auto", "disabled"] = ""
    """What happens when the conversation is longer than the model's context."""

    def wishes(self) -> dict[str, object]:
        """Return what only OpenAI has."""
        wanted = super().wishes()
        if self.noise_reduction:
            wanted["noise_reduction"] = {"type": self.noise_reduction}
        if self.reasoning_effort:
            wanted["reasoning"] = {"effort": self.reasoning_effort}
        if self.truncation:
            wanted["truncation"] = self.truncation
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
