"""Settings of Hume's EVI, and the first message that follows from them.  Pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat
from gateway.providers.contracts import ProviderSettings
from gateway.providers.kit.engine_history import transcript
from gateway.providers.speech_to_speech import Opening


class Settings(ProviderSettings):
    """`s2s = { provider = "hume_evi", ... }`."""

    api_key: SecretStr
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.hume.ai/v0"
    config_id: str = ""
    """A configuration at the vendor: voice, language model, turn detection, timeouts."""
    config_version: Annotated[int, Field(ge=0)] | None = None
    voice: str = ""
    """A voice id; replaces that of the configuration."""
    language_model_key: SecretStr = SecretStr("")
    """Of the language model's vendor, instead of Hume's own account."""
    variables: dict[str, str | float | bool] = Field(default_factory=dict)
    """For `{{names}}` in the prompt."""
    interim_transcripts: bool = True
    """Report the caller's words while they are said; the earliest sign of an interruption."""
    max_duration_s: Annotated[float, Field(ge=30, le=1800)] = 1800.0
    """The longest chat, as the configuration has it: the next one is opened before it."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    """To connect, and again until the chat is accepted."""
    tls_ca_file: Path | None = None
    """PEM file with the only authorities to trust; none = the system's."""


def settings_message(settings: Settings, opening: Opening, taken: AudioFormat) -> dict[str, object]:
    """Put the first message of a session together."""
    audio = {"encoding": "linear16", "sample_rate": taken.sample_rate_hz, "channels": 1}
    prompt = "\n\n".join(filter(None, (opening.instructions, transcript(opening.messages))))
    message: dict[str, object] = {
        "type": "session_settings",
        "audio": audio,
        "system_prompt": prompt,
        "custom_session_id": opening.call_id,
    }
    if opening.tools:
        message["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": json.dumps(tool.parameters),
            }
            for tool in opening.tools
        ]
    if settings.voice:
        message["voice_id"] = settings.voice
    if settings.variables:
        message["variables"] = dict(settings.variables)
    if key := settings.language_model_key.get_secret_value():
        message["language_model_api_key"] = key
    return message
