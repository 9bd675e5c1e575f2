"""Speech from Kyutai's text-to-speech on its own server (`moshi-server`), 24 kHz.

Protocol: the server's source (`/api/tts_streaming`, MessagePack).  A connection says one sentence,
takes its words as the model writes them and ends behind it; closing it stops the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import ProviderSettings, Spoken, TextToSpeech
from gateway.providers.kit import msgpack
from gateway.providers.kit.sentence_sockets import SentenceVoice
from gateway.providers.kit.voice_making import voice_endpoint
from gateway.providers.kit.voices import Heard, Message, VoiceProtocol

SUMMARY = "Kyutai's voice on your own GPU (moshi-server); streams, reports its words."

_RATE_HZ = 24_000


class Settings(ProviderSettings):
    """`tts = { provider = "kyutai", ... }`."""

    voice: str = ""
    """File of a voice on the server, such as `expresso/ex03-ex01_happy_001_channel1_334s.wav`;
    empty = the server's own."""
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "ws://127.0.0.1:8089"
    """`ws://` only to this host or a private network."""
    api_key: SecretStr = SecretStr("public_token")
    """One of `authorized_ids` in the server's configuration."""
    cfg_alpha: Annotated[float, Field(ge=1, le=4)] | None = None
    """How closely the voice is followed; of models with that ability (1.0 to 4.0)."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    """The same seed says the same text in the same way."""
    stream_text: bool = True
    """Begin the first sentence of an answer while the model writes it; false for models slower
    than some ten words a second, which would leave a pause in it."""
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """The server may be silent for this time while a sentence is wanted."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    cache_bytes: Annotated[int, Field(ge=0)] = 0
    """Speech that is kept for the next time the same text is said; 0 = none."""
    tls_ca_file: Path | None = None
    """PEM file with the only authorities to trust; none = the system's."""


class _Protocol(VoiceProtocol):
    takes_beginnings = True
    ends_by_closing = True

    def say(
        self, context: str, parts: list[str], *, begins: bool = True, ends: bool = True
    ) -> Iterator[Message]:
        for part in filter(None, parts):
            yield msgpack.packed({"type": "Text", "text": part})
        if ends:
            yield msgpack.packed({"type": "Eos"})

    def sound(self, audio: bytes) -> Heard | None:
        message = msgpack.unpacked(audio, self.endpoint)
        match message.get("type"):
            case "Audio":
                return Heard(pieces=(Spoken(_s16(message.get("pcm"))),))
            case "Text":
                start_s = message.get("start_s")
                if isinstance(start_s, int | float):
                    said = Spoken(b"", str(message.get("text", "")), int(start_s * 1000))
                    return Heard(pieces=(said,))
            case "Error":
                words = " ".join(str(message.get("message", "")).split())[:300]
                if "free channels" in words:  # as many callers as it has been started for
                    error = self.endpoint.error(ProviderUnavailable, f"it is busy: {words}")
                    return Heard(is_over=True, error=error)
                return self.refusal("of the server", words)
        return None


def _s16(samples: Any) -> bytes:  # noqa: ANN401 - as the server has sent it
    scaled: np.ndarray[Any, Any] = np.clip(np.asarray(samples, np.float32) * 32767.0, -32768, 32767)
    return scaled.astype("<i2").tobytes()


def create(settings: Settings) -> TextToSpeech:
    """Make the voice; connects to nothing yet."""
    query = {
        "voice": settings.voice,
        "format": "PcmMessagePack",
        "cfg_alpha": settings.cfg_alpha,
        "temperature": settings.temperature,
        "top_k": settings.top_k,
        "seed": settings.seed,
    }
    url = f"{settings.base_url.rstrip('/')}/api/tts_streaming"
    headers = {"kyutai-api-key": settings.api_key}
    endpoint = voice_endpoint("kyutai", url, settings, headers, query)
    return SentenceVoice(
        endpoint,
        AudioFormat(_RATE_HZ),
        _Protocol,
        timeout_s=settings.timeout_s,
        opens_ahead=False,  # it would take one of the server's few channels for the whole call
        streams_text=settings.stream_text,
        cache_bytes=settings.cache_bytes,
    )


def languages(settings: Settings) -> tuple[str, ...]:
    """Return those of the published models."""
    return ("en", "fr")


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return msgpack.missing()
