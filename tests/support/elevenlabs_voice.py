"""ElevenLabs' multi-context voice on 127.0.0.1, by the types of the vendor's SDK."""

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
from tests.support.voice_double import (
    CHARACTER_MS,
    REFUSALS,
    Key,
    Part,
    VoiceDouble,
    dumped,
)

with old_websockets():
    from elevenlabs.types import (
        AudioOutputMulti,
        CloseContext,
        FinalOutputMulti,
        InitialiseContext,
        InitializeConnectionMulti,
        SendTextMulti,
    )

FORMATS = {
    "ulaw_8000": AudioFormat(8_000, encoding="pcmu"),
    "alaw_8000": AudioFormat(8_000, encoding="pcma"),
    "pcm_16000": AudioFormat(16_000),
    "pcm_24000": AudioFormat(24_000),
}
QUERY = {
    "model_id", "output_format", "language_code", "apply_text_normalization", "auto_mode",
    "sync_alignment", "inactivity_timeout", "enable_logging", "seed",
}  # fmt: skip


class ElevenLabsVoice(VoiceDouble):
    NAME: ClassVar[str] = "elevenlabs"
    MINIMUM: ClassVar[Mapping[str, Any]] = {"voice": "anna", "api_key": KEY}
    PATH: ClassVar[str] = "/v1"
    STOPS: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[tuple[int, str], str] = {}

    def knows(self, request: Request) -> bool:
        url = urlsplit(request.path)
        query = parse_qs(url.query)
        if set(query) - QUERY:
            self.problems.append(f"unknown parameters {set(query) - QUERY}")
        if query.get("sync_alignment") != ["true"]:
            self.problems.append("no alignment was asked for")
        self.form = FORMATS[query["output_format"][0]]
        return (
            url.path == "/v1/text-to-speech/anna/multi-stream-input"
            and request.headers.get("xi-api-key") == KEY
        )

    async def read(self, connection: ServerConnection, frame: str | bytes) -> None:
        event = json.loads(frame)
        key = id(connection), event["context_id"]
        where = connection, event["context_id"]
        if "close_context" in event:
            _known(CloseContext, event)
            if not self.is_saying(*where):
                raise ValueError("closes a context that is not open")
            self.go_on(*where, "", is_whole=True)
        elif self.is_saying(*where):
            _known(SendTextMulti, event)
            self.go_on(*where, event["text"], is_whole=False)
        elif key not in self._texts:
            kind = InitializeConnectionMulti if event["text"] == " " else InitialiseContext
            _known(kind, event)
            self._texts[key] = event["text"].lstrip()
            if len({each for each in self._texts if each[0] == key[0]}) > 5:
                raise ValueError("more than five contexts")
        else:
            _known(SendTextMulti, event)
            if not event["text"].endswith(" ") and event.get("flush"):
                raise ValueError("the last text does not end in a space")
            self._texts[key] += event["text"]
            if event.get("flush"):
                self.begin(*where, self._texts.pop(key), is_whole=False)

    def chunk(self, part: Part) -> list[str | bytes]:
        alignment = {
            "chars": list(part.text),
            "charStartTimesMs": part.starts_ms,
            "charDurationsMs": [CHARACTER_MS] * len(part.text),
        }
        audio = base64.b64encode(part.audio).decode()
        fields: dict[str, Any] = {"audio": audio, "contextId": part.key[1]}
        if self.has_words:
            fields |= {"alignment": alignment, "normalizedAlignment": alignment}
        _known(AudioOutputMulti, fields)
        return [json.dumps(fields)]

    def over(self, key: Key) -> list[str | bytes]:
        fields = {"isFinal": True, "contextId": key[1]}
        _known(FinalOutputMulti, fields)
        return [json.dumps(fields)]

    def refusal(self, context: str) -> list[str | bytes]:
        _, code, words = REFUSALS[self.trouble]
        return [dumped(message=words, error=code, code=1008)]


def _known(kind: type[Any], event: dict[str, Any]) -> None:
    found = TypeAdapter(kind).validate_python(event)
    assert_only_known(found)
    for name in ("isFinal", "close_context", "flush"):
        if name in event:
            assert_one_of(event[name], True)
