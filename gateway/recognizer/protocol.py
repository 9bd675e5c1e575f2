"""The protocol of workers and recognizer: length-prefixed frames, checked on both sides.

A frame is its length (4 bytes, big-endian), the length of a JSON head (2 bytes), the head, and PCM.
No I/O here.
"""

from __future__ import annotations

import struct
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.recognizer.grammar import GrammarName

MAX_SEGMENT_S = 60
MAX_PCM_BYTES = MAX_SEGMENT_S * 16_000 * 2
"""Of mono s16le at 16000 Hz."""
MAX_HEAD_BYTES = 0xFFFF
MAX_FRAME_BYTES = MAX_PCM_BYTES + MAX_HEAD_BYTES + 2
_LENGTH = struct.Struct("!I")
_HEAD_LENGTH = struct.Struct("!H")

Number = Annotated[int, Field(ge=0, lt=1 << 53)]
Choice = Annotated[str, Field(min_length=1, max_length=100)]


class ProtocolViolation(Exception):  # noqa: N818 - the fault is the peer's
    """The other side sent what no peer of this version sends: drop the connection."""


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Decode(_Head):
    """Recognize a segment.  Its PCM (mono s16le) follows; requests carry all that is needed."""

    op: Literal["decode"] = "decode"
    id: Number
    stream: Number
    """Which caller turn it belongs to, unique in the connection."""
    rate_hz: Annotated[int, Field(ge=8000, le=16_000)] = 8000
    """Of the PCM."""
    final: bool
    """False = a partial: it may be replaced by a newer one, and is refused while finals wait."""
    choices: Annotated[tuple[Choice, ...], Field(max_length=40, strict=False)] = ()
    grammar: GrammarName | None = None
    """What the caller is expected to dictate."""


class Cancel(_Head):
    """This stream is over: forget all of it, answer none of its requests."""

    op: Literal["cancel"] = "cancel"
    stream: Number


class GoesOn(_Head):
    """Reports that the caller speaks on: the stream's latest final is no longer awaited."""

    op: Literal["goes_on"] = "goes_on"
    stream: Number


class Decoded(_Head):
    """Answer to `Decode`."""

    op: Literal["decoded"] = "decoded"
    id: Number
    text: str
    log_prob: float | None
    choice: str | None
    decode_ms: float


class EndOfTurnScore(_Head):
    """Whether the sound of a final `Decode` ends the turn; before or after `Decoded`, or never.

    The text does not wait for it: a reply may be prepared meanwhile.
    """

    op: Literal["end_of_turn"] = "end_of_turn"
    id: Number
    end_of_turn: Annotated[float, Field(ge=0, le=1)]
    """Probability that the turn is over where the audio ends."""


class Refused(_Head):
    """A `Decode` that will not be answered: replaced by a newer one, or too many are waiting."""

    op: Literal["refused"] = "refused"
    id: Number
    reason: Literal["replaced", "busy", "failed"]


Message = Decode | Cancel | GoesOn | Decoded | EndOfTurnScore | Refused
_MESSAGES: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="op")])


def encode(message: Message, pcm: bytes = b"") -> bytes:
    """Write one frame."""
    head = message.model_dump_json().encode()
    if len(head) > MAX_HEAD_BYTES or len(pcm) > MAX_PCM_BYTES:
        raise ValueError(f"frame too large: head {len(head)}, pcm {len(pcm)} bytes")
    length = _HEAD_LENGTH.size + len(head) + len(pcm)
    return b"".join((_LENGTH.pack(length), _HEAD_LENGTH.pack(len(head)), head, pcm))


class FrameReader:
    """Bytes of any chunking to messages."""

    def __init__(self) -> None:
        self._line = bytearray()

    def receive(self, chunk: bytes) -> list[tuple[Message, bytes]]:
        """Accept bytes and return the messages that are whole now, each with its PCM.

        Raises:
            ProtocolViolation: a length beyond the limits, no JSON, an unknown or wrong field.
        """
        self._line += chunk
        messages = []
        while (frame := self._take_frame()) is not None:
            messages.append(_parse(frame))
        return messages

    def _take_frame(self) -> bytes | None:
        line = self._line
        if len(line) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(line)
        if not _HEAD_LENGTH.size <= length <= MAX_FRAME_BYTES:
            raise ProtocolViolation(f"frame of {length} bytes")
        end = _LENGTH.size + length
        if len(line) < end:
            return None
        frame = bytes(line[_LENGTH.size : end])
        del line[:end]
        return frame


def _parse(frame: bytes) -> tuple[Message, bytes]:
    (head_length,) = _HEAD_LENGTH.unpack_from(frame)
    start = _HEAD_LENGTH.size + head_length
    pcm = frame[start:]
    if start > len(frame) or len(pcm) > MAX_PCM_BYTES or len(pcm) % 2:
        raise ProtocolViolation(f"head of {head_length} bytes in a frame of {len(frame)}")
    try:
        return _MESSAGES.validate_json(frame[_HEAD_LENGTH.size : start]), pcm
    except ValidationError as exc:
        raise ProtocolViolation(f"head: {exc.errors()[0]['msg']}") from exc
