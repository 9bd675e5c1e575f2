"""Google's streaming synthesis on 127.0.0.1, by the types of `google-cloud-texttospeech`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

from google.cloud.texttospeech_v1.types import cloud_tts

from gateway.audio.format import AudioFormat
from tests.support.faults import GARBAGE, Fault
from tests.support.grpc_double import GrpcCall, GrpcServer
from tests.support.vendor_double import KEY
from tests.support.voice_double import Key, Part, VoiceDouble

ENCODINGS: dict[Any, Any] = {
    cloud_tts.AudioEncoding.MULAW: "pcmu",
    cloud_tts.AudioEncoding.ALAW: "pcma",
    cloud_tts.AudioEncoding.PCM: "s16",
}


class GoogleVoice(VoiceDouble):
    NAME: ClassVar[str] = "google"
    MINIMUM: ClassVar[Mapping[str, Any]] = {"api_key": KEY}
    STOPS: ClassVar[bool] = False
    REPORTS: ClassVar[bool] = False
    ONE_SENTENCE: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._grpc = GrpcServer("google.cloud.texttospeech.v1.TextToSpeech", KEY)
        self.configs: list[Any] = []

    @property
    def base_url(self) -> str:
        return self._grpc.url

    async def __aenter__(self) -> GoogleVoice:
        await self._grpc.start(
            {"StreamingSynthesize": (cloud_tts.StreamingSynthesizeRequest, self._synthesize)},
            {"ListVoices": (cloud_tts.ListVoicesRequest, self._list)},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._grpc.stop()

    async def all_gone(self) -> None:
        while self._open:
            self.gone.clear()
            await self.gone.wait()

    async def _list(self, request: Any, context: Any) -> bytes:
        self.attempts += 1
        await self._grpc.judge(context, self.fault)
        found: bytes = cloud_tts.ListVoicesResponse.serialize(cloud_tts.ListVoicesResponse())
        return found

    async def _synthesize(self, requests: AsyncIterator[Any], context: Any) -> None:
        self.attempts += 1
        await self._grpc.judge(context, self.fault)
        call: Any = GrpcCall(context, cloud_tts.StreamingSynthesizeResponse)
        self._open.add(call)
        self._met.append(call)
        failed = ""
        try:
            async with asyncio.TaskGroup() as group:
                self._group[id(call)] = group
                async for request in requests:
                    self.received.append(str(request))
                    try:
                        await self.read(call, request)
                    except (ValueError, KeyError, TypeError) as error:
                        self.problems.append(f"{request}: {error}")
                if self.is_saying(call, "s1"):
                    self.go_on(call, "s1", "", is_whole=True)
                if self.trouble:
                    failed = self.trouble
        finally:
            self._open.discard(call)
            self.gone.set()
        if failed:
            await call.refuse(failed)
        if self.fault is Fault.CLOSE:
            await self._grpc.judge(context, Fault.DOWN)

    async def read(self, connection: Any, frame: Any) -> None:
        which = frame.WhichOneof("streaming_request")
        if (which == "streaming_config") != (id(connection) not in self._configured):
            raise ValueError("the configuration is the first request, and only the first")
        if which == "streaming_config":
            self._configured.add(id(connection))
            config = frame.streaming_config
            if not config.voice.language_code or "Chirp3-HD" not in config.voice.name:
                raise ValueError("voice")
            self.configs.append(config)
            encoding = ENCODINGS[config.streaming_audio_config.audio_encoding]
            rate_hz = config.streaming_audio_config.sample_rate_hertz
            self.form = AudioFormat(rate_hz, encoding=encoding)
        elif self.is_saying(connection, "s1"):
            self.go_on(connection, "s1", frame.input.text, is_whole=False)
        else:
            self.begin(connection, "s1", frame.input.text, is_whole=False)

    def chunk(self, part: Part) -> list[Any]:
        return [{"audio_content": part.audio}]

    def over(self, key: Key) -> list[Any]:
        return []

    async def refuse(self, connection: Any, context: str) -> None:
        """Do nothing: the call is refused when what it asks for is known."""

    async def _fail(self, connection: Any) -> None:
        if self.fault is Fault.GARBAGE:
            await connection.send(GARBAGE)
        elif self.fault is Fault.STALL:
            await connection.wait_closed()

    @property
    def _configured(self) -> set[int]:
        found: set[int] = self.__dict__.setdefault("configured", set())
        return found
