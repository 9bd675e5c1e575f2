"""Settings of Deepgram's Voice Agent, and the messages that follow from them.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from gateway.audio.format import AudioFormat
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ProviderSettings,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from gateway.providers.kit.engine_history import words_of_assistant, words_of_user
from gateway.providers.speech_to_speech import Eagerness, Opening

WIDE = AudioFormat(24_000)
"""What is spoken where the line's rate is none of the vendor's."""
_OUTPUT_RATES_HZ = frozenset({8_000, 16_000, 24_000, 32_000, 48_000})
_ENCODINGS = {"s16": "linear16", "pcmu": "mulaw", "pcma": "alaw"}
_END_OF_TURN: dict[Eagerness, dict[str, float]] = {
    "low": {"eot_threshold": 0.85, "eot_timeout_ms": 8000},
    "medium": {"eot_threshold": 0.7, "eot_timeout_ms": 5000},
    "high": {"eot_threshold": 0.55, "eot_timeout_ms": 2500},
}
"""Medium is the vendor's default."""
_OWN_TURNS = {"eot_threshold": 1.0, "eot_timeout_ms": 30_000}
"""Its own detection switched off ("Bring your own turn detection" in its documentation)."""


class Settings(ProviderSettings):
    """`s2s = { provider = "deepgram_agent", ... }`."""

    api_key: SecretStr
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://agent.deepgram.com/v1"
    """`ws://` only to this host or a private network."""
    listen_model: Annotated[str, Field(min_length=1)] = "flux-general-en"
    """`flux-general-en`, `flux-general-multi` (they detect turns by what is said) or a Nova."""
    keyterms: tuple[str, ...] = ()
    """Names and words that callers say and a recognizer does not expect."""
    eot_threshold: Annotated[float, Field(ge=0.5, le=1.0)] | None = None
    """Flux: how sure it must be that a turn is over; the vendor's default is 0.7."""
    eager_eot_threshold: Annotated[float, Field(ge=0.3, le=0.9)] | None = None
    """Flux: prepare replies from here on; faster, and more calls of the language model."""
    eot_timeout_ms: Annotated[int, Field(ge=500, le=60_000)] | None = None
    """Flux: a turn is over after this much silence in any case; the vendor's default is 5000."""
    turns: Literal["engine", "gateway"] = "engine"
    """`gateway`: its end-of-turn detection is off and the gateway's decides (Flux only)."""
    model_provider: Literal["open_ai", "anthropic", "google", "groq", "deepgram"] = "open_ai"
    """Whose language model; the vendor's account pays it unless `model_url` is set."""
    model: Annotated[str, Field(min_length=1)] = "gpt-4o-mini"
    """The language model."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    reasoning_mode: Literal["low", "medium", "high"] | None = None
    model_url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    """A language model of your own, which the vendor asks instead of its own account's."""
    model_key: SecretStr = SecretStr("")
    """Sent to `model_url` as bearer."""
    voice: Annotated[str, Field(min_length=1)] = "aura-2-thalia-en"
    """`aura-*` or `flux-*`."""
    speed: Annotated[float, Field(ge=0.5, le=1.5)] | None = None
    expressivity: Annotated[int, Field(ge=-2, le=2)] | None = None
    """Voices `flux-*`: from calm to animated."""
    tags: tuple[str, ...] = ()
    """For the vendor's usage reports."""
    mip_opt_out: bool = False
    """Keep the vendor from training with the calls."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    """To connect, and again until the settings are accepted."""
    tls_ca_file: Path | None = None
    """PEM file with the only authorities to trust; none = the system's."""

    @property
    def is_flux(self) -> bool:
        """Whether the recognizer detects turns by itself."""
        return self.listen_model.startswith("flux")

    @model_validator(mode="after")
    def _check(self) -> Settings:
        only_flux = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")
        given = [name for name in only_flux if getattr(self, name) is not None]
        if given and not self.is_flux:
            raise ValueError(f"{given[0]} needs a listen_model `flux-*`")
        if self.turns == "gateway" and not self.is_flux:
            raise ValueError('turns = "gateway" needs a listen_model `flux-*`')
        if self.turns == "gateway" and given:
            raise ValueError(f'{given[0]} has no meaning with turns = "gateway"')
        if self.expressivity is not None and not self.voice.startswith("flux"):
            raise ValueError("expressivity needs a voice `flux-*`")
        return self


def formats_for(line: AudioFormat) -> tuple[AudioFormat, AudioFormat]:
    """Return what the engine takes and what it sends for a line: the line's own if it can."""
    return line, line if line.sample_rate_hz in _OUTPUT_RATES_HZ else WIDE


def settings_message(settings: Settings, opening: Opening) -> dict[str, object]:
    """Put the first message of a session together."""
    taken, sent = (
        {"encoding": _ENCODINGS[audio.encoding], "sample_rate": audio.sample_rate_hz}
        for audio in formats_for(opening.line)
    )
    agent: dict[str, object] = {
        "listen": {"provider": listen_provider(settings, opening.language)},
        "think": think(settings, opening.instructions, opening.tools),
        "speak": {"provider": _speak_provider(settings)},
    }
    if opening.greeting:
        agent["greeting"] = opening.greeting
    if history := _history(opening.messages):
        agent["context"] = {"messages": history}
    message: dict[str, object] = {
        "type": "Settings",
        "audio": {"input": taken, "output": {**sent, "container": "none"}},
        "agent": agent,
    }
    if settings.tags:
        message["tags"] = list(settings.tags)
    if settings.mip_opt_out:
        message["mip_opt_out"] = True
    return message


def listen_provider(
    settings: Settings, language: str, eagerness: Eagerness | None = None
) -> dict[str, object]:
    """Describe the recognizer."""
    found: dict[str, object] = {
        "type": "deepgram",
        "version": "v2" if settings.is_flux else "v1",
        "model": settings.listen_model,
    }
    if settings.keyterms:
        found["keyterms"] = list(settings.keyterms)
    if not settings.is_flux:
        return {**found, "language": language}
    if settings.listen_model.endswith("-multi"):
        found["language_hints"] = [language]
    if settings.turns == "gateway":
        return {**found, **_OWN_TURNS}
    wanted = {
        "eot_threshold": settings.eot_threshold,
        "eager_eot_threshold": settings.eager_eot_threshold,
        "eot_timeout_ms": settings.eot_timeout_ms,
        **(_END_OF_TURN[eagerness] if eagerness else {}),
    }
    return {**found, **{name: value for name, value in wanted.items() if value is not None}}


def think(settings: Settings, prompt: str, tools: Sequence[ToolSpec]) -> dict[str, object]:
    """Describe the language model, its instructions and its functions."""
    provider: dict[str, object] = {"type": settings.model_provider, "model": settings.model}
    if settings.temperature is not None:
        provider["temperature"] = settings.temperature
    if settings.reasoning_mode is not None:
        provider["reasoning_mode"] = settings.reasoning_mode
    found: dict[str, object] = {"provider": provider, "prompt": prompt}
    if tools:
        found["functions"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "defer_until_eot": True,  # what a tool does to a call cannot be undone
            }
            for tool in tools
        ]
    if settings.model_url:
        key = settings.model_key.get_secret_value()
        headers = {"authorization": f"Bearer {key}"} if key else {}
        found["endpoint"] = {"url": settings.model_url, "headers": headers}
    return found


def _speak_provider(settings: Settings) -> dict[str, object]:
    found: dict[str, object] = {"type": "deepgram", "model": settings.voice}
    if settings.voice.startswith("flux"):
        found["version"] = "v2"
    if settings.speed is not None:
        found["speed"] = settings.speed
    if settings.expressivity is not None:
        found["expressivity"] = settings.expressivity
    return found


def _history(messages: Sequence[Message]) -> list[dict[str, object]]:
    results = {m.call_id: m.content for m in messages if isinstance(m, ToolResult)}
    found: list[dict[str, object]] = []
    for message in messages:
        if isinstance(message, UserMessage) and message.text.strip():
            found.append(_said("user", words_of_user(message)))
        elif isinstance(message, AssistantMessage):
            if message.text.strip():
                found.append(_said("assistant", words_of_assistant(message)))
            calls = [
                {
                    "id": call.id,
                    "name": call.name,
                    "client_side": True,
                    "arguments": call.arguments,
                    "response": results[call.id],
                }
                for call in message.tool_calls
                if call.id in results
            ]
            if calls:
                found.append({"type": "History", "function_calls": calls})
    return found


def _said(role: str, content: str) -> dict[str, object]:
    return {"type": "History", "role": role, "content": content}
