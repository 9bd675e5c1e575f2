"""OpenAI's realtime transcription.  G.711 passes untouched.

Protocol: platform.openai.com, "Realtime transcription", and the types of openai 3.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderError, ProviderRejected, ProviderUnavailable
from gateway.providers.contracts import ProviderSettings, SpeechToText
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.recognizer import Dialect, SocketRecognizer
from gateway.providers.kit.recognizer_stream import MarkKind, Words
from gateway.providers.kit.rules import kind_of_limit

SUMMARY = "OpenAI's realtime transcription; turn detection, G.711 untouched."

_LINEAR = AudioFormat(24_000)
_TOO_SHORT = "input_audio_buffer_commit_empty"
_TRANSCRIPTION = "conversation.item.input_audio_transcription."


class Settings(ProviderSettings):
    """`stt = { provider = "openai", ... }`."""

    api_key: SecretStr
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.openai.com/v1"
    """`ws://` only to this host or a private network."""
    model: Annotated[str, Field(min_length=1)] = "gpt-transcribe"
    language: str = ""
    """ISO 639-1; empty = detected."""
    prompt: str = ""
    """Hints in a sentence: what the call is about."""
    keyterms: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    """Names and words of the trade that are to be recognized."""
    noise_reduction: Literal["", "near_field", "far_field"] = ""
    """`near_field` for handsets and headsets, `far_field` for hands-free callers; empty = none."""
    silence_ms: Annotated[int, Field(ge=100, le=5000)] = 500
    """Silence that ends a turn, with `turn.by`."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    tls_ca_file: Path | None = None


class _Vendor:
    name = "openai"
    hears_turns = True
    encodings = frozenset({"pcmu", "pcma"})
    narrow = wide = _LINEAR

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.accept_within_s = settings.connect_timeout_s

    def endpoint(self, audio: AudioFormat, *, listens: bool) -> Endpoint:
        settings = self._settings
        return Endpoint(
            self.name,
            f"{settings.base_url.rstrip('/')}/realtime",
            headers={"Authorization": SecretStr(f"Bearer {settings.api_key.get_secret_value()}")},
            query=[("intent", "transcription")],
            connect_timeout_s=settings.connect_timeout_s,
            tls_ca_file=settings.tls_ca_file,
        )

    def dialect(self, endpoint: Endpoint, audio: AudioFormat, *, listens: bool) -> Dialect:
        settings = self._settings
        detection: dict[str, object] = {
            "type": "server_vad",
            "silence_duration_ms": settings.silence_ms,
        }
        options = {
            "language": settings.language,
            "prompt": settings.prompt,
            "keywords": list(settings.keyterms),
        }
        asked = {key: value for key, value in options.items() if value}
        kind = {"pcmu": "audio/pcmu", "pcma": "audio/pcma"}.get(audio.encoding, "audio/pcm")
        rate = {"rate": audio.sample_rate_hz} if kind == "audio/pcm" else {}
        hearing: dict[str, object] = {
            "format": {"type": kind, **rate},
            "transcription": {"model": settings.model, **asked},
            "turn_detection": detection if listens else None,
        }
        if settings.noise_reduction:
            hearing["noise_reduction"] = {"type": settings.noise_reduction}
        session: dict[str, object] = {"type": "transcription", "audio": {"input": hearing}}
        return _Transcription(endpoint, session, listens=listens)


class _Transcription(Dialect):
    has_welcome = True
    answers_flush = True

    def __init__(self, endpoint: Endpoint, session: dict[str, object], *, listens: bool) -> None:
        super().__init__(endpoint)
        self._session = session
        self._listens = listens
        self._said: dict[str, str] = {}
        """By item: the words so far of what is being transcribed."""

    def begin(self) -> Iterable[str]:
        return (json.dumps({"type": "session.update", "session": self._session}),)

    def is_welcome(self, event: Fields) -> bool:
        if event.optional_text("type") == "error":
            raise self._error(event.inner("error"))
        return event.optional_text("type") == "session.updated"

    def audio(self, audio: bytes) -> str:
        coded = base64.b64encode(audio).decode()
        return json.dumps({"type": "input_audio_buffer.append", "audio": coded})

    def flush(self) -> Iterable[str]:
        return (json.dumps({"type": "input_audio_buffer.commit"}),)

    def understood(self, event: Fields) -> Iterator[Words]:
        kind = event.optional_text("type")
        if kind == "error":
            problem = event.inner("error")
            if problem.optional_text("code") != _TOO_SHORT:
                raise self._error(problem)
            yield Words(is_settled=True, is_flushed=True)
        elif kind == "input_audio_buffer.speech_started":
            yield Words(mark="start", start_s=event.number("audio_start_ms") / 1000)
        elif kind == f"{_TRANSCRIPTION}delta":
            item = event.text("item_id")
            self._said[item] = self._said.get(item, "") + event.optional_text("delta")
            yield Words(self._said[item])
        elif kind == f"{_TRANSCRIPTION}completed":
            self._said.pop(event.text("item_id"), None)
            yield self._whole(event.text("transcript"))
        elif kind == f"{_TRANSCRIPTION}failed":
            raise self._error(event.inner("error"))

    def _whole(self, text: str) -> Words:
        mark: MarkKind | None = "end" if self._listens else None
        return Words(text, is_settled=True, is_flushed=not self._listens, mark=mark)

    def _error(self, problem: Fields) -> ProviderError:
        code = problem.optional_text("code") or problem.optional_text("type")
        words = problem.optional_text("message")[:300]
        kind: type[ProviderError] = ProviderUnavailable
        if problem.optional_text("type") == "invalid_request_error":
            kind = ProviderRejected
        return self.endpoint.error(
            kind_of_limit(f"{code} {words}") or kind, f"error {code}: {words}"
        )


def create(settings: Settings) -> SpeechToText:
    """Build the recognizer; nothing is connected yet."""
    return SocketRecognizer(_Vendor(settings))


def probe() -> str:
    """Return "": nothing is to be installed."""
    return ""


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)
