"""ElevenLabs Scribe on 127.0.0.1; every frame of both sides is judged by the vendor's types."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from elevenlabs import types as sdk
from pydantic import TypeAdapter
from websockets.http11 import Request

from tests.support.engine_double import unwrapped
from tests.support.recognizer_double import KEY, RecognizerDouble, RecognizerPeer, format_of
from tests.support.vendor_types import Frame, assert_one_of, assert_only_known

SENT: dict[str, Any] = {
    "auth_error": sdk.ScribeAuthErrorPayload,
    "committed_transcript": sdk.CommittedTranscriptPayload,
    "input_error": sdk.ScribeInputErrorPayload,
    "insufficient_audio_activity": sdk.ScribeInsufficientAudioActivityErrorPayload,
    "partial_transcript": sdk.PartialTranscriptPayload,
    "quota_exceeded": sdk.ScribeQuotaExceededErrorPayload,
    "session_started": sdk.SessionStartedPayload,
    "transcriber_error": sdk.ScribeTranscriberErrorPayload,
}
KNOWN_QUERY = frozenset(
    """model_id audio_format commit_strategy vad_silence_threshold_secs keyterms language_code
    no_verbatim""".split()  # noqa: SIM905
)


class ScribePeer(RecognizerPeer):
    async def welcome(self) -> None:
        for key, _ in self.query:
            if key not in KNOWN_QUERY:
                self.refuse(f"unknown query {key}")
        coding, _, rate_hz = self.asked["audio_format"].partition("_")
        self.format = format_of(coding, rate_hz, {"pcm": "s16", "ulaw": "pcmu"})
        assert_one_of(self.asked["commit_strategy"], "manual", "vad")
        self.ear.eager_frames = None
        if self.asked["commit_strategy"] == "manual":
            self.ear.end_frames = None
        strategy = self.asked["commit_strategy"]
        config = {"sample_rate": self.format.sample_rate_hz, "commit_strategy": strategy}
        await self._say("session_started", session_id="s1", config=config)

    async def read(self, frame: str | bytes) -> None:
        event = json.loads(frame)
        assert_only_known(TypeAdapter(sdk.InputAudioChunkPayload).validate_python(event))
        assert_one_of(event["sample_rate"], self.format.sample_rate_hz)
        await self.hear(unwrapped(event["audio_base_64"]))
        if event["commit"]:
            assert_one_of(self.asked["commit_strategy"], "manual")
            had_words = self.ear.in_turn or self.ear.text
            text = self.ear.finish()
            if had_words:
                await self._say("committed_transcript", text=text)
            else:
                await self._say("insufficient_audio_activity", error="No speech to commit.")

    async def tell(self, what: str) -> None:
        if what == "end":
            await self._say("committed_transcript", text=self.ear.finish())
        elif what == "word":
            await self._say("partial_transcript", text=self.ear.text)

    async def error(self, problem: str) -> None:
        kind = {"quota": "quota_exceeded", "format": "input_error", "broken": "transcriber_error"}
        await self._say(kind[problem], error=f"It is {problem} (key {KEY}).")

    async def _say(self, kind: str, **fields: Any) -> None:
        await self.send_event({"message_type": kind, **fields})

    def checked(self, event: Frame) -> None:
        assert_only_known(TypeAdapter(SENT[event["message_type"]]).validate_python(event))


class ScribeDouble(RecognizerDouble):
    PEER: ClassVar[type[RecognizerPeer]] = ScribePeer

    def knows(self, request: Request) -> bool:
        is_right = request.path.startswith("/v1/speech-to-text/realtime?")
        return is_right and request.headers.get("xi-api-key") == KEY
