"""Items of a conversation: what a client may create, and how we show each."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.realtime.protocol.errors import ProtocolError, fault_of

Status = Literal["in_progress", "completed", "incomplete"]
Role = Literal["user", "assistant", "system"]
MOST_TEXT = 200_000


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Part(_Given):
    type: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio",
                  "text", "audio"]  # fmt: skip
    text: Annotated[str, Field(max_length=MOST_TEXT)] | None = None
    transcript: str | None = None
    audio: str | None = None


class _GivenMessage(_Given):
    type: Literal["message"]
    id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    role: Role
    content: Annotated[list[_Part], Field(min_length=1, max_length=64)]


class _GivenCall(_Given):
    type: Literal["function_call"]
    id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    name: Annotated[str, Field(min_length=1, max_length=128)]
    arguments: str = "{}"
    call_id: str | None = None


class _GivenOutput(_Given):
    type: Literal["function_call_output"]
    id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    call_id: Annotated[str, Field(min_length=1)]
    output: Annotated[str, Field(max_length=1_000_000)]


_AnyGiven = Annotated[_GivenMessage | _GivenCall | _GivenOutput, Field(discriminator="type")]
_GIVEN: TypeAdapter[_GivenMessage | _GivenCall | _GivenOutput] = TypeAdapter(_AnyGiven)
_PARTS: dict[Role, frozenset[str]] = {
    "user": frozenset({"input_text", "input_audio", "text"}),
    "assistant": frozenset({"output_text", "text"}),
    "system": frozenset({"input_text", "text"}),
}


@dataclass(slots=True, eq=False)
class Item:
    """One item as the session has it."""

    id: str
    type: Literal["message", "function_call", "function_call_output"]
    status: Status = "completed"
    role: Role = "user"
    content: list[dict[str, Any]] = field(default_factory=list)
    name: str = ""
    call_id: str = ""
    arguments: str = ""
    output: str = ""
    messages: tuple[Any, ...] = ()
    """What the call's own history has of it, opaque here; empty = it is made of the item."""
    audio_ms: int = 0
    """How much audio of it was sent."""
    words: list[tuple[int, str]] = field(default_factory=list)
    """(ms of audio before, words) of what is spoken in it."""
    pcm: bytes = b""
    """Audio that a client has put into it: s16 in the session's input format, still encoded."""

    @property
    def text(self) -> str:
        """All its words, spoken and written."""
        parts = (part.get("text") or part.get("transcript") or "" for part in self.content)
        return " ".join(filter(None, parts))

    @property
    def is_spoken_answer(self) -> bool:
        """True for what the bot has said aloud."""
        return any(part["type"] == "output_audio" for part in self.content)

    def shown(self) -> dict[str, Any]:
        """Return it as the protocol has it."""
        head = {"id": self.id, "object": "realtime.item", "type": self.type, "status": self.status}
        if self.type == "message":
            return {**head, "role": self.role, "content": [dict(part) for part in self.content]}
        if self.type == "function_call":
            return {**head, "name": self.name, "call_id": self.call_id,
                    "arguments": self.arguments}  # fmt: skip
        return {**head, "call_id": self.call_id, "output": self.output}


def read_item(given: Mapping[str, Any], new_id: str, param: str = "item") -> Item:
    """Return the item that a client creates.

    Args:
        given: as the client has sent it.
        new_id: its id unless the client has chosen one.
        param: path of it in the event, for errors.

    Raises:
        ProtocolError: it is none that a client may create.
    """
    try:
        found = _GIVEN.validate_python(given)
    except ValidationError as error:
        raise fault_of(error, param) from error
    item_id = found.id or new_id
    if isinstance(found, _GivenCall):
        call_id = found.call_id or f"call_{item_id}"
        return Item(item_id, "function_call", name=found.name, call_id=call_id,
                    arguments=found.arguments)  # fmt: skip
    if isinstance(found, _GivenOutput):
        return Item(item_id, "function_call_output", call_id=found.call_id, output=found.output)
    item = Item(item_id, "message", role=found.role)
    for number, part in enumerate(found.content):
        where = f"{param}.content[{number}]"
        if part.type not in _PARTS[found.role]:
            allowed = ", ".join(sorted(_PARTS[found.role] - {"text"}))
            text = f"Invalid value: '{part.type}'. A {found.role} message may have: {allowed}."
            raise ProtocolError(text, "invalid_value", f"{where}.type")
        item.content.append(_content(part, found.role, where, item))
    return item


def _content(part: _Part, role: Role, where: str, item: Item) -> dict[str, Any]:
    if part.type == "input_audio":
        if not part.audio:
            raise ProtocolError(
                f"Missing required parameter: '{where}.audio'.", "missing_required_parameter",
                f"{where}.audio",
            )  # fmt: skip
        item.pcm += decoded(part.audio, f"{where}.audio")
        return {"type": "input_audio", "transcript": part.transcript}
    if part.text is None:
        raise ProtocolError(
            f"Missing required parameter: '{where}.text'.", "missing_required_parameter",
            f"{where}.text",
        )  # fmt: skip
    return {"type": "output_text" if role == "assistant" else "input_text", "text": part.text}


def decoded(audio: str, param: str) -> bytes:
    """Return the bytes of a base64 text.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError) as error:
        text = f"Invalid '{param}': expected base64-encoded audio bytes."
        raise ProtocolError(text, "invalid_value", param) from error
