"""Cartesia's Sonic on 127.0.0.1, by the types of the vendor's SDK 4.2, written out here strictly.

The SDK is not a dependency: these models have its fields, and forbid others.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from gateway.audio.format import AudioFormat
from tests.support.vendor_double import KEY
from tests.support.voice_double import REFUSALS, Key, Part, VoiceDouble


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class OutputFormat(_Strict):
    container: Literal["raw"]
    encoding: Literal["pcm_f32le", "pcm_s16le", "pcm_mulaw", "pcm_alaw"]
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000]


class Voice(_Strict):
    mode: Literal["id"]
    id: str


class GenerationConfig(_Strict):
    speed: Annotated[float, Field(ge=0.6, le=1.5)] | None = None
    volume: Annotated[float, Field(ge=0.5, le=2.0)] | None = None
    emotion: str | None = None


class GenerationRequest(_Strict):
    context_id: str
    model_id: str
    transcript: str
    voice: Voice
    output_format: OutputFormat
    add_timestamps: bool = False
    add_phoneme_timestamps: bool = False
    continue_: Annotated[bool, Field(alias="continue")] = False
    flush: bool = False
    generation_config: GenerationConfig | None = None
    language: str | None = None
    max_buffer_delay_ms: Annotated[int, Field(ge=0, le=5000)] = 3000
    pronunciation_dict_id: str | None = None
    use_normalized_timestamps: bool | None = None


class Cancel(_Strict):
    context_id: str
    cancel: Literal[True]


class WordTimestamps(_Strict):
    words: list[str]
    start: list[float]
    end: list[float]


class Chunk(_Strict):
    type: Literal["chunk"]
    context_id: str
    data: str
    done: bool
    status_code: int
    step_time: float
    flush_id: int | None = None


class Timestamps(_Strict):
    type: Literal["timestamps"]
    context_id: str
    done: bool
    status_code: int
    flush_id: int | None = None
    word_timestamps: WordTimestamps | None = None


class Done(_Strict):
    type: Literal["done"]
    context_id: str
    done: Literal[True]
    status_code: int


class Error(_Strict):
    type: Literal["error"]
    done: bool
    context_id: str | None = None
    doc_url: str | None = None
    error_code: str | None = None
    message: str | None = None
    request_id: str | None = None
    status_code: int | None = None
    title: str | None = None


RECEIVED: TypeAdapter[GenerationRequest | Cancel] = TypeAdapter(GenerationRequest | Cancel)
ENCODINGS: dict[str, Any] = {"pcm_mulaw": "pcmu", "pcm_alaw": "pcma", "pcm_s16le": "s16"}
_WORDS_BEHIND = 2
"""Timestamps come with every second chunk, behind the sound."""


class CartesiaVoice(VoiceDouble):
    NAME: ClassVar[str] = "cartesia"
    MINIMUM: ClassVar[Mapping[str, Any]] = {"voice": "anna", "api_key": KEY}

    def __init__(self) -> None:
        super().__init__()
        self._requests: dict[tuple[int, str], GenerationRequest] = {}
        self._words: dict[Key, list[tuple[int, str]]] = {}

    def knows(self, request: Request) -> bool:
        if not request.headers.get("Cartesia-Version"):
            self.problems.append("no version")
        return (
            request.path == "/tts/websocket"
            and request.headers.get("Authorization") == f"Bearer {KEY}"
        )

    async def read(self, connection: ServerConnection, frame: str | bytes) -> None:
        event = RECEIVED.validate_json(frame)
        key = id(connection), event.context_id
        if isinstance(event, Cancel):
            if not self.stop(connection, event.context_id) and key not in self._requests:
                raise ValueError("cancels what was never said")  # what is over may be, by a hair
            return
        first = self._requests.setdefault(key, event)
        same = {"transcript", "continue_", "flush"}
        if first.model_dump(exclude=same) != event.model_dump(exclude=same):
            raise ValueError("settings change within a context")
        self.form = AudioFormat(
            event.output_format.sample_rate, encoding=ENCODINGS[event.output_format.encoding]
        )
        is_whole = not event.continue_
        if key in self._texts_of:
            self.go_on(connection, event.context_id, event.transcript, is_whole=is_whole)
        else:
            self.begin(connection, event.context_id, event.transcript, is_whole=is_whole)

    def chunk(self, part: Part) -> list[str | bytes]:
        waiting = self._words.setdefault(part.key, [])
        waiting += part.words
        coded = base64.b64encode(part.audio).decode()
        found: list[BaseModel] = [
            Chunk(
                type="chunk",
                context_id=part.key[1],
                data=coded,
                done=False,
                status_code=206,
                step_time=3.1,
            )
        ]
        if part.at_ms // 200 % _WORDS_BEHIND and waiting:
            found.append(self._timestamps(part.key))
        return [each.model_dump_json(exclude_none=True) for each in found]

    def over(self, key: Key) -> list[str | bytes]:
        found: list[BaseModel] = [self._timestamps(key)] if self._words.get(key) else []
        found.append(Done(type="done", context_id=key[1], done=True, status_code=200))
        self._words.pop(key, None)
        return [each.model_dump_json(exclude_none=True) for each in found]

    def refusal(self, context: str) -> list[str | bytes]:
        status, code, words = REFUSALS[self.trouble]
        error = Error(
            type="error", done=True, context_id=context, error_code=code, message=words,
            status_code=int(status), title="Refused",
        )  # fmt: skip
        return [error.model_dump_json(exclude_none=True)]

    def _timestamps(self, key: Key) -> Timestamps:
        words = self._words.pop(key)
        found = WordTimestamps(
            words=[word.strip(".,;?!") for _, word in words],
            start=[at_ms / 1000 for at_ms, _ in words],
            end=[(at_ms + 50 * len(word)) / 1000 for at_ms, word in words],
        )
        return Timestamps(
            type="timestamps", context_id=key[1], done=False, status_code=206,
            word_timestamps=found,
        )  # fmt: skip
