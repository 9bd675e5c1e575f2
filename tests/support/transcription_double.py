"""OpenAI's realtime transcription on 127.0.0.1; every frame of both sides is judged by `openai`."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar

from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import Field, TypeAdapter
from websockets.http11 import Request

from tests.support.engine_double import unwrapped
from tests.support.recognizer_double import KEY, RecognizerDouble, RecognizerPeer, format_of
from tests.support.vendor_types import Frame, assert_one_of, assert_only_known

SENT: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])
RECEIVED: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)
_TRANSCRIPTION = "conversation.item.input_audio_transcription."


class TranscriptionPeer(RecognizerPeer):
    async def welcome(self) -> None:
        assert_one_of(self.asked["intent"], "transcription")
        self._item = 0
        await self._say("session.created", session={"type": "transcription"})

    async def read(self, frame: str | bytes) -> None:
        event = json.loads(frame)
        assert_only_known(RECEIVED.validate_python(event))
        match event["type"]:
            case "session.update":
                await self._update(event["session"])
            case "input_audio_buffer.append":
                await self.hear(unwrapped(event["audio"]))
            case "input_audio_buffer.commit":
                await self._commit()
            case _:
                self.refuse(f"unexpected {event['type']}")

    async def _update(self, session: Frame) -> None:
        assert_one_of(session["type"], "transcription")
        hearing = session["audio"]["input"]
        kind = hearing["format"]["type"].removeprefix("audio/")
        rate_hz = hearing["format"]["rate"] if kind == "pcm" else 8000
        assert_one_of((kind, rate_hz), ("pcm", 24_000), ("pcmu", 8000), ("pcma", 8000))
        self.format = format_of(kind, rate_hz, {"pcm": "s16", "pcmu": "pcmu", "pcma": "pcma"})
        self.transcription = hearing["transcription"]
        self.ear.eager_frames = None
        if hearing["turn_detection"] is None:
            self.ear.end_frames = None
        await self._say("session.updated", session=session)

    async def _commit(self) -> None:
        text = self.ear.finish()
        if not self.audio:
            error = {
                "type": "invalid_request_error",
                "code": "input_audio_buffer_commit_empty",
                "message": "The buffer is too small.",
            }
            await self._say("error", error=error)
            return
        await self._whole(text)

    async def tell(self, what: str) -> None:
        if what == "start":
            place = {"audio_start_ms": round(1000 * self.ear.start_s), "item_id": self._id}
            if self.ear.end_frames is not None:
                await self._say("input_audio_buffer.speech_started", **place)
        elif what == "end":
            place = {"audio_end_ms": round(1000 * self.ear.at_s), "item_id": self._id}
            await self._say("input_audio_buffer.speech_stopped", **place)
            await self._whole(self.ear.finish())

    @property
    def _id(self) -> str:
        return f"item_{self._item}"

    async def _whole(self, text: str) -> None:
        await self._say("input_audio_buffer.committed", item_id=self._id, previous_item_id=None)
        place = {"item_id": self._id, "content_index": 0}
        for word in text.split():
            await self._say(f"{_TRANSCRIPTION}delta", delta=f"{word} ", **place)
        usage = {"type": "duration", "seconds": 1.0}
        await self._say(f"{_TRANSCRIPTION}completed", transcript=text, usage=usage, **place)
        self._item += 1

    async def error(self, problem: str) -> None:
        kind, code = {
            "quota": ("insufficient_quota", "insufficient_quota"),
            "format": ("invalid_request_error", "invalid_value"),
            "broken": ("server_error", "server_error"),
        }[problem]
        words = f"It is {problem} (key {KEY})."
        await self._say("error", error={"type": kind, "code": code, "message": words})

    async def _say(self, kind: str, **fields: Any) -> None:
        await self.send_event({"type": kind, "event_id": f"e{self.answers}", **fields})

    def checked(self, event: Frame) -> None:
        assert_only_known(SENT.validate_python(event))


class TranscriptionDouble(RecognizerDouble):
    PEER: ClassVar[type[RecognizerPeer]] = TranscriptionPeer

    def settings(self) -> dict[str, Any]:
        return {"base_url": f"{self.url}/v1", "api_key": KEY}

    def knows(self, request: Request) -> bool:
        is_right = request.path == "/v1/realtime?intent=transcription"
        return is_right and request.headers.get("Authorization") == f"Bearer {KEY}"
