"""ElevenLabs Scribe, realtime.  Mu-law passes untouched.

Protocol: elevenlabs.io/docs, "Realtime speech to text", and the types of elevenlabs 2.78.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers.contracts import ProviderSettings, SpeechToText
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.recognizer import Dialect, SocketRecognizer
from gateway.providers.kit.recognizer_stream import MarkKind, Words

SUMMARY = "ElevenLabs Scribe, realtime; mu-law untouched."

_ERRORS: dict[str, type[ProviderError]] = {
    "auth_error": ProviderRejected,
    "chunk_size_exceeded": ProviderRejected,
    "error": ProviderUnavailable,
    "input_error": ProviderRejected,
    "invalid_request": ProviderRejected,
    "queue_overflow": ProviderUnavailable,
    "quota_exceeded": QuotaExceeded,
    "rate_limited": RateLimited,
    "resource_exhausted": ProviderUnavailable,
    "session_time_limit_exceeded": ProviderUnavailable,
    "transcriber_error": ProviderUnavailable,
    "unaccepted_terms": ProviderRejected,
}


class Settings(ProviderSettings):
    """`stt = { provider = "elevenlabs", ... }`."""

    api_key: SecretStr
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.elevenlabs.io"
    """`ws://` only to this host or a private network."""
    model: Annotated[str, Field(min_length=1)] = "scribe_v2_realtime"
    language: str = ""
    """ISO 639 code; empty = detected."""
    keyterms: Annotated[tuple[str, ...], Field(max_length=50)] = ()
    no_verbatim: bool = False
    """Leave out fillers and false starts."""
    silence_s: Annotated[float, Field(ge=0.3, le=3)] = 0.5
    """Silence that ends a turn, with `turn.by`."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    tls_ca_file: Path | None = None


class _Vendor:
    name = "elevenlabs"
    hears_turns = True
    encodings = frozenset({"s16", "pcmu"})
    narrow, wide = NARROWBAND, WIDEBAND

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.accept_within_s = settings.connect_timeout_s

    def endpoint(self, audio: AudioFormat, *, listens: bool) -> Endpoint:
        settings = self._settings
        encoding = "ulaw" if audio.encoding == "pcmu" else "pcm"
        query = [
            ("model_id", settings.model),
            ("audio_format", f"{encoding}_{audio.sample_rate_hz}"),
            ("commit_strategy", "vad" if listens else "manual"),
            *[("keyterms", term) for term in settings.keyterms],
        ]
        if listens:
            query.append(("vad_silence_threshold_secs", str(settings.silence_s)))
        if settings.language:
            query.append(("language_code", settings.language))
        if settings.no_verbatim:
            query.append(("no_verbatim", "true"))
        return Endpoint(
            self.name,
            f"{settings.base_url.rstrip('/')}/v1/speech-to-text/realtime",
            headers={"xi-api-key": settings.api_key},
            query=query,
            connect_timeout_s=settings.connect_timeout_s,
            tls_ca_file=settings.tls_ca_file,
        )

    def dialect(self, endpoint: Endpoint, audio: AudioFormat, *, listens: bool) -> Dialect:
        return _Scribe(endpoint, audio.sample_rate_hz, listens=listens)


class _Scribe(Dialect):
    has_welcome = True
    answers_flush = False  # not documented for audio without speech
    silence_every_s = 5.0

    def __init__(self, endpoint: Endpoint, rate_hz: int, *, listens: bool) -> None:
        super().__init__(endpoint)
        self._rate_hz = rate_hz
        self._listens = listens

    def is_welcome(self, event: Fields) -> bool:
        self._raise_error(event)
        return event.optional_text("message_type") == "session_started"

    def audio(self, audio: bytes) -> str:
        return self._chunk(audio, commit=False)

    def flush(self) -> Iterable[str]:
        return (self._chunk(b"", commit=True),)

    def understood(self, event: Fields) -> Iterator[Words]:
        self._raise_error(event)
        match event.optional_text("message_type"):
            case "partial_transcript":
                yield Words(event.text("text"))
            case "committed_transcript":
                mark: MarkKind | None = "end" if self._listens else None
                yield Words(
                    event.text("text"), is_settled=True, is_flushed=not self._listens, mark=mark
                )
            case "insufficient_audio_activity":  # a commit without speech
                yield Words(is_settled=True, is_flushed=True)
            case _:
                return

    def _chunk(self, audio: bytes, *, commit: bool) -> str:
        coded = base64.b64encode(audio).decode()
        chunk = {"audio_base_64": coded, "commit": commit, "sample_rate": self._rate_hz}
        return json.dumps({"message_type": "input_audio_chunk", **chunk})

    def _raise_error(self, event: Fields) -> None:
        code = event.optional_text("message_type")
        if code in _ERRORS:
            words = event.optional_text("error")[:300]
            raise self.endpoint.error(_ERRORS[code], f"error {code}: {words}")


def create(settings: Settings) -> SpeechToText:
    """Build the recognizer; nothing is connected yet."""
    return SocketRecognizer(_Vendor(settings))


def probe() -> str:
    """Return "": nothing is to be installed."""
    return ""


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)
