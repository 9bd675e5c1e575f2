"""Speech from Hume (Octave) over its WebSocket, 48 kHz.

Protocol: the vendor's Python SDK 0.14 (`tts.stream_input`: `PublishTts`, `TtsOutput`).  The vendor
reports no end of a text but that of its connection: each sentence has one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat
from gateway.providers.contracts import ProviderSettings, Spoken, TextToSpeech
from gateway.providers.kit import advice
from gateway.providers.kit.advice import Advice
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.sentence_sockets import SentenceVoice
from gateway.providers.kit.voice_making import voice_endpoint
from gateway.providers.kit.voices import Heard, Message, VoiceProtocol

SUMMARY = "Hume Octave; streams, reports its words, takes acting instructions."

_FORM = AudioFormat(48_000)
_AGAIN_MS = 50
"""A word that begins this much before the one before it counts from another beginning."""


class Settings(ProviderSettings):
    """`tts = { provider = "hume", ... }`."""

    voice: Annotated[str, Field(min_length=1)]
    """Name of a voice, or its id (36 characters with hyphens)."""
    voice_provider: Literal["HUME_AI", "CUSTOM_VOICE"] = "HUME_AI"
    """`CUSTOM_VOICE` for voices of your own account."""
    api_key: SecretStr = SecretStr("")
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.hume.ai/v0"
    instructions: Annotated[str, Field(max_length=1000)] = ""
    """How to speak, such as "calm, a little slower": short ones work best."""
    version: Literal["1", "2"] = "2"
    """Of Octave; timings of words come from 2."""
    instant_mode: bool = True
    """Begin with the least delay."""
    speed: Annotated[float, Field(ge=0.5, le=2)] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    stream_text: bool = True
    """Begin the first sentence of an answer while the model writes it; false lets Octave see the
    whole sentence before it speaks, which sounds better and comes later."""
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """The vendor may be silent for this time while a sentence is wanted."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    cache_bytes: Annotated[int, Field(ge=0)] = 0
    """Speech that is kept for the next time the same text is said; 0 = none."""
    tls_ca_file: Path | None = None
    """PEM file with the only authorities to trust; none = the system's."""

    @property
    def voice_is_id(self) -> bool:
        """Return whether `voice` is an id."""
        return len(self.voice) == 36 and self.voice.count("-") == 4


class _Protocol(VoiceProtocol):
    takes_beginnings = True
    ends_by_closing = True

    def __init__(self, endpoint: Endpoint, settings: Settings) -> None:
        super().__init__(endpoint)
        kind = "id" if settings.voice_is_id else "name"
        self._first: dict[str, object] = {
            "voice": {kind: settings.voice, "provider": settings.voice_provider}
        }
        if settings.instructions:
            self._first["description"] = settings.instructions
        if settings.speed is not None:
            self._first["speed"] = settings.speed
        self._sound_ms = self._base_ms = self._last_ms = 0
        self._starts_ms: dict[str, int] = {}
        """Where in the sentence each of its parts begins."""

    def say(
        self, context: str, parts: list[str], *, begins: bool = True, ends: bool = True
    ) -> Iterator[Message]:
        for part in filter(None, parts):
            yield {**self._first, "text": part}
        yield {"close": True} if ends else {"flush": True}

    def read(self, event: Fields) -> Heard | None:
        start_ms = self._starts_ms.setdefault(event.optional_text("snippet_id"), self._sound_ms)
        match event.optional_text("type"):
            case "audio":
                sound = event.audio("audio")
                self._sound_ms += round(_FORM.seconds(sound) * 1000)
                return Heard(pieces=(Spoken(sound),) if sound else ())
            case "timestamp":
                found = event.inner("timestamp")
                at_ms = self._place_ms(int(found.inner("time").number("begin")), start_ms)
                return Heard(pieces=(Spoken(b"", found.text("text"), at_ms),))
            case "error":
                code = event.value("status") or event.value("code")
                words = f"{event.optional_text('slug')} {event.optional_text('message')}"
                return self.refusal(code, words.strip())
        return None

    def _place_ms(self, at_ms: int, start_ms: int) -> int:
        """Return where in the sentence a word begins; its parts may count anew, each from 0."""
        if self._base_ms + at_ms < self._last_ms - _AGAIN_MS:
            self._base_ms = start_ms
        self._last_ms = self._base_ms + at_ms
        return self._last_ms


def create(settings: Settings) -> TextToSpeech:
    """Make the voice; connects to nothing yet."""
    query = {
        "format_type": "pcm",
        "strip_headers": "true",
        "no_binary": "true",
        "instant_mode": settings.instant_mode,
        "version": settings.version,
        "include_timestamp_types": "word" if settings.version == "2" else None,
        "temperature": settings.temperature,
    }
    url = f"{settings.base_url.rstrip('/')}/tts/stream/input"
    headers = {"X-Hume-Api-Key": settings.api_key}
    endpoint = voice_endpoint("hume", url, settings, headers, query)
    return SentenceVoice(
        endpoint,
        _FORM,
        lambda found: _Protocol(found, settings),
        timeout_s=settings.timeout_s,
        opens_ahead=True,
        streams_text=settings.stream_text,
        cache_bytes=settings.cache_bytes,
    )


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work, for `gateway check`."""
    yield from advice.missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
