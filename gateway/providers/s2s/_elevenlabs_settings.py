"""Settings of ElevenLabs Agents, and the first message that follows from them.  Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat
from gateway.providers.contracts import ProviderSettings
from gateway.providers.speech_to_speech import Opening

FORMATS = {
    "ulaw_8000": AudioFormat(8_000, encoding="pcmu"),
    **{f"pcm_{hz}": AudioFormat(hz) for hz in (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)},
}
"""Names of the vendor's (`AsrInputFormat`, `TtsOutputFormat` of its SDK)."""
Override = Literal["instructions", "greeting", "language", "voice"]


class Settings(ProviderSettings):
    """`s2s = { provider = "elevenlabs_agent", ... }`."""

    agent_id: Annotated[str, Field(min_length=1)]
    """Of an agent at the vendor, whose client tools have the names of this agent's tools."""
    api_key: SecretStr = SecretStr("")
    """Empty for a public agent; otherwise a signed address is asked for with it for each call."""
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.elevenlabs.io/v1"
    """Other regions: `wss://api.us.elevenlabs.io/v1`, `wss://api.eu.residency.elevenlabs.io/v1`."""
    overrides: tuple[Override, ...] = ("instructions", "greeting", "language")
    """What of this agent's configuration replaces the vendor's; each must be allowed there."""
    voice: str = ""
    """A voice id; needs `voice` in `overrides`."""
    speed: Annotated[float, Field(ge=0.7, le=1.2)] | None = None
    stability: Annotated[float, Field(ge=0, le=1)] | None = None
    similarity_boost: Annotated[float, Field(ge=0, le=1)] | None = None
    language_model: str = ""
    """Overrides the agent's, with its instructions."""
    dynamic_variables: dict[str, str | float | bool] = Field(default_factory=dict)
    """For `{{names}}` in the agent's configuration."""
    environment: str = ""
    """At the vendor; empty = `production`."""
    max_duration_s: Annotated[int, Field(ge=30)] | None = None
    """The longest conversation, as set at the vendor: the next session is opened before it."""
    expected_audio: str = ""
    """Refuse the agent if it is not set to this format at the vendor, such as `ulaw_8000`."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    """To connect, and again until the conversation is accepted."""
    tls_ca_file: Path | None = None
    """PEM file with the only authorities to trust; none = the system's."""


def opening_message(settings: Settings, opening: Opening) -> dict[str, object]:
    """Put the first message of a session together."""
    agent: dict[str, object] = {}
    prompt: dict[str, object] = {}
    if "instructions" in settings.overrides:
        prompt["prompt"] = opening.instructions
    if settings.language_model:
        prompt["llm"] = settings.language_model
    if prompt:
        agent["prompt"] = prompt
    if "greeting" in settings.overrides:
        agent["first_message"] = opening.greeting  # empty = it waits for the caller
    if "language" in settings.overrides:
        agent["language"] = opening.language
    voice = {
        "voice_id": settings.voice if "voice" in settings.overrides else "",
        "speed": settings.speed,
        "stability": settings.stability,
        "similarity_boost": settings.similarity_boost,
    }
    spoken = {name: value for name, value in voice.items() if value not in {None, ""}}
    override: dict[str, object] = {"agent": agent} if agent else {}
    if spoken:
        override["tts"] = spoken
    return {
        "type": "conversation_initiation_client_data",
        "conversation_config_override": override,
        "dynamic_variables": dict(settings.dynamic_variables),
        "user_id": opening.call_id,
    }
