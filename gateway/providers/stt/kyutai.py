"""Kyutai's streaming recognizer on its own server (`moshi-server`), 24 kHz; pauses by meaning.

Protocol: the server's source (`/api/asr-streaming`, MessagePack).  Words come with the delay of the
model: to have them at once, silence of that length is sent behind the audio, and a marker, which
comes back when everything before it was understood.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderError, ProviderRejected, ProviderUnavailable
from gateway.providers.contracts import ProviderSettings, SpeechToText
from gateway.providers.kit import msgpack
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.link import Link
from gateway.providers.kit.recognizer import Dialect, SocketRecognizer
from gateway.providers.kit.recognizer_stream import Words
from gateway.providers.kit.rules import kind_of_limit

SUMMARY = "Kyutai's recognizer on your own GPU (moshi-server); turn detection by meaning."

_LINEAR = AudioFormat(24_000)
_STEP = 1920
"""Samples of a step of the model (80 ms).  The server takes one message per step: shorter ones
would let it fall behind."""
_PAUSE_HEAD = 2
"""Of the pauses that the model foresees, the one that its authors use."""
_MORE_STEPS = 2
"""Sent behind the delay: the marker comes back with a step, not between them."""


class Settings(ProviderSettings):
    """`stt = { provider = "kyutai", ... }`."""

    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "ws://127.0.0.1:8090"
    """`ws://` only to this host or a private network."""
    api_key: SecretStr = SecretStr("public_token")
    """One of `authorized_ids` in the server's configuration."""
    delay_s: Annotated[float, Field(gt=0, le=5)] = 0.5
    """Of the model that the server runs: 0.5 of `stt-1b-en_fr`, 2.5 of `stt-2.6b-en`."""
    end_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """How sure it must be that a turn is over, with `turn.by`."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    tls_ca_file: Path | None = None


class _Vendor:
    name = "kyutai"
    hears_turns = True
    encodings = frozenset[str]()
    narrow = wide = _LINEAR

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.accept_within_s = settings.connect_timeout_s

    def endpoint(self, audio: AudioFormat, *, listens: bool) -> Endpoint:
        settings = self._settings
        return Endpoint(
            self.name,
            f"{settings.base_url.rstrip('/')}/api/asr-streaming",
            headers={"kyutai-api-key": settings.api_key},
            connect_timeout_s=settings.connect_timeout_s,
            tls_ca_file=settings.tls_ca_file,
        )

    def dialect(self, endpoint: Endpoint, audio: AudioFormat, *, listens: bool) -> Dialect:
        return _Kyutai(endpoint, self._settings, listens=listens)


class _Kyutai(Dialect):
    has_welcome = True

    def __init__(self, endpoint: Endpoint, settings: Settings, *, listens: bool) -> None:
        super().__init__(endpoint)
        self._settings = settings
        self._listens = listens
        self._waiting = b""
        """Audio of less than a step."""
        self._markers = 0
        self._said: list[str] = []
        """Words of the turn in progress."""
        self._is_ending = False
        """A pause was found: the last words of the turn are awaited."""

    def is_welcome(self, event: Fields) -> bool:
        self._raise_error(event)
        return event.optional_text("type") == "Ready"

    def event(self, link: Link, message: str | bytes) -> Fields:
        raw = message if isinstance(message, bytes) else message.encode(errors="replace")
        return Fields(msgpack.unpacked(raw, self.endpoint))

    def audio(self, audio: bytes) -> bytes:
        self._waiting += audio
        whole = len(self._waiting) - len(self._waiting) % (2 * _STEP)
        ready, self._waiting = self._waiting[:whole], self._waiting[whole:]
        return _packed(ready) if ready else b""

    def flush(self) -> Iterable[bytes]:
        self._markers += 1
        rest, self._waiting = self._waiting, b""
        rest += bytes(-len(rest) % (2 * _STEP))
        if rest:
            yield _packed(rest)
        yield msgpack.packed({"type": "Marker", "id": self._markers})
        steps = round(self._settings.delay_s * 12.5) + _MORE_STEPS
        yield _packed(bytes(2 * _STEP * steps))

    def understood(self, event: Fields) -> Iterator[Words]:
        self._raise_error(event)
        match event.optional_text("type"):
            case "Word":
                yield from self._word(event.text("text"))
            case "Step" if self._listens and self._said and not self._is_ending:
                yield from self._step(event.listed("prs"))
            case "Marker":
                yield from self._flushed()

    def _word(self, text: str) -> Iterator[Words]:
        self._said.append(text)
        is_first = self._listens and len(self._said) == 1
        yield Words(" ".join(self._said), mark="start" if is_first else None)

    def _step(self, pauses: list[object]) -> Iterator[Words]:
        sure = pauses[_PAUSE_HEAD] if len(pauses) > _PAUSE_HEAD else 0.0
        if isinstance(sure, int | float) and sure >= self._settings.end_threshold:
            self._is_ending = True  # words of the last half second have not come yet
            yield Words(" ".join(self._said), wants_flush=True, confidence=float(sure))

    def _flushed(self) -> Iterator[Words]:
        words, self._said, self._is_ending = " ".join(self._said), [], False
        yield Words(words, is_settled=True, is_flushed=True, mark="end" if self._listens else None)

    def _raise_error(self, event: Fields) -> None:
        if event.optional_text("type") != "Error":
            return
        words = event.optional_text("message")[:300]
        kind: type[ProviderError] = ProviderRejected
        if "free channels" in words or "internal" in words:  # as many callers as it has room for
            kind = ProviderUnavailable
        raise self.endpoint.error(kind_of_limit(words) or kind, f"error of the server: {words}")


def _packed(audio: bytes) -> bytes:
    samples = np.frombuffer(audio, "<i2").astype(np.float32) / 32768
    return msgpack.packed({"type": "Audio", "pcm": samples.tolist()})


def create(settings: Settings) -> SpeechToText:
    """Build the recognizer; nothing is connected yet."""
    return SocketRecognizer(_Vendor(settings))


def languages(settings: Settings) -> tuple[str, ...]:
    """Return those of the published models; the larger one knows English only."""
    return ("en", "fr") if settings.delay_s < 2 else ("en",)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return msgpack.missing()
