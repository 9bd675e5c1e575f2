"""What clients send: one model for each event, and the reading of a frame."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.realtime.protocol.errors import ProtocolError, fault_of, shown
from gateway.realtime.protocol.settings import MaxTokens, Modalities, Tool, ToolChoice

MOST_METADATA = 16
_ID = Annotated[str, Field(min_length=1, max_length=128)]


class ClientEvent(BaseModel):
    """Anything a client sends; fields of later versions are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: Annotated[str, Field(max_length=512)] | None = None


class SessionUpdate(ClientEvent):
    """Change settings."""

    type: Literal["session.update"]
    session: dict[str, Any]


class AudioAppend(ClientEvent):
    """Audio of the caller, base64."""

    type: Literal["input_audio_buffer.append"]
    audio: str


class AudioCommit(ClientEvent):
    """The turn is over."""

    type: Literal["input_audio_buffer.commit"]


class AudioClear(ClientEvent):
    """The turn is none."""

    type: Literal["input_audio_buffer.clear"]


class OutputClear(ClientEvent):
    """Stop playing; only where the server plays (WebRTC, SIP)."""

    type: Literal["output_audio_buffer.clear"]


class ItemCreate(ClientEvent):
    """Add to the conversation."""

    type: Literal["conversation.item.create"]
    item: dict[str, Any]
    previous_item_id: str | None = None


class ItemRetrieve(ClientEvent):
    """Ask for an item as the server has it."""

    type: Literal["conversation.item.retrieve"]
    item_id: _ID


class ItemDelete(ClientEvent):
    """Remove from the conversation."""

    type: Literal["conversation.item.delete"]
    item_id: _ID


class ItemTruncate(ClientEvent):
    """Tell how much of a spoken item was played."""

    type: Literal["conversation.item.truncate"]
    item_id: _ID
    content_index: int = 0
    audio_end_ms: Annotated[int, Field(ge=0)]


class ResponseOutput(BaseModel):
    """`response.audio.output`; other fields are as in the session."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: dict[str, Any] | None = None
    voice: Any = None


class ResponseAudio(BaseModel):
    """`response.audio`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    output: ResponseOutput | None = None


class ResponseParams(BaseModel):
    """What one response has of its own; None = as in the session."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    instructions: str | None = None
    output_modalities: Modalities | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: Annotated[dict[str, str], Field(max_length=MOST_METADATA)] | None = None
    conversation: Literal["auto", "none"] = "auto"
    input: list[dict[str, Any]] | None = None
    audio: ResponseAudio | None = None


class ResponseCreate(ClientEvent):
    """Ask for an answer."""

    type: Literal["response.create"]
    response: ResponseParams | None = None


class ResponseCancel(ClientEvent):
    """Break an answer off."""

    type: Literal["response.cancel"]
    response_id: str | None = None


AnyClientEvent = (
    SessionUpdate | AudioAppend | AudioCommit | AudioClear | OutputClear | ItemCreate
    | ItemRetrieve | ItemDelete | ItemTruncate | ResponseCreate | ResponseCancel
)  # fmt: skip
_READ: TypeAdapter[AnyClientEvent] = TypeAdapter(
    Annotated[AnyClientEvent, Field(discriminator="type")]
)
_TYPES = tuple(
    str(one.model_fields["type"].annotation.__args__[0]) for one in AnyClientEvent.__args__
)


def read_frame(frame: str | bytes) -> dict[str, Any]:
    """Return the JSON object of a frame.

    Raises:
        ProtocolError: it is none.
    """
    try:
        found = json.loads(frame)
    except (ValueError, RecursionError) as error:
        text = "The frame is not valid JSON: send one JSON object per text frame."
        raise ProtocolError(text, "invalid_json") from error
    if not isinstance(found, dict):
        raise ProtocolError(f"Expected a JSON object, got {shown(found)}.", "invalid_type")
    return found


def read_event(found: dict[str, Any]) -> AnyClientEvent:
    """Return the event that a JSON object is.

    Raises:
        ProtocolError: it is none; with the id of the event where it has one.
    """
    named = found.get("event_id")
    event_id = named if isinstance(named, str) else None
    kind = found.get("type")
    if not isinstance(kind, str):
        raise ProtocolError(
            "Missing required parameter: 'type'.", "missing_required_parameter", "type",
            event_id=event_id,
        )  # fmt: skip
    if kind not in _TYPES:
        text = f"Invalid value: {shown(kind)}. Supported values are: {', '.join(_TYPES)}."
        raise ProtocolError(text, "invalid_value", "type", event_id=event_id)
    try:
        return _READ.validate_python(found)
    except ValidationError as error:
        fault = fault_of(error)
        fault.param = (fault.param or "").removeprefix(f"{kind}.") or None
        fault.message = fault.message.replace(f"'{kind}.", "'")
        fault.event_id = event_id
        raise fault from error
