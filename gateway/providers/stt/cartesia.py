"""Cartesia Ink: turn by turn, or with its own turn detection.  G.711 passes untouched.

Protocol: docs.cartesia.ai, "STT turns WebSocket" and "STT WebSocket", version 2026-08-14.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.errors import ProviderError
from gateway.providers.contracts import ProviderSettings, SpeechToText
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.recognizer import Dialect, SocketRecognizer
from gateway.providers.kit.recognizer_stream import MarkKind, Words
from gateway.providers.kit.rules import kind_of_limit, kind_of_status

SUMMARY = "Cartesia Ink; turn detection, G.711 untouched."

_ENCODINGS = {"s16": "pcm_s16le", "pcmu": "pcm_mulaw", "pcma": "pcm_alaw"}
_VERSION = "2026-08-14"
_MARKS: dict[str, MarkKind] = {
    "turn.start": "start",
    "turn.eager_end": "eager_end",
    "turn.resume": "resumed",
    "turn.end": "end",
}
_THRESHOLDS = (
    "turn_start_threshold", "turn_eager_end_threshold", "turn_end_threshold",
    "turn_end_timeout_ms",
)  # fmt: skip


class Settings(ProviderSettings):
    """`stt = { provider = "cartesia", ... }`."""

    api_key: SecretStr
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.cartesia.ai"
    """`ws://` only to this host or a private network."""
    model: Annotated[str, Field(min_length=1)] = "ink-2"
    language: str = ""
    """Of caller turns that our turn taking finds; empty = the vendor's default."""
    keyterms: tuple[str, ...] = ()
    """With its own turn detection."""
    turn_start_threshold: Annotated[float, Field(ge=0, le=1)] = 0.8
    turn_eager_end_threshold: Annotated[float, Field(ge=0, le=1)] = 0.4
    turn_end_threshold: Annotated[float, Field(ge=0, le=1)] = 0.2
    turn_end_timeout_ms: Annotated[int, Field(ge=500, le=60_000)] = 5600
    """Silence that ends a turn in any case."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    tls_ca_file: Path | None = None


class _Vendor:
    name = "cartesia"
    encodings = frozenset(_ENCODINGS)
    narrow, wide = NARROWBAND, WIDEBAND

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.hears_turns = settings.model != "ink-whisper"
        self.accept_within_s = settings.connect_timeout_s

    def endpoint(self, audio: AudioFormat, *, listens: bool) -> Endpoint:
        settings = self._settings
        query = [
            ("model", settings.model),
            ("encoding", _ENCODINGS[audio.encoding]),
            ("sample_rate", str(audio.sample_rate_hz)),
        ]
        if listens:
            query += [("keyterm", term) for term in settings.keyterms]
            query += [(key, str(getattr(settings, key))) for key in _THRESHOLDS]
        elif settings.language:
            query.append(("language", settings.language))
        return Endpoint(
            self.name,
            f"{settings.base_url.rstrip('/')}/stt/{'turns/' if listens else ''}websocket",
            headers={"X-API-Key": settings.api_key, "Cartesia-Version": _VERSION},
            query=query,
            connect_timeout_s=settings.connect_timeout_s,
            tls_ca_file=settings.tls_ca_file,
        )

    def dialect(self, endpoint: Endpoint, audio: AudioFormat, *, listens: bool) -> Dialect:
        return (_Turns if listens else _Manual)(endpoint)


class _Ink(Dialect):
    silence_every_s = 30.0  # closed after 3 minutes without a message

    def flush(self) -> Iterable[str]:
        return ("finalize",)

    def understood(self, event: Fields) -> Iterable[Words]:
        kind = event.optional_text("type")
        if kind == "error":
            raise self._error(event)
        return self._meaning(kind, event)

    def _meaning(self, kind: str, event: Fields) -> Iterable[Words]:
        raise NotImplementedError

    def _error(self, event: Fields) -> ProviderError:
        status = event.value("status_code")
        words = event.optional_text("message") or event.optional_text("title")
        code = event.optional_text("error_code")
        number = status if isinstance(status, int) and status >= 400 else 503
        kind = kind_of_limit(f"{code} {words}") or kind_of_status(number, words)
        return self.endpoint.error(kind, f"error {code or number}: {words[:300]}")


class _Turns(_Ink):
    has_welcome = True

    def is_welcome(self, event: Fields) -> bool:
        if event.optional_text("type") == "error":
            raise self._error(event)
        return event.optional_text("type") == "connected"

    def _meaning(self, kind: str, event: Fields) -> Iterator[Words]:
        mark = _MARKS.get(kind)
        if mark is not None or kind == "turn.update":
            text = event.optional_text("transcript")
            yield Words(text, is_settled=mark == "end", mark=mark)


class _Manual(_Ink):
    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._said = ""
        """Since the last flush: pieces are joined as they are, spaces are in them."""

    def _meaning(self, kind: str, event: Fields) -> Iterator[Words]:
        if kind == "transcript":
            text = event.text("text")
            if event.flag("is_final"):
                self._said += text
                text = ""
            yield Words(self._said + text)
        elif kind == "flush_done":
            said, self._said = self._said, ""
            yield Words(said, is_settled=True, is_flushed=True)


def create(settings: Settings) -> SpeechToText:
    """Build the recognizer; nothing is connected yet."""
    return SocketRecognizer(_Vendor(settings))


def probe() -> str:
    """Return "": nothing is to be installed."""
    return ""


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)
