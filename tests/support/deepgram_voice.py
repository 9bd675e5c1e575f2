"""Deepgram's Aura and Flux voices on 127.0.0.1, by the types of the vendor's SDK."""

from __future__ import annotations

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
from tests.support.voice_double import REFUSALS, Key, Part, VoiceDouble, tone

with old_websockets():
    from deepgram.speak.v1 import types as v1
    from deepgram.speak.v2 import types as v2

ENCODINGS: dict[str, Any] = {"mulaw": "pcmu", "alaw": "pcma", "linear16": "s16"}
_LATE_CHUNKS = 3


class AuraVoice(VoiceDouble):
    """Binary sound without a name; `Clear` is answered by `Cleared`."""

    NAME: ClassVar[str] = "deepgram"
    MINIMUM: ClassVar[Mapping[str, Any]] = {"api_key": KEY}
    REPORTS: ClassVar[bool] = False
    ENDPOINT: ClassVar[str] = "/v1/speak"
    QUERY: ClassVar[set[str]] = {"model", "encoding", "sample_rate", "speed", "mip_opt_out"}
    MODELS: ClassVar[str] = "aura-"
    STREAMS: ClassVar[bool] = False
    """It speaks before `Flush`."""
    RECEIVED: ClassVar[dict[str, Any]] = {
        "Speak": v1.SpeakV1Text,
        "Flush": v1.SpeakV1Flush,
        "Clear": v1.SpeakV1Clear,
        "Close": v1.SpeakV1Close,
    }
    SENT: ClassVar[dict[str, Any]] = {
        "Flushed": v1.SpeakV1Flushed,
        "Cleared": v1.SpeakV1Cleared,
        "Metadata": v1.SpeakV1Metadata,
        "Warning": v1.SpeakV1Warning,
    }

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[int, str] = {}
        self._numbers: dict[int, int] = {}

    def knows(self, request: Request) -> bool:
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if set(query) - self.QUERY:
            self.problems.append(f"unknown parameters {set(query) - self.QUERY}")
        if not query["model"].startswith(self.MODELS):
            self.problems.append(f"{query['model']} is no model of {self.ENDPOINT}")
        self.form = AudioFormat(int(query["sample_rate"]), encoding=ENCODINGS[query["encoding"]])
        is_known = request.headers.get("Authorization") == f"Token {KEY}"
        return is_known and url.path == self.ENDPOINT

    async def read(self, connection: ServerConnection, frame: str | bytes) -> None:
        event = json.loads(frame)
        assert_one_of(event["type"], *self.RECEIVED)
        assert_only_known(TypeAdapter(self.RECEIVED[event["type"]]).validate_python(event))
        await getattr(self, f"_{event['type'].lower()}")(connection, event)

    async def _speak(self, connection: ServerConnection, event: dict[str, Any]) -> None:
        if len(event["text"]) > 2000:
            raise ValueError("more than 2000 characters")
        number = self._numbers.get(id(connection), 0)
        if self.is_saying(connection, f"s{number}"):
            self.go_on(connection, f"s{number}", event["text"], is_whole=False)
        elif self.STREAMS:
            self._numbers[id(connection)] = number + 1
            self.begin(connection, f"s{number + 1}", event["text"], is_whole=False)
        else:
            self._texts[id(connection)] = self._texts.get(id(connection), "") + event["text"]

    async def _flush(self, connection: ServerConnection, _: dict[str, Any]) -> None:
        number = self._numbers.get(id(connection), 0)
        if self.is_saying(connection, f"s{number}"):
            self.go_on(connection, f"s{number}", "", is_whole=True)
            return
        self._numbers[id(connection)] = number + 1
        self.begin(connection, f"s{number + 1}", self._texts.pop(id(connection), ""))

    async def _clear(self, connection: ServerConnection, _: dict[str, Any]) -> None:
        await self._stop(connection)
        number = self._numbers.get(id(connection), 0)
        await connection.send(self.event("Cleared", sequence_id=number))

    async def _close(self, connection: ServerConnection, _: dict[str, Any]) -> None:
        await connection.close()

    async def _stop(self, connection: ServerConnection) -> bool:
        """Stop what is said; with `is_late`, some of it still comes first."""
        is_late, self.is_late = self.is_late, False
        was_said = self.stop(connection, f"s{self._numbers.get(id(connection), 0)}")
        self.is_late = is_late
        for _ in range(_LATE_CHUNKS if is_late else 0):
            await connection.send(tone(200, self.form))
        return was_said

    def event(self, kind: str, **fields: object) -> str:
        event = {"type": kind, **fields}
        assert_only_known(TypeAdapter(self.SENT[kind]).validate_python(event))
        return json.dumps(event)

    def chunk(self, part: Part) -> list[str | bytes]:
        return [part.audio]

    def over(self, key: Key) -> list[str | bytes]:
        return [self.event("Flushed", sequence_id=self._numbers[key[0]])]

    async def refuse(self, connection: ServerConnection, context: str) -> None:
        """Close: the protocol has no message for an error."""
        _, code, words = REFUSALS[self.trouble]
        await connection.close(1008, f"{code}: {words}")


class FluxVoice(AuraVoice):
    """`Interrupt` is answered by `SpeechInterrupted`, or by a warning when nothing is said."""

    MINIMUM: ClassVar[Mapping[str, Any]] = {"api_key": KEY, "model": "flux-anna-en"}
    ENDPOINT: ClassVar[str] = "/v2/speak"
    QUERY: ClassVar[set[str]] = {
        "model", "encoding", "sample_rate", "speed", "expressivity", "mip_opt_out", "tag",
    }  # fmt: skip
    MODELS: ClassVar[str] = "flux-"
    STREAMS: ClassVar[bool] = True
    RECEIVED: ClassVar[dict[str, Any]] = {
        "Speak": v2.SpeakV2Speak,
        "Flush": v2.SpeakV2Flush,
        "Interrupt": v2.SpeakV2Interrupt,
        "Close": v2.SpeakV2Close,
    }
    SENT: ClassVar[dict[str, Any]] = {
        "Connected": v2.SpeakV2Connected,
        "SpeechStarted": v2.SpeakV2SpeechStarted,
        "Flushed": v2.SpeakV2Flushed,
        "SpeechMetadata": v2.SpeakV2SpeechMetadata,
        "SpeechInterrupted": v2.SpeakV2SpeechInterrupted,
        "Warning": v2.SpeakV2Warning,
        "Error": v2.SpeakV2Error,
    }

    async def _interrupt(self, connection: ServerConnection, _: dict[str, Any]) -> None:
        if not await self._stop(connection):
            told = {"code": "NO_ACTIVE_SPEECH", "description": "Nothing is said."}
            await connection.send(self.event("Warning", **told))
            return
        number = self._numbers[id(connection)]
        told = {"audio_played_ms": 0, "metadata": _metadata(f"sp_{number}")}
        await connection.send(self.event("SpeechInterrupted", **told))

    def chunk(self, part: Part) -> list[str | bytes]:
        speech_id = f"sp_{part.key[1][1:]}"
        first = [self.event("SpeechStarted", speech_id=speech_id)] if not part.at_ms else []
        return [*first, part.audio]

    def over(self, key: Key) -> list[str | bytes]:
        speech_id = f"sp_{key[1][1:]}"
        return [
            self.event("Flushed", speech_id=speech_id),
            self.event("SpeechMetadata", **_metadata(speech_id)),
        ]

    async def refuse(self, connection: ServerConnection, context: str) -> None:
        """Send an error and close."""
        _, code, words = REFUSALS[self.trouble]
        told = {"code": "DATA-0000", "description": f"{code}: {words}"}
        await connection.send(self.event("Error", **told))
        await connection.close(1011)


def _metadata(speech_id: str) -> dict[str, Any]:
    counts = ("pronunciations_applied", "breaks_applied", "pronunciation_warnings")
    return {
        "speech_id": speech_id,
        "audio_duration_ms": 1000,
        "input_character_count": 20,
        "billable_character_count": 20,
        "controls_applied": dict.fromkeys(counts, 0),
    }
