"""Speech from any server with OpenAI's `POST /audio/speech`, streamed, through the official SDK.

Leaving the generator (or being cancelled in it) closes the HTTP response, so the server sees the
connection go.  The sound has no words to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Literal

import httpx2
import openai
from openai._response import AsyncStreamedBinaryAPIResponse
from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat
from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.contracts import Delivery, ProviderSettings, Spoken, TextToSpeech
from gateway.providers.failures import kind_of
from gateway.providers.kit import advice
from gateway.providers.kit.advice import Advice
from gateway.providers.kit.voices import cleaned, parts_of

SUMMARY = "OpenAI's speech, or any server with /v1/audio/speech (base_url), streamed."

_MOST_CHARACTERS = 4096
_AUDIO = ("audio/", "application/octet-stream")
_IDLE_CONNECTION_S = 90.0


class Settings(ProviderSettings):
    """`tts = { provider = "openai", ... }`."""

    model: Annotated[str, Field(min_length=1)] = "gpt-4o-mini-tts"
    voice: Annotated[str, Field(min_length=1)] = "alloy"
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] = "https://api.openai.com/v1"
    api_key: SecretStr = SecretStr("")
    """Empty for servers that ask for none."""
    instructions: str = ""
    """How to speak, such as "calm, like a doctor's receptionist"; of newer models only."""
    speed: Annotated[float, Field(ge=0.25, le=4)] | None = None
    sample_rate_hz: Literal[8000, 16000, 22050, 24000, 44100, 48000] = 24_000
    """Of the server's `pcm`; OpenAI's own is 24000."""
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """To connect, to the first sound, and between two pieces of it."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Merged into every request, for what only this server knows."""
    cache_bytes: Annotated[int, Field(ge=0)] = 0
    """Speech that is kept for the next time the same text is said; 0 = none."""


class OpenAiVoice:
    """Satisfies `TextToSpeech`."""

    is_remote = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.output_format = AudioFormat(settings.sample_rate_hz)
        self.delivery = Delivery(cache_bytes=settings.cache_bytes)
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            # The SDK would look for a key in the environment, and that one is another server's.
            api_key=settings.api_key.get_secret_value() or "none",
            max_retries=0,  # a caller is waiting
            http_client=openai.DefaultAsyncHttpx2Client(
                timeout=httpx2.Timeout(settings.timeout_s),
                limits=httpx2.Limits(keepalive_expiry=_IDLE_CONNECTION_S),
            ),
        )

    async def warm_up(self) -> None:
        """Open a connection and see whether the key is taken; nothing is spoken or paid for.

        Raises:
            ProviderError: no server answers at `base_url`, or it refuses the key.
        """
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await self._client.get("/models", cast_to=httpx2.Response)
        except TimeoutError as error:
            raise self._error(ProviderTimeout, "no answer in time") from error
        except openai.APIStatusError as error:
            # Not every server lists its models: a 404 proves that a server is there.
            if error.status_code in {401, 403} or error.status_code >= 500:
                raise self._translated(error) from error
        except (openai.OpenAIError, ValueError) as error:
            raise self._translated(error) from error

    async def speak(self, text: str) -> AsyncGenerator[Spoken, None]:
        """Yield the speech of one sentence (see `contracts.TextToSpeech`)."""
        said = cleaned(text)
        for part in parts_of(said, _MOST_CHARACTERS) if said else ():
            try:
                async with self._request(part) as response:
                    kind = response.headers.get("Content-Type", "")
                    if not kind.startswith(_AUDIO):
                        problem = f"{kind or 'something'} came instead of sound: is base_url right?"
                        raise self._error(ProviderProtocolError, problem)
                    async for chunk in response.iter_bytes():
                        yield Spoken(chunk)
            except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
                raise self._translated(error) from error

    async def close(self) -> None:
        """Close the connections.  Idempotent."""
        await self._client.close()

    def _request(self, text: str) -> AbstractAsyncContextManager[AsyncStreamedBinaryAPIResponse]:
        settings = self._settings
        return self._client.audio.speech.with_streaming_response.create(
            model=settings.model,
            voice=settings.voice,
            input=text,
            response_format="pcm",
            instructions=settings.instructions or openai.omit,
            speed=settings.speed if settings.speed is not None else openai.omit,
            extra_body=settings.extra_body or None,
        )

    def _translated(self, error: Exception) -> ProviderError:
        """Vendor exception to ours: the only place."""
        match error:
            case openai.APITimeoutError() | httpx2.TimeoutException():
                return self._error(ProviderTimeout, "no answer in time")
            case openai.APIStatusError(status_code=status):
                kind = kind_of(status, error.code, error.type, str(error))
                return self._error(kind, str(error))
            case openai.APIConnectionError() | httpx2.HTTPError():
                problem = f"connection failed ({error.__cause__ or error})"
                return self._error(ProviderUnavailable, problem)
        return self._error(ProviderProtocolError, f"not what was expected ({error})")

    def _error(self, kind: type[ProviderError], problem: str) -> ProviderError:
        """Make an error of one short line without the key, which some servers repeat."""
        if key := self._settings.api_key.get_secret_value():
            problem = problem.replace(key, "***")
        return kind("openai", " ".join(problem.split())[:300])


def create(settings: Settings) -> TextToSpeech:
    """Make the voice; connects to nothing yet."""
    return OpenAiVoice(settings)


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work, for `gateway check`."""
    yield from advice.missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
