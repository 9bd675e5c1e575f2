"""Deepgram's recognizers on 127.0.0.1; every frame of both sides is judged by deepgram-sdk."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from deepgram.listen.v1 import types as v1
from deepgram.listen.v2 import types as v2
from pydantic import TypeAdapter
from websockets.http11 import Request

from gateway.audio.format import Encoding
from tests.support.recognizer_double import (
    KEY,
    RecognizerDouble,
    RecognizerPeer,
    format_of,
)
from tests.support.vendor_types import Frame, assert_one_of, assert_only_known

ENCODINGS: dict[str, Encoding] = {"linear16": "s16", "mulaw": "pcmu", "alaw": "pcma"}
SENT: dict[str, dict[str, Any]] = {
    "/v2/listen": {
        "Connected": v2.ListenV2Connected,
        "Error": v2.ListenV2FatalError,
        "TurnInfo": v2.ListenV2TurnInfo,
    },
    "/v1/listen": {
        "Error": v1.ListenV1Error,
        "Results": v1.ListenV1Results,
        "UtteranceEnd": v1.ListenV1UtteranceEnd,
    },
}
RECEIVED: dict[str, dict[str, Any]] = {
    "/v2/listen": {
        "CloseStream": v2.ListenV2CloseStream,
        "Configure": v2.ListenV2Configure,
        "ForceEndTurn": v2.ListenV2ForceEndTurn,
    },
    "/v1/listen": {
        "CloseStream": v1.ListenV1CloseStream,
        "Finalize": v1.ListenV1Finalize,
        "KeepAlive": v1.ListenV1KeepAlive,
    },
}
KNOWN_QUERY = frozenset(
    """model encoding sample_rate keyterm language language_hint numerals profanity_filter
    eot_threshold eager_eot_threshold eot_timeout_ms interim_results punctuate smart_format
    endpointing utterance_end_ms""".split()  # noqa: SIM905
)
_ID = "fc553ec9-5874-49ca-a47c-b670d525a4b3"
_EVENTS = {
    "start": "StartOfTurn",
    "word": "Update",
    "eager": "EagerEndOfTurn",
    "resumed": "TurnResumed",
    "end": "EndOfTurn",
}


class DeepgramListenPeer(RecognizerPeer):
    """Flux or Nova, by the path."""

    @property
    def is_flux(self) -> bool:
        return self.path == "/v2/listen"

    async def welcome(self) -> None:
        self._sequence = 0
        self._settled_s = 0.0
        for key, _ in self.query:
            if key not in KNOWN_QUERY:
                self.refuse(f"unknown query {key}")
        if self.is_flux is not self.asked["model"].startswith("flux"):
            self.refuse(f"{self.asked['model']} at {self.path}")
        self.format = format_of(self.asked["encoding"], self.asked["sample_rate"], ENCODINGS)
        if self.is_flux:
            never = float(self.asked["eot_threshold"]) >= 1
            self.ear.end_frames = None if never else 25
            self.ear.eager_frames = 15 if "eager_eot_threshold" in self.asked else None
            await self.send_event({"type": "Connected", "request_id": _ID})
        else:
            endpointing = self.asked["endpointing"]
            self.ear.eager_frames = None
            self.ear.end_frames = None if endpointing == "false" else int(endpointing) // 20

    async def read(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            await self.hear(frame)
            return
        event = json.loads(frame)
        kind = event["type"]
        if kind not in RECEIVED[self.path]:
            self.refuse(f"unknown message {kind!r}")
            return
        assert_only_known(TypeAdapter(RECEIVED[self.path][kind]).validate_python(event))
        if kind == "ForceEndTurn" and self.ear.in_turn:
            await self._turn_info("EndOfTurn", self.ear.finish(), "manual")
        elif kind == "Finalize":
            had_words = self.ear.in_turn or self.ear.text
            text = self.ear.finish()
            if had_words:
                await self._results(text, is_final=True, from_finalize=True)

    async def tell(self, what: str) -> None:
        if self.is_flux:
            text = self.ear.finish() if what == "end" else self.ear.text
            await self._turn_info(_EVENTS[what], text, "model" if what == "end" else None)
        elif what == "end":
            await self._results(self.ear.finish(), is_final=True, speech_final=True)
        elif what == "word":
            await self._results(self.ear.text)

    async def error(self, problem: str) -> None:
        code, words = {
            "quota": ("ASR_PAYMENT_REQUIRED", "Project does not have enough credits."),
            "format": ("UNPARSABLE_AUDIO", f"The audio cannot be decoded (key {KEY})."),
            "broken": ("INTERNAL_SERVER_ERROR", "Something went wrong."),
        }[problem]
        event = {"type": "Error", "description": words}
        more = {"code": code} if self.is_flux else {"variant": code, "message": words}
        await self.send_event({**event, **more})

    @property
    def _languages(self) -> Frame:
        """What multilingual models report: the dominant language comes first."""
        spoken = self.double.languages
        is_multi = self.asked["model"] == "flux-general-multi" or (
            self.asked.get("language") == "multi"
        )
        return {"languages": list(spoken)} if spoken and is_multi else {}

    async def _turn_info(self, name: str, text: str, trigger: str | None = None) -> None:
        more = {} if trigger is None else {"trigger": trigger}
        await self.send_event(
            {
                "type": "TurnInfo",
                "request_id": _ID,
                "event": name,
                "turn_index": max(0, self.ear.turn),
                "audio_window_start": self.ear.start_s,
                "audio_window_end": self.ear.at_s,
                "transcript": text,
                "words": [{"word": word, "confidence": 0.9} for word in text.split()],
                "end_of_turn_confidence": 0.8 if name == "EndOfTurn" else 0.2,
                **self._languages,
                **more,
            }
        )

    async def _results(self, text: str, *, is_final: bool = False, **more: bool) -> None:
        words = [
            {"word": word, "start": 0.0, "end": 0.1, "confidence": 0.9} for word in text.split()
        ]
        said = {"transcript": text, "confidence": 0.9, "words": words, **self._languages}
        event = {
            "type": "Results",
            "channel_index": [0, 1],
            "start": self._settled_s,
            "duration": round(self.ear.at_s - self._settled_s, 3),
            "is_final": is_final,
            "channel": {"alternatives": [said]},
            "metadata": {
                "request_id": _ID,
                "model_uuid": _ID,
                "model_info": {"name": "nova-3", "version": "1", "arch": "nova-3"},
            },
            **more,
        }
        if is_final:
            self._settled_s = self.ear.at_s
        await self.send_event(event)

    async def send_event(self, event: Frame) -> None:
        if self.is_flux:
            event = {**event, "sequence_id": self._sequence}
            self._sequence += 1
        await super().send_event(event)

    def checked(self, event: Frame) -> None:
        assert_only_known(TypeAdapter(SENT[self.path][event["type"]]).validate_python(event))
        if "event" in event:
            assert_one_of(event["event"], *_EVENTS.values())


class DeepgramListenDouble(RecognizerDouble):
    PEER: ClassVar[type[RecognizerPeer]] = DeepgramListenPeer

    def knows(self, request: Request) -> bool:
        is_right = request.path.startswith(("/v1/listen?", "/v2/listen?"))
        return is_right and request.headers.get("Authorization") == f"Token {KEY}"
