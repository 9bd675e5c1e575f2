"""Hume's Octave on 127.0.0.1; every frame of both sides is judged by the types of `hume`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from pydantic import TypeAdapter
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from gateway.audio.format import AudioFormat
from tests.support.vendor_double import KEY
from tests.support.vendor_types import assert_one_of, assert_only_known, old_websockets
from tests.support.voice_double import REFUSALS, Key, Part, VoiceDouble

with old_websockets():
    from hume.tts.types import PublishTts, TtsOutput

OUTPUT: TypeAdapter[Any] = TypeAdapter(TtsOutput)
KNOWN_QUERY = {
    "format_type", "strip_headers", "no_binary", "instant_mode", "version", "temperature",
    "include_timestamp_types",
}  # fmt: skip
IDS = {"generation_id": "g1", "request_id": "r1"}


class HumeVoice(VoiceDouble):
    NAME: ClassVar[str] = "hume"
    MINIMUM: ClassVar[Mapping[str, Any]] = {"voice": "Ava Song", "api_key": KEY}
    PATH: ClassVar[str] = "/v0"
    STOPS: ClassVar[bool] = False
    ONE_SENTENCE: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.form = AudioFormat(48_000)
        self.snippet_characters = 1000
        """It cuts a text into parts of this length, whose words count from 0 each."""

    def knows(self, request: Request) -> bool:
        url = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        assert query.keys() <= KNOWN_QUERY, query
        assert_one_of(query["format_type"], "pcm")
        assert_one_of((query["strip_headers"], query["no_binary"]), ("true", "true"))
        is_right = url.path == "/v0/tts/stream/input"
        return is_right and request.headers.get("X-Hume-Api-Key") == KEY

    async def read(self, connection: ServerConnection, frame: str | bytes) -> None:
        found = PublishTts.model_validate_json(frame)
        assert_only_known(found)
        is_begun = (id(connection), "s1") in self._texts_of
        if found.text and found.voice is None:
            raise ValueError("instant mode needs a voice")
        if found.text and not is_begun:
            self.begin(connection, "s1", found.text, is_whole=False)
        elif found.text:
            self.go_on(connection, "s1", found.text, is_whole=False)
        if found.close:
            self.go_on(connection, "s1", "", is_whole=True)

    def chunk(self, part: Part) -> list[str | bytes]:
        coded = base64.b64encode(part.audio).decode()
        snippet = part.at_ms // 50 // self.snippet_characters
        base_ms = snippet * self.snippet_characters * 50
        messages = [
            {
                "type": "timestamp",
                "snippet_id": f"n{snippet}",
                "timestamp": {
                    "text": word.strip(".,"),
                    "type": "word",
                    "time": {"begin": max(0, at_ms - base_ms), "end": at_ms - base_ms + 50},
                },
            }
            for at_ms, word in part.words
        ]
        audio = {
            "type": "audio",
            "audio": coded,
            "audio_format": "pcm",
            "chunk_index": part.at_ms // 200,
            "is_last_chunk": False,
            "snippet_id": f"n{snippet}",
            "text": "the text of the snippet",
        }
        return [self._checked(message) for message in (*messages, audio)]

    def over(self, key: Key) -> list[str | bytes]:
        return []

    def refusal(self, context: str) -> list[str | bytes]:
        status, code, words = REFUSALS[self.trouble]
        event = {"type": "error", "status": int(status), "slug": code, "message": words}
        return [json.dumps(event)]

    def _checked(self, event: dict[str, Any]) -> str:
        event = {**IDS, **event}
        assert_only_known(OUTPUT.validate_python(event))
        return json.dumps(event)
