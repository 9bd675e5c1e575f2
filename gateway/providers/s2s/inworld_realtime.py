"""Inworld Realtime: OpenAI's dialect with a choice of language models and Inworld's voices.

Source: docs.inworld.ai (WebSocket, realtime models, provider data).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.s2s._openai_dialect import (
    PLACES,
    Dialect,
    WholeSettings,
    turn_cautions,
)
from gateway.providers.s2s._openai_session import RealtimeEngine
from gateway.providers.speech_to_speech import SpeechToSpeech

SUMMARY = "Inworld Realtime: OpenAI's realtime dialect with Inworld's models and voices."
DIALECT = Dialect(
    "inworld_realtime",
    path="/session",
    authorization="Basic",
    model_query="",
    call_query="key",
    query=(("protocol", "realtime"),),
    may_be_warm=True,
    pcm_rates_hz=(8000, 16_000, 32_000, 44_100, 48_000, 24_000),
    places={
        **PLACES,
        "model": ("model",),
        "temperature": ("temperature",),
        "tts_model": ("audio", "output", "model"),
        "provider_data": ("providerData",),
    },
    partial_is_whole=True,
    text_starts_speech=True,
    ignored=frozenset({
        "ping",
        "response.backchannel.audio.delta",
        "response.backchannel.audio.done",
        "response.backchannel.skipped",
    }),
)  # fmt: skip


class Settings(WholeSettings):
    """`s2s = { provider = "inworld_realtime", ... }`."""

    model: Annotated[str, Field(min_length=1)] = "inworld/auto"
    """`provider/model`, or a router."""
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = (
        "wss://api.inworld.ai/api/v1/realtime"
    )
    """`wss://`; `ws://` only to this host or a private network."""
    tts_model: str = ""
    """Model of the voice; empty = the engine's own."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    provider_data: dict[str, Any] = Field(default_factory=dict)
    """Inworld's `providerData`: recognition, voice, memory, responsiveness.  Its back-channel
    sounds are not played."""

    def wishes(self) -> dict[str, object]:
        """Return what only Inworld has."""
        wanted = {
            "tts_model": self.tts_model,
            "temperature": self.temperature,
            "provider_data": self.provider_data,
        }
        wanted = {name: value for name, value in wanted.items() if value not in ("", None, {})}
        return {**super().wishes(), **wanted}


def create(settings: Settings) -> SpeechToSpeech:
    """Make the engine; nothing is connected yet."""
    return RealtimeEngine(DIALECT, settings)


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant; voices are the account's own."""
    yield from turn_cautions(settings)


def probe() -> str:
    """Return nothing: what it needs is installed with the gateway."""
    return ""
