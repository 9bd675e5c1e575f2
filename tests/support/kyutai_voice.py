"""Kyutai's `moshi-server` as a voice on 127.0.0.1, by the messages of its source, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import parse_qs, urlsplit

import msgpack
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from gateway.audio.format import AudioFormat
from tests.support.vendor_double import KEY
from tests.support.vendor_types import assert_one_of
from tests.support.voice_double import CHARACTER_MS, REFUSALS, Key, Part, VoiceDouble


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Text(_Strict):
    type: Literal["Text"]
    text: str


class Eos(_Strict):
    type: Literal["Eos"]


RECEIVED: TypeAdapter[Any] = TypeAdapter(Annotated[Text | Eos, Field(discriminator="type")])
KNOWN_QUERY = {"voice", "format", "cfg_alpha", "temperature", "top_k", "seed"}


class KyutaiVoice(VoiceDouble):
    NAME: ClassVar[str] = "kyutai"
    MINIMUM: ClassVar[Mapping[str, Any]] = {"api_key": KEY}
    STOPS: ClassVar[bool] = False
    ONE_SENTENCE: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.form = AudioFormat(24_000)

    def knows(self, request: Request) -> bool:
        url = urlsplit(request.path)
        query = parse_qs(url.query)
        assert query.keys() <= KNOWN_QUERY, query
        assert_one_of(query["format"], ["PcmMessagePack"])
        is_right = url.path == "/api/tts_streaming"
        return is_right and request.headers.get("kyutai-api-key") == KEY

    async def read(self, connection: ServerConnection, frame: str | bytes) -> None:
        if isinstance(frame, str):
            raise ValueError("text, where binary messages were begun")  # noqa: TRY004
        found = RECEIVED.validate_python(msgpack.unpackb(frame))
        if isinstance(found, Eos):
            self.go_on(connection, "s1", "", is_whole=True)
        elif (id(connection), "s1") in self._texts_of:
            self.go_on(connection, "s1", found.text, is_whole=False)
        else:
            await connection.send(_packed(type="Ready"))
            self.begin(connection, "s1", found.text, is_whole=False)

    def chunk(self, part: Part) -> list[str | bytes]:
        messages = [
            _packed(
                type="Text",
                text=word,
                start_s=at_ms / 1000,
                stop_s=(at_ms + len(word) * CHARACTER_MS) / 1000,
            )
            for at_ms, word in part.words
        ]
        samples = np.frombuffer(part.audio, "<i2").astype(np.float32) / 32768
        return [*messages, _packed(type="Audio", pcm=samples.tolist())]

    def over(self, key: Key) -> list[str | bytes]:
        return []

    def refusal(self, context: str) -> list[str | bytes]:
        words = "no free channels"
        if self.trouble != "busy":
            _, code, words = REFUSALS[self.trouble]
            words = f"{code}: {words}"
        return [_packed(type="Error", message=words)]


def _packed(**fields: object) -> bytes:
    found: bytes = msgpack.packb(fields, use_single_float=True)
    return found
