"""Settings of a session: what `session.update` may change, merged sparsely and checked whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.realtime.protocol.errors import ProtocolError, fault_of

PcmRate = Literal[24000, 8000, 16000, 32000, 44100, 48000]
MOST_TOOLS = 128


class Settings(BaseModel):
    """Anything a client sets: clients lag and lead the protocol, so unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Pcm(Settings):
    """Signed 16-bit little-endian mono."""

    type: Literal["audio/pcm"]
    rate: PcmRate = 24000


class G711(Settings):
    """One byte per sample, 8 kHz."""

    type: Literal["audio/pcmu", "audio/pcma"]


AudioType = Annotated[Pcm | G711, Field(discriminator="type")]


class ServerVad(Settings):
    """A turn ends by silence alone."""

    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0, le=10_000)] = 300
    silence_duration_ms: Annotated[int, Field(ge=0, le=30_000)] = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Annotated[int, Field(ge=1000, le=3_600_000)] | None = None


class SemanticVad(Settings):
    """A turn ends by what was said, as in telephone calls."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class Transcription(Settings):
    """Whether the client is told what was understood.  `model` is the agent's, whatever it says."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None


class NoiseReduction(Settings):
    """Accepted; the gateway's voice detection has its own way with noise."""

    type: Literal["near_field", "far_field"]


class AudioInput(Settings):
    """What the client sends."""

    format: AudioType = Pcm(type="audio/pcm")
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = SemanticVad(type="semantic_vad")


def _named(voice: object) -> object:
    return voice.get("id") if isinstance(voice, Mapping) else voice


class AudioOutput(Settings):
    """What the client receives."""

    format: AudioType = Pcm(type="audio/pcm")
    voice: Annotated[str, BeforeValidator(_named), Field(max_length=128)] = ""
    speed: Annotated[float, Field(ge=0.25, le=1.5)] = 1.0


class Audio(Settings):
    """Both directions."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class FunctionTool(Settings):
    """A function that the client runs."""

    type: Literal["function"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str = ""
    parameters: dict[str, Any] = {}


class McpTool(Settings):
    """A server of tools."""

    type: Literal["mcp"]
    server_label: str = ""


Tool = Annotated[FunctionTool | McpTool, Field(discriminator="type")]


class NamedFunction(Settings):
    """The one tool that is to be called."""

    type: Literal["function"]
    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedFunction
MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]
Modalities = Annotated[list[Literal["audio", "text"]], Field(min_length=1, max_length=2)]


class SessionSettings(Settings):
    """One session as it is set now."""

    type: Literal["realtime", "transcription"] = "realtime"
    output_modalities: Modalities = ["audio"]
    instructions: Annotated[str, Field(max_length=200_000)] = ""
    audio: Audio = Audio()
    tools: Annotated[list[Tool], Field(max_length=MOST_TOOLS)] = []
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxTokens = "inf"
    parallel_tool_calls: bool = True
    truncation: Any = "auto"
    tracing: Any = None
    prompt: Any = None
    include: Any = None

    @property
    def speaks(self) -> bool:
        """False when answers are written only."""
        return "audio" in self.output_modalities

    @property
    def functions(self) -> list[FunctionTool]:
        """The functions that the client runs."""
        return [tool for tool in self.tools if isinstance(tool, FunctionTool)]


_WHOLE = frozenset({"format", "tools", "output_modalities", "tool_choice"})
"""Replaced, not merged."""


def updated(settings: SessionSettings, changes: Mapping[str, Any]) -> SessionSettings:
    """Return the settings after a `session.update`.

    Fields that are not named stay; null clears where the protocol has a meaning for it, and is
    ignored elsewhere.

    Raises:
        ProtocolError: a value is not valid; nothing has changed.
    """
    changes = {key: value for key, value in changes.items() if key != "model"}
    kind = changes.get("type")
    if kind is not None and kind != settings.type:
        text = f"Passing a {kind!r} session update to a {settings.type!r} session is not allowed."
        raise ProtocolError(text, "invalid_value", "session.type")
    merged = _merged(settings.model_dump(), changes)
    try:
        fresh = SessionSettings.model_validate(merged)
    except ValidationError as error:
        raise fault_of(error, "session") from error
    _refuse_what_is_missing(fresh)
    return fresh


def _refuse_what_is_missing(settings: SessionSettings) -> None:
    names = [tool.name for tool in settings.functions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ProtocolError(f"Two tools have the name '{twice}'.", "invalid_value", "session.tools")
    if len(names) < len(settings.tools):
        text = "MCP tools are not available in this version: run the server's tools as functions."
        raise ProtocolError(text, "unsupported_tool_type", "session.tools")


_NULLABLE = frozenset({
    "turn_detection", "noise_reduction", "transcription", "tracing", "prompt", "include",
    "idle_timeout_ms",
})  # fmt: skip


def _merged(known: Any, changes: Any) -> dict[str, Any]:  # noqa: ANN401 - both are mappings
    merged = dict(known)
    for key, value in changes.items():
        before = merged.get(key)
        if value is None and key not in _NULLABLE:
            continue
        if _goes_on(key, before, value):
            merged[key] = _merged(before, value)
        else:
            merged[key] = dict(value) if isinstance(value, Mapping) else value
    return merged


def _goes_on(key: str, before: object, value: object) -> bool:
    """Return whether a value is merged with the one before: it is of the same kind."""
    if key in _WHOLE or not isinstance(before, Mapping) or not isinstance(value, Mapping):
        return False
    return "type" not in value or before.get("type") == value["type"]


def wire(settings: SessionSettings) -> dict[str, Any]:
    """Return the settings as `session.created` and `session.updated` have them."""
    told = settings.model_dump(mode="json")
    if settings.type == "transcription":
        audio_input = told["audio"]["input"]
        return {"type": "transcription", "audio": {"input": audio_input},
                "include": told["include"]}  # fmt: skip
    return told
