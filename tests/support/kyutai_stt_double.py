"""Kyutai's `moshi-server` as a recognizer on 127.0.0.1, by the messages of its source, strictly."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgpack
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from websockets.http11 import Request

from gateway.audio.format import AudioFormat
from tests.support.recognizer_double import KEY, RecognizerDouble, RecognizerPeer

STEP = 1920
DELAY_STEPS = 6
"""Of 80 ms: what `stt-1b-en_fr` hears is a word half a second later."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Audio(_Strict):
    type: Literal["Audio"]
    pcm: list[float]


class Marker(_Strict):
    type: Literal["Marker"]
    id: int


RECEIVED: TypeAdapter[Any] = TypeAdapter(Annotated[Audio | Marker, Field(discriminator="type")])
SENT: dict[str, set[str]] = {
    "Ready": set(),
    "Word": {"text", "start_time"},
    "EndWord": {"stop_time"},
    "Step": {"step_idx", "prs", "buffered_pcm"},
    "Marker": {"id"},
    "Error": {"message"},
}
_ERRORS = {
    "quota": "quota exceeded",
    "format": "unsupported sample format",
    "broken": "internal error",
}


class KyutaiPeer(RecognizerPeer):
    async def welcome(self) -> None:
        self.format = AudioFormat(24_000)
        self.ear.eager_frames = None
        self._steps = 0
        self._markers: list[tuple[int, int]] = []
        self._words: list[tuple[int, list[str]]] = []
        """(step in which they come, words of the turn then)."""
        self._told = 0
        self._is_quiet = False
        await self._say("Ready")

    async def read(self, frame: str | bytes) -> None:
        if isinstance(frame, str):
            self.refuse("text, where the protocol is binary")
            return
        found = RECEIVED.validate_python(msgpack.unpackb(frame))
        if isinstance(found, Marker):
            self._markers.append((self._steps + DELAY_STEPS, found.id))
            return
        if len(found.pcm) % STEP:
            self.refuse(f"{len(found.pcm)} samples are not whole steps")
        pcm = (np.asarray(found.pcm, np.float32) * 32768).astype("<i2").tobytes()
        for at in range(0, len(pcm), 2 * STEP):
            await self._step(pcm[at : at + 2 * STEP])

    async def _step(self, pcm: bytes) -> None:
        self._steps += 1
        await self.hear(pcm)
        if self.connection.transport.is_closing():
            return
        while self._words and self._words[0][0] <= self._steps:
            _, words = self._words.pop(0)
            for word in words[self._told :]:
                await self._say("Word", text=word, start_time=self.ear.at_s)
            self._told = len(words)
        prs = [0.1, 0.2, 0.9 if self._is_quiet else 0.05, 0.01]
        await self._say("Step", step_idx=self._steps, prs=prs, buffered_pcm=0)
        while self._markers and self._markers[0][0] <= self._steps:
            await self._say("Marker", id=self._markers.pop(0)[1])

    async def tell(self, what: str) -> None:
        comes = self._steps + DELAY_STEPS
        if what == "start":
            self._is_quiet = False
        elif what == "word":
            self._words.append((comes, self.ear.text.split()))
        elif what == "end":
            self._words += [(comes, self.ear.finish().split()), (comes, [])]
            self._is_quiet = True

    async def error(self, problem: str) -> None:
        await self._say("Error", message=f"{_ERRORS[problem]} (key {KEY})")

    async def _say(self, kind: str, **fields: Any) -> None:
        await self.send_event({"type": kind, **fields})

    def encoded(self, event: dict[str, Any]) -> bytes:
        found: bytes = msgpack.packb(event, use_single_float=True)
        return found

    def checked(self, event: dict[str, Any]) -> None:
        unknown = event.keys() ^ (SENT[event["type"]] | {"type"})
        if unknown:
            raise ValueError(f"{event['type']}: {sorted(unknown)}")


class KyutaiSttDouble(RecognizerDouble):
    PEER: ClassVar[type[RecognizerPeer]] = KyutaiPeer

    def knows(self, request: Request) -> bool:
        is_right = request.path == "/api/asr-streaming"
        return is_right and request.headers.get("kyutai-api-key") == KEY
