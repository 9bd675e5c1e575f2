"""From a vendor's settings to its endpoint and its voice: what is the same for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from gateway.audio.format import AudioFormat
from gateway.providers.kit.endpoint import Endpoint, Text
from gateway.providers.kit.voices import SocketVoice, VoiceProtocol


class VoiceSettings(Protocol):
    """Settings that every voice behind a WebSocket has."""

    @property
    def stream_text(self) -> bool:
        """Begin a sentence while the model writes it."""

    @property
    def timeout_s(self) -> float:
        """How long the vendor may be silent."""

    @property
    def connect_timeout_s(self) -> float:
        """For one attempt to connect."""

    @property
    def cache_bytes(self) -> int:
        """Speech that is kept."""

    @property
    def tls_ca_file(self) -> Path | None:
        """The only authorities to trust."""


def voice_endpoint(
    provider: str,
    url: str,
    settings: VoiceSettings,
    headers: Mapping[str, Text],
    query: Mapping[str, object] | None = None,
) -> Endpoint:
    """Return where a voice is.

    Args:
        provider: its name.
        url: with the path.
        settings: of the voice.
        headers: with the key.
        query: what is None or empty is left out; truth values are written as in JSON.
    """
    asked = {key: value for key, value in (query or {}).items() if value not in {None, ""}}
    return Endpoint(
        provider,
        url,
        headers=headers,
        query=[
            (key, str(value).lower() if isinstance(value, bool) else str(value))
            for key, value in asked.items()
        ],
        connect_timeout_s=settings.connect_timeout_s,
        tls_ca_file=settings.tls_ca_file,
    )


def socket_voice(
    endpoint: Endpoint,
    form: AudioFormat,
    protocol: Callable[[Endpoint], VoiceProtocol],
    settings: VoiceSettings,
    language: str = "",
) -> SocketVoice:
    """Return a voice that keeps one connection for a call.

    Args:
        endpoint: of the vendor.
        form: of its sound.
        protocol: makes what speaks for one connection.
        settings: of the voice.
        language: of the voice, where its settings choose one.
    """
    return SocketVoice(
        endpoint,
        form,
        protocol,
        timeout_s=settings.timeout_s,
        streams_text=settings.stream_text,
        language=language,
        cache_bytes=settings.cache_bytes,
    )
