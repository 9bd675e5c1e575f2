"""Whole utterances to any server with OpenAI's `POST /audio/transcriptions`, such as whisper's.

The audio of a turn is sent as a WAV file each time its words are asked for: a server that is near
and fast answers soonest.  There are no words while the caller speaks.
"""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import httpx2
from pydantic import Field, SecretStr

from gateway.audio.format import NARROWBAND, SAMPLE_BYTES, WIDEBAND, AudioFormat
from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.contracts import Expect, ProviderSettings, SpeechToText, Transcript
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.kit.recognizer_stream import plain
from gateway.providers.kit.rules import kind_of_status, without_secrets, words_of_status

SUMMARY = "Any server with OpenAI's /audio/transcriptions, such as a local whisper server."

_NAME = "openai_http"
_LEAST_S = 0.1
"""Shorter audio holds no word, and OpenAI refuses it."""


class Settings(ProviderSettings):
    """`stt = { provider = "openai_http", ... }`."""

    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] = "https://api.openai.com/v1"
    model: Annotated[str, Field(min_length=1)] = "gpt-transcribe"
    api_key: SecretStr = SecretStr("")
    """Empty for servers that ask for none."""
    language: str = ""
    """ISO 639-1; empty = detected."""
    prompt: str = ""
    """Hints: names, words of the trade."""
    timeout_s: Annotated[float, Field(gt=0)] = 4.0
    """For one transcript."""


class OpenAiHttp:
    """Satisfies `contracts.SpeechToText`."""

    is_remote = True

    def __init__(self, settings: Settings, input_format: AudioFormat = NARROWBAND) -> None:
        self.input_format = input_format
        self._settings = settings
        key = settings.api_key.get_secret_value()
        self._client = httpx2.AsyncClient(
            base_url=settings.base_url,
            timeout=settings.timeout_s,
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self._wide: OpenAiHttp | None = None

    def for_line(self, line_format: AudioFormat) -> OpenAiHttp:
        """Return it in the band of a line."""
        if line_format.sample_rate_hz < WIDEBAND.sample_rate_hz or self.input_format == WIDEBAND:
            return self
        self._wide = self._wide or OpenAiHttp(self._settings, WIDEBAND)
        return self._wide

    async def warm_up(self) -> None:
        """Transcribe some silence.  Raises ProviderError."""
        await self.transcribed(bytes(self.input_format.frame_bytes * 25))

    @asynccontextmanager
    async def stream(self, expect: Expect) -> AsyncIterator[_Turn]:
        """Recognize one turn."""
        turn = _Turn(self, expect)
        try:
            yield turn
        finally:
            turn.close()

    async def close(self) -> None:
        """Close the connections.  Idempotent."""
        await self._client.aclose()
        if self._wide is not None:
            await self._wide.close()

    async def transcribed(self, pcm: bytes) -> str:
        """Return the words of an utterance, s16 in `input_format`.  Raises ProviderError."""
        settings = self._settings
        options = {"language": settings.language, "prompt": settings.prompt}
        fields = {"model": settings.model, "response_format": "json"}
        fields |= {key: value for key, value in options.items() if value}
        files = {"file": ("turn.wav", _wav(pcm, self.input_format), "audio/wav")}
        try:
            response = await self._client.post("/audio/transcriptions", data=fields, files=files)
        except httpx2.TimeoutException as error:
            problem = f"no transcript within {settings.timeout_s:g} s"
            raise ProviderTimeout(_NAME, problem) from error
        except httpx2.HTTPError as error:
            raise ProviderUnavailable(_NAME, f"no connection: {error}") from error
        if not response.is_success:
            raise self._error(response)
        try:
            text = response.json()["text"]
        except (ValueError, KeyError, TypeError):
            text = None
        if not isinstance(text, str):
            shown = self._hidden(response.text)[:80]
            problem = f"a JSON object with a text was expected, this came: {shown!r}"
            raise ProviderProtocolError(_NAME, problem)
        return text.strip()

    def _error(self, response: httpx2.Response) -> ProviderError:
        body = self._hidden(response.text)
        words = words_of_status(response.status_code, body).replace("connection", "request")
        return kind_of_status(response.status_code, body)(_NAME, words)

    def _hidden(self, text: str) -> str:
        return without_secrets(text, [self._settings.api_key.get_secret_value()])


class _Turn:
    """Satisfies `contracts.SttStream`."""

    def __init__(self, server: OpenAiHttp, expect: Expect) -> None:
        self._server = server
        self._choices = {plain(choice): choice for choice in expect.choices}
        self._audio = bytearray()
        self._asked: int | None = None
        self._is_closed = False
        self._wake = asyncio.Event()

    def push(self, pcm: bytes) -> None:
        """Keep caller audio."""
        self._audio += pcm

    def request_transcript(self, among: Sequence[str] = ()) -> None:
        """Ask for a transcript of all audio so far."""
        self._asked = len(self._audio)
        self._wake.set()

    def caller_goes_on(self) -> None:
        """Ask nothing that is not on its way yet."""
        self._asked = None

    def close(self) -> None:
        """End the iteration."""
        self._is_closed = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Transcript]:
        """Yield transcripts until the stream is closed.  Raises ProviderError."""
        least = _LEAST_S * self._server.input_format.sample_rate_hz * SAMPLE_BYTES
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._is_closed:
                return
            asked, self._asked = self._asked, None
            if asked is None:
                continue
            pcm = bytes(self._audio[:asked])
            text = await self._server.transcribed(pcm) if asked >= least else ""
            choice = self._choices.get(plain(text))
            yield Transcript(text, asked // SAMPLE_BYTES, requested=True, choice=choice)


def _wav(pcm: bytes, audio: AudioFormat) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(SAMPLE_BYTES)
        recording.setframerate(audio.sample_rate_hz)
        recording.writeframes(pcm)
    return file.getvalue()


def create(settings: Settings) -> SpeechToText:
    """Build the recognizer; nothing is connected yet."""
    return OpenAiHttp(settings)


def probe() -> str:
    """Return "": nothing is to be installed."""
    return ""


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)
