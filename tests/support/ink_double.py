"""Cartesia Ink on 127.0.0.1, as its documentation describes it: there are no types to judge it."""

from __future__ import annotations

from typing import Any, ClassVar

from websockets.http11 import Request

from gateway.audio.format import Encoding
from tests.support.recognizer_double import KEY, RecognizerDouble, RecognizerPeer, format_of
from tests.support.vendor_types import Frame, assert_one_of

ENCODINGS: dict[str, Encoding] = {"pcm_s16le": "s16", "pcm_mulaw": "pcmu", "pcm_alaw": "pcma"}
SENT: dict[str, set[str]] = {
    "connected": {"request_id"},
    "done": {"request_id"},
    "error": {"title", "message", "error_code", "status_code", "request_id"},
    "flush_done": {"request_id"},
    "transcript": {"text", "is_final", "duration", "language", "words", "request_id"},
    "turn.eager_end": {"transcript", "request_id"},
    "turn.end": {"transcript", "request_id"},
    "turn.resume": {"request_id"},
    "turn.start": {"request_id"},
    "turn.update": {"transcript", "request_id"},
}
KNOWN_QUERY = {
    "/stt/turns/websocket": {
        "model", "encoding", "sample_rate", "keyterm", "turn_start_threshold",
        "turn_eager_end_threshold", "turn_end_threshold", "turn_end_timeout_ms",
    },
    "/stt/websocket": {"model", "encoding", "sample_rate", "language"},
}  # fmt: skip
_NAMES = {
    "start": "turn.start",
    "word": "turn.update",
    "eager": "turn.eager_end",
    "resumed": "turn.resume",
    "end": "turn.end",
}


class InkPeer(RecognizerPeer):
    async def welcome(self) -> None:
        for key, _ in self.query:
            if key not in KNOWN_QUERY[self.path]:
                self.refuse(f"unknown query {key} of {self.path}")
        self.format = format_of(self.asked["encoding"], self.asked["sample_rate"], ENCODINGS)
        if self.is_manual:
            self.ear.end_frames = self.ear.eager_frames = None
        else:
            await self._say("connected")

    @property
    def is_manual(self) -> bool:
        return self.path == "/stt/websocket"

    async def read(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            await self.hear(frame)
            return
        assert_one_of(frame, "finalize", "close")
        assert_one_of(self.is_manual, True)
        text = self.ear.finish()
        for piece in (text[: len(text) // 2], text[len(text) // 2 :]):  # also within a word
            if piece:
                await self._say("transcript", text=piece, is_final=True, duration=self.ear.at_s)
        await self._say("flush_done")

    async def tell(self, what: str) -> None:
        if self.is_manual:
            if what == "word":
                words = {"is_final": False, "duration": self.ear.at_s}
                await self._say("transcript", text=self.ear.text, **words)
        elif what in {"start", "resumed"}:
            await self._say(_NAMES[what])
        else:
            text = self.ear.finish() if what == "end" else self.ear.text
            await self._say(_NAMES[what], transcript=text)

    async def error(self, problem: str) -> None:
        status, code = {
            "quota": (402, "quota_exceeded"),
            "format": (400, "invalid_encoding"),
            "broken": (500, "internal_error"),
        }[problem]
        more = {"title": "It failed", "error_code": code, "status_code": status}
        await self._say("error", message=f"It is {problem} (key {KEY}).", **more)

    async def _say(self, kind: str, **fields: Any) -> None:
        await self.send_event({"type": kind, "request_id": "r1", **fields})

    def checked(self, event: Frame) -> None:
        unknown = event.keys() - SENT[event["type"]] - {"type"}
        if unknown:
            raise ValueError(f"{event['type']}: unknown {sorted(unknown)}")


class InkDouble(RecognizerDouble):
    PEER: ClassVar[type[RecognizerPeer]] = InkPeer

    def knows(self, request: Request) -> bool:
        is_right = request.path.partition("?")[0] in KNOWN_QUERY
        has_version = request.headers.get("Cartesia-Version") == "2026-08-14"
        return is_right and has_version and request.headers.get("X-API-Key") == KEY
