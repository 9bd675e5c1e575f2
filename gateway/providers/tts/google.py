"""Speech from Google Cloud (Chirp 3 HD, streaming synthesis), mu-law at 8 kHz straight to RTP.

Protocol: `google.cloud.texttospeech.v1.TextToSpeech/StreamingSynthesize` of the vendor's library
2.38.  Each sentence is a call on one channel; cancelling the call stops the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.audio.format import AudioFormat, Encoding
from gateway.errors import ProviderTimeout
from gateway.providers.contracts import Delivery, Spoken, TextToSpeech, TtsSession
from gateway.providers.kit.advice import Advice, odd_voice
from gateway.providers.kit.google_cloud import GoogleCloud, GoogleSettings, key_faults, missing
from gateway.providers.kit.voices import cleaned, parts_of
from gateway.providers.localized import with_region

SUMMARY = "Google Chirp 3 HD; streams, G.711 untouched (gRPC)."

_METHOD = "/google.cloud.texttospeech.v1.TextToSpeech/StreamingSynthesize"
_LIST = "/google.cloud.texttospeech.v1.TextToSpeech/ListVoices"
_ENCODINGS: dict[str, Encoding] = {"MULAW": "pcmu", "ALAW": "pcma", "PCM": "s16"}
_MOST_CHARACTERS = 1000


class Settings(GoogleSettings):
    """`tts = { provider = "google", ... }`."""

    voice: Annotated[str, Field(min_length=1)] = "Charon"
    """Name of a Chirp 3 HD voice (`Charon`), or a whole name (`de-DE-Chirp3-HD-Charon`)."""
    language: str = ""
    """Such as `de-DE`; empty = as in the voice's whole name, else `en-US`."""
    region: Literal["", "us", "eu", "asia-southeast1", "northamerica-northeast1"] = ""
    """Where speech is made; empty = anywhere (`global`)."""
    encoding: Literal["MULAW", "ALAW", "PCM"] = "MULAW"
    sample_rate_hz: Literal[8000, 16000, 24000] = 8000
    """16000 keeps the band of a wide line (G.722)."""
    speed: Annotated[float, Field(ge=0.25, le=2)] | None = None
    stream_text: bool = True
    """Begin the first sentence of an answer while the model writes it; false for models slower
    than some ten words a second, which would leave a pause in it."""
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """The vendor may be silent for this time while a sentence is wanted."""
    cache_bytes: Annotated[int, Field(ge=0)] = 0
    """Speech that is kept for the next time the same text is said; 0 = none."""

    @property
    def spoken_language(self) -> str:
        """Return the language with its region."""
        named = "-".join(self.voice.split("-")[:2]) if self.voice.count("-") >= 3 else ""
        return self.language or named or "en-US"

    @property
    def voice_name(self) -> str:
        """Return the voice's whole name."""
        is_whole = "-" in self.voice
        return self.voice if is_whole else f"{self.spoken_language}-Chirp3-HD-{self.voice}"


class GoogleVoice:
    """Satisfies `TextToSpeech` and `TtsSession`: all calls share a channel.  Loop thread only."""

    is_usable = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        encoding = _ENCODINGS[settings.encoding]
        self.output_format = AudioFormat(settings.sample_rate_hz, encoding=encoding)
        self.delivery = Delivery(cache_bytes=settings.cache_bytes)
        self.language = settings.language.partition("-")[0].lower()
        self.takes_beginnings = settings.stream_text
        region = f"{settings.region}-" if settings.region else ""
        host = f"{region}texttospeech.googleapis.com"
        self._cloud = GoogleCloud(settings, host, "google.cloud.texttospeech_v1.types.cloud_tts")

    async def warm_up(self) -> None:
        """Ask for the list of voices, which costs nothing: address, credentials, language.

        Raises:
            ProviderError: no connection, no credentials, or they are refused.
        """
        await self._cloud.connect()
        from google.cloud.texttospeech_v1.types import cloud_tts  # noqa: PLC0415 - of an extra

        request = cloud_tts.ListVoicesRequest.pb()(language_code=self._settings.spoken_language)
        answer = cloud_tts.ListVoicesResponse.pb()
        await self._cloud.ask(_LIST, request, answer, self._settings.timeout_s)

    @asynccontextmanager
    async def open_session(self, call_id: str) -> AsyncGenerator[TtsSession, None]:
        """Have a channel for a call.  Raises ProviderError."""
        await self._cloud.connect()
        session = _Session(self)
        try:
            yield session
        finally:
            session.is_usable = False

    async def speak(self, text: str) -> AsyncGenerator[Spoken, None]:
        """Yield the speech of one sentence (see `contracts.TextToSpeech`)."""
        said = cleaned(text)
        if said:
            async with aclosing(self.spoken(said, None)) as pieces:
                async for piece in pieces:
                    yield piece

    async def close(self) -> None:
        """Close the channel.  Idempotent."""
        await self._cloud.close()

    async def spoken(
        self, text: str, rest: asyncio.Future[str] | None
    ) -> AsyncGenerator[Spoken, None]:
        """Yield the speech of a text and of what follows it.  Raises ProviderError."""
        await self._cloud.connect()
        import grpc  # noqa: PLC0415 - of an extra
        from google.cloud.texttospeech_v1.types import cloud_tts  # noqa: PLC0415

        answer = cloud_tts.StreamingSynthesizeResponse.pb()
        call = self._cloud.stream(_METHOD, self._requests(cloud_tts, text, rest), answer)
        answers, wait = aiter(call), _Wait(self._settings.timeout_s, rest)
        try:
            while True:
                try:
                    async with wait.limit():
                        found = await anext(answers)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    problem = f"no speech came within {self._settings.timeout_s:g} s"
                    raise self._cloud.error(ProviderTimeout, problem) from error
                if found is None:
                    raise self._cloud.unreadable()
                if found.audio_content:
                    yield Spoken(found.audio_content)
        except grpc.RpcError as error:
            raise self._cloud.translated(error) from error
        finally:
            wait.close()
            call.cancel()

    async def _requests(
        self,
        types: Any,  # noqa: ANN401 - a module
        text: str,
        rest: asyncio.Future[str] | None,
    ) -> AsyncIterator[Any]:
        settings = self._settings
        sound: dict[str, Any] = {
            "audio_encoding": settings.encoding,
            "sample_rate_hertz": settings.sample_rate_hz,
        }
        if settings.speed is not None:
            sound["speaking_rate"] = settings.speed
        request = types.StreamingSynthesizeRequest
        voice = {"language_code": settings.spoken_language, "name": settings.voice_name}
        config = {"voice": voice, "streaming_audio_config": sound}
        yield request.pb(request(streaming_config=config))
        for part in parts_of(text, _MOST_CHARACTERS):
            yield request.pb(request(input={"text": part}))
        more = cleaned(await asyncio.shield(rest)) if rest is not None else ""
        for part in parts_of(more, _MOST_CHARACTERS) if more else ():
            yield request.pb(request(input={"text": part}))


class _Wait:
    """How long the vendor may be silent; not at all limited while the sentence is written."""

    def __init__(self, timeout_s: float, rest: asyncio.Future[str] | None) -> None:
        self._timeout_s = timeout_s
        self._rest = rest
        self._limit: asyncio.Timeout | None = None
        if rest is not None:
            rest.add_done_callback(self._is_written)

    @asynccontextmanager
    async def limit(self) -> AsyncGenerator[None, None]:
        is_written = self._rest is None or self._rest.done()
        try:
            async with asyncio.timeout(self._timeout_s if is_written else None) as self._limit:
                yield
        finally:
            self._limit = None

    def close(self) -> None:
        if self._rest is not None:
            self._rest.remove_done_callback(self._is_written)

    def _is_written(self, _: asyncio.Future[str]) -> None:
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._timeout_s)


class _Session:
    """Satisfies `TtsSession`."""

    def __init__(self, voice: GoogleVoice) -> None:
        self._voice = voice
        self.is_usable = True

    def speak(self, text: str) -> AsyncIterator[Spoken]:
        return self._voice.speak(text)

    def speak_begun(self, text: str, rest: asyncio.Future[str]) -> AsyncIterator[Spoken]:
        return self._voice.spoken(f"{cleaned(text)} ", rest)


def create(settings: Settings) -> TextToSpeech:
    """Make the voice; connects to nothing yet."""
    return GoogleVoice(settings)


def in_language(settings: Settings, language: str) -> Settings:
    """Speak the agent's language, unless the voice or the settings name one."""
    if "language" in settings.model_fields_set or "-" in settings.voice:
        return settings
    return settings.model_copy(update={"language": with_region(language)})


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work, for `gateway check`."""
    yield from key_faults(settings)


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant, for `gateway check`."""
    pattern = r"[A-Z][a-z]+|[a-z]{2,3}-[A-Z]{2}-Chirp3?-?HD-\w+"
    yield from odd_voice(settings.voice, pattern, "en-US-Chirp3-HD-Charon")


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return missing()
