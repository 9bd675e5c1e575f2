"""Inworld's recognizer on 127.0.0.1, as its documentation describes it: no types judge it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from websockets.http11 import Request

from gateway.audio.format import AudioFormat
from tests.support.engine_double import unwrapped
from tests.support.recognizer_double import KEY, RecognizerDouble, RecognizerPeer
from tests.support.vendor_types import Frame, assert_one_of

SENT: dict[str, set[str]] = {
    "speechStarted": {"startTimeMs", "confidence"},
    "speechStopped": {"silenceDurationMs"},
    "transcription": {"transcript", "isFinal", "wordTimestamps", "voiceProfile"},
    "usage": {"transcribedAudioMs", "modelId"},
}
PROFILE = {
    "age": [{"label": "young", "confidence": 0.91}],
    "emotion": [{"label": "calm", "confidence": 0.8}, {"label": "sad", "confidence": 0.1}],
    "vocalStyle": [],
    "accent": "unknown",
}
"""As docs.inworld.ai/stt/voice-profiles shows it, with what a client must survive."""
KNOWN_CONFIG = {
    "modelId", "audioEncoding", "sampleRateHertz", "numberOfChannels", "language",
    "endOfTurnConfidenceThreshold", "voiceProfileConfig",
}  # fmt: skip


class InworldSttPeer(RecognizerPeer):
    is_manual = True
    is_configured = False
    has_profile = False

    async def read(self, frame: str | bytes) -> None:
        event = json.loads(frame)
        (kind,) = event
        if kind == "transcribeConfig":
            self._configure(event[kind])
        elif not self.is_configured:
            self.refuse(f"{kind} before the configuration")
        elif kind == "audioChunk":
            await self.hear(unwrapped(event[kind]["content"]))
        elif kind == "endTurn":
            had_words = self.ear.in_turn or self.ear.text
            text = self.ear.finish()
            if had_words:
                await self._final(text)
        else:
            self.refuse(f"unknown message {kind!r}")

    def _configure(self, config: Frame) -> None:
        assert_one_of(config["audioEncoding"], "LINEAR16")
        assert_one_of(config["numberOfChannels"], 1)
        if unknown := config.keys() - KNOWN_CONFIG:
            self.refuse(f"unknown settings {sorted(unknown)}")
        self.format = AudioFormat(config["sampleRateHertz"])
        self.is_manual = "endOfTurnConfidenceThreshold" not in config
        self.ear.eager_frames = None
        if self.is_manual:
            self.ear.end_frames = None
        self.is_configured = True
        profile = config.get("voiceProfileConfig", {})
        self.has_profile = profile.get("enableVoiceProfile", False)

    async def tell(self, what: str) -> None:
        if what == "start":
            started = {"startTimeMs": round(1000 * self.ear.start_s), "confidence": 0.9}
            await self._say("speechStarted", **started)
        elif what == "word":
            await self._say("transcription", transcript=self.ear.text, isFinal=False)
        elif what == "end":
            await self._say("speechStopped", silenceDurationMs=500)
            await self._final(self.ear.finish())

    async def _final(self, text: str) -> None:
        profile = {"voiceProfile": PROFILE} if self.has_profile else {}
        await self._say(
            "transcription", transcript=text, isFinal=True, wordTimestamps=[], **profile
        )
        usage = {"transcribedAudioMs": round(1000 * self.ear.at_s), "modelId": "inworld-stt-1"}
        await self._say("usage", **usage)

    async def error(self, problem: str) -> None:
        code = {"quota": 8, "format": 3, "broken": 13}[problem]
        event = {"error": {"code": code, "message": f"It is {problem} (key {KEY})."}}
        await self.send_event(event)

    async def _say(self, kind: str, **fields: Any) -> None:
        await self.send_event({"result": {kind: fields}})

    def checked(self, event: Frame) -> None:
        for kind, fields in event.get("result", {}).items():
            if unknown := fields.keys() - SENT[kind]:
                raise ValueError(f"{kind}: unknown {sorted(unknown)}")


class InworldSttDouble(RecognizerDouble):
    PEER: ClassVar[type[RecognizerPeer]] = InworldSttPeer

    def knows(self, request: Request) -> bool:
        is_right = request.path == "/stt/v1/transcribe:streamBidirectional"
        return is_right and request.headers.get("Authorization") == f"Basic {KEY}"
