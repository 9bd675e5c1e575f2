"""Inworld's bidirectional voice on 127.0.0.1, by the fields of its documentation, strictly."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from gateway.audio.format import AudioFormat
from tests.support.vendor_double import KEY
from tests.support.voice_double import CHARACTER_MS, Key, Part, VoiceDouble, dumped


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Camel(_Strict):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class AudioConfig(_Camel):
    audio_encoding: Literal["MULAW", "ALAW", "PCM", "LINEAR16"]
    sample_rate_hertz: int
    speaking_rate: Annotated[float, Field(ge=0.5, le=1.5)] | None = None
    bit_rate: int | None = None


class Create(_Camel):
    voice_id: str
    model_id: str
    audio_config: AudioConfig
    temperature: float | None = None
    timestamp_type: Literal["WORD", "CHARACTER"] | None = None
    max_buffer_delay_ms: int | None = None
    buffer_char_threshold: int | None = None
    auto_mode: bool | None = None


class Nothing(_Strict):
    pass


class SendText(_Strict):
    text: Annotated[str, Field(max_length=1000)]
    flush_context: Nothing | None = None


class Received(_Strict):
    context_id: Annotated[str, Field(alias="contextId")]
    create: Create | None = None
    send_text: SendText | None = None
    flush_context: Nothing | None = None
    close_context: Nothing | None = None


RECEIVED = TypeAdapter(Received)
ENCODINGS: dict[str, Any] = {"MULAW": "pcmu", "ALAW": "pcma", "PCM": "s16"}
CODES = {"quota": 8, "rate": 8, "voice": 5, "key": 16}
WORDS = {
    "quota": "quota exceeded: You have no credits left.",
    "rate": "Too many concurrent requests.",
    "voice": "No such voice: anna.",
    "key": "Unknown key sk-secret+key/1.",
}


class InworldVoice(VoiceDouble):
    NAME: ClassVar[str] = "inworld"
    MINIMUM: ClassVar[Mapping[str, Any]] = {"voice": "anna", "api_key": KEY}
    STOPS: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[Key, str] = {}

    def knows(self, request: Request) -> bool:
        is_known = request.headers.get("Authorization") == f"Basic {KEY}"
        return is_known and request.path == "/tts/v1/voice:streamBidirectional"

    async def read(self, connection: ServerConnection, frame: str | bytes) -> None:
        event = RECEIVED.validate_json(frame)
        key = id(connection), event.context_id
        if event.create is not None:
            audio = event.create.audio_config
            encoding = ENCODINGS[audio.audio_encoding]
            self.form = AudioFormat(audio.sample_rate_hertz, encoding=encoding)
            self._texts[key] = ""
            await connection.send(dumped(result={"contextId": key[1], "contextCreated": {}}))
            if len([each for each in self._texts if each[0] == key[0]]) > 5:
                raise ValueError("more than five contexts")
        elif event.send_text is not None:
            text = event.send_text.text
            if self.is_saying(connection, event.context_id):
                self.go_on(connection, event.context_id, text, is_whole=False)
            else:
                self._texts[key] += text
                if event.send_text.flush_context is not None:
                    whole = self._texts.pop(key)
                    self.begin(connection, event.context_id, whole, is_whole=False)
        elif event.close_context is not None:
            self.go_on(connection, event.context_id, "", is_whole=True)

    def chunk(self, part: Part) -> list[str | bytes]:
        coded = base64.b64encode(part.audio).decode()
        usage = {"processedCharactersCount": len(part.text), "modelId": "inworld-tts-1.5-max"}
        chunk: dict[str, Any] = {"audioContent": coded, "usage": usage}
        if part.words:
            starts = [at_ms / 1000 for at_ms, _ in part.words]
            words = [word.strip(".,") for _, word in part.words]
            ends = [(at + len(w) * CHARACTER_MS) / 1000 for (at, w) in part.words]
            chunk["timestampInfo"] = {
                "wordAlignment": {
                    "words": words, "wordStartTimeSeconds": starts, "wordEndTimeSeconds": ends,
                }
            }  # fmt: skip
        return [json.dumps({"result": {"contextId": part.key[1], "audioChunk": chunk}})]

    def over(self, key: Key) -> list[str | bytes]:
        return [
            dumped(result={"contextId": key[1], "flushCompleted": {}}),
            dumped(result={"contextId": key[1], "contextClosed": {}}),
        ]

    def refusal(self, context: str) -> list[str | bytes]:
        status = {"code": CODES[self.trouble], "message": WORDS[self.trouble]}
        return [dumped(result={"contextId": context, "status": status})]
