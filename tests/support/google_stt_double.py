"""Google's streaming recognizer on 127.0.0.1, by the types of `google-cloud-speech`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ClassVar

from google.cloud.speech_v2.types import cloud_speech
from websockets.http11 import Request

from gateway.audio.format import AudioFormat
from tests.support.faults import Fault
from tests.support.grpc_double import GrpcCall, GrpcServer
from tests.support.recognizer_double import KEY, RecognizerDouble, RecognizerPeer

_Encoding = cloud_speech.ExplicitDecodingConfig.AudioEncoding
ENCODINGS: dict[Any, Any] = {
    _Encoding.LINEAR16: "s16",
    _Encoding.MULAW: "pcmu",
    _Encoding.ALAW: "pcma",
}
_Event = cloud_speech.StreamingRecognizeResponse.SpeechEventType
PROJECT = "my-project"


class GooglePeer(RecognizerPeer):
    config: Any = None

    async def configure(self, request: Any) -> None:
        if not request.recognizer.startswith(f"projects/{PROJECT}/locations/"):
            self.refuse(f"recognizer {request.recognizer!r}")
        self.config = request.streaming_config
        decoding = self.config.config.explicit_decoding_config
        self.format = AudioFormat(decoding.sample_rate_hertz, encoding=ENCODINGS[decoding.encoding])
        self.ear.eager_frames = None
        self.listens = self.config.streaming_features.enable_voice_activity_events
        if not self.listens:
            self.ear.end_frames = None

    async def read(self, frame: Any) -> None:
        if self.config is None:
            await self.configure(frame)
        elif not 0 < len(frame.audio) <= 25_600:
            self.refuse(f"{len(frame.audio)} bytes of audio in a request")
        else:
            await self.hear(frame.audio)

    async def finish(self) -> None:
        """The client has sent everything."""
        if text := self.ear.finish():
            await self._say(text, is_final=True)

    async def tell(self, what: str) -> None:
        if what == "start" and self.listens:
            await self._happens(_Event.SPEECH_ACTIVITY_BEGIN, self.ear.start_s)
        elif what == "word":
            await self._say(self.ear.text, is_final=False)
        elif what == "end":
            await self._happens(_Event.SPEECH_ACTIVITY_END, self.ear.at_s)
            await self._say(self.ear.finish(), is_final=True)

    async def error(self, problem: str) -> None:
        assert isinstance(self.double, GoogleSttDouble)
        self.double.failing = problem
        self.double.fail_open()

    async def _say(self, text: str, *, is_final: bool) -> None:
        result = {
            "alternatives": [{"transcript": text}],
            "is_final": is_final,
            "result_end_offset": timedelta(seconds=self.ear.at_s),
        }
        await self.send_event({"results": [result]})

    async def _happens(self, event: Any, at_s: float) -> None:
        offset = timedelta(seconds=at_s)
        await self.send_event({"speech_event_type": event, "speech_event_offset": offset})

    def checked(self, event: dict[str, Any]) -> None:
        cloud_speech.StreamingRecognizeResponse(event)  # of no other fields

    def encoded(self, event: dict[str, Any]) -> Any:
        return event


class GoogleSttDouble(RecognizerDouble):
    PEER: ClassVar[type[RecognizerPeer]] = GooglePeer

    def __init__(self, script: list[str] | None = None) -> None:
        super().__init__(script)
        self.failing = ""
        """An error that the present call, or the next one, ends with."""
        self._grpc = GrpcServer("google.cloud.speech.v2.Speech", KEY)

    def knows(self, request: Request) -> bool:
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        return {"base_url": self._grpc.url, "api_key": KEY, "project": PROJECT}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RecognizerDouble]:
        request = cloud_speech.StreamingRecognizeRequest
        await self._grpc.start({"StreamingRecognize": (request, self._recognize)}, {})
        try:
            yield self
        finally:
            await self._grpc.stop()

    def fail_open(self) -> None:
        for call in self._open:
            call.transport.abort()

    async def _recognize(self, requests: AsyncIterator[Any], context: Any) -> None:
        self.attempts += 1
        await self._grpc.judge(context, self.fault)
        call: Any = GrpcCall(context, cloud_speech.StreamingRecognizeResponse)
        peer = GooglePeer(self, call, "")
        self._open.add(call)
        if self.failing:
            call.abort()
        try:
            work = asyncio.ensure_future(self._hear(peer, requests))
            lost = asyncio.ensure_future(call.broken.wait())
            try:
                await asyncio.wait({work, lost}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (work, lost):
                    task.cancel()
                await asyncio.wait({work, lost})
            if not work.cancelled() and (error := work.exception()) is not None:
                self.problems.append(repr(error))
        finally:
            self._open.discard(call)
            self.changes()
        failing, self.failing = self.failing, ""
        if failing:
            await call.refuse(failing)
        if call.broken.is_set():
            await self._grpc.judge(context, Fault.DOWN)

    async def _hear(self, peer: GooglePeer, requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            if peer.config is None:
                self.peers.append(peer)
            await peer.read(request)
        await peer.finish()
