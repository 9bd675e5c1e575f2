"""Speech from Cartesia (Sonic) over its WebSocket, mu-law at 8 kHz straight to RTP.

Protocol: the vendor's Python SDK 4.2 (`GenerationRequest`, `WebsocketResponse`).  Each sentence is
a context; one that is cut off is cancelled at the vendor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.audio.format import AudioFormat, Encoding
from gateway.providers.contracts import ProviderSettings, Spoken, TextToSpeech
from gateway.providers.kit import advice
from gateway.providers.kit.advice import Advice
from gateway.providers.kit.endpoint import Endpoint, Text
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.voice_making import socket_voice, voice_endpoint
from gateway.providers.kit.voices import Heard, Message, VoiceProtocol

SUMMARY = "Cartesia Sonic; streams, reports its words, G.711 untouched."

_VERSION = "2026-08-14"
_ENCODINGS: dict[str, Encoding] = {"pcm_mulaw": "pcmu", "pcm_alaw": "pcma", "pcm_s16le": "s16"}


class Settings(ProviderSettings):
    """`tts = { provider = "cartesia", ... }`."""

    voice: Annotated[str, Field(min_length=1)]
    """A voice id."""
    api_key: SecretStr = SecretStr("")
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.cartesia.ai"
    model: str = "sonic-3"
    """`sonic-3`, `sonic-3.5`, `sonic-latest`."""
    encoding: Literal["pcm_mulaw", "pcm_alaw", "pcm_s16le"] = "pcm_mulaw"
    sample_rate_hz: Literal[8000, 16000, 22050, 24000, 44100, 48000] = 8000
    """16000 keeps the band of a wide line (G.722)."""
    language: str = ""
    """Such as `de`; empty = the voice's own."""
    speed: Annotated[float, Field(ge=0.6, le=1.5)] | None = None
    volume: Annotated[float, Field(ge=0.5, le=2.0)] | None = None
    emotion: str = ""
    """Such as `calm`; for `sonic-3` and newer, as speed and volume."""
    pronunciation_dict_id: str = ""
    stream_text: bool = True
    """Begin the first sentence of an answer while the model writes it; false for models slower
    than some ten words a second, which would leave a pause in it."""
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """The vendor may be silent for this time while a sentence is wanted."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    cache_bytes: Annotated[int, Field(ge=0)] = 0
    """Speech that is kept for the next time the same text is said; 0 = none."""
    tls_ca_file: Path | None = None
    """PEM file with the only authorities to trust; none = the system's."""


class _Protocol(VoiceProtocol):
    takes_beginnings = True

    def __init__(self, endpoint: Endpoint, settings: Settings) -> None:
        super().__init__(endpoint)
        self._request: dict[str, object] = {
            "model_id": settings.model,
            "voice": {"mode": "id", "id": settings.voice},
            "output_format": {
                "container": "raw",
                "encoding": settings.encoding,
                "sample_rate": settings.sample_rate_hz,
            },
            "add_timestamps": True,
            "max_buffer_delay_ms": 0,  # the gateway cuts sentences itself
        }
        names = ("speed", "volume", "emotion")
        style = {
            name: value for name in names if (value := getattr(settings, name)) not in {None, ""}
        }
        further = {
            "language": settings.language,
            "pronunciation_dict_id": settings.pronunciation_dict_id,
            "generation_config": style,
        }
        self._request |= {name: value for name, value in further.items() if value}

    def say(
        self, context: str, parts: list[str], *, begins: bool = True, ends: bool = True
    ) -> Iterator[Message]:
        for number, part in enumerate(parts, start=1):
            text = {"transcript": part, "continue": number < len(parts) or not ends}
            yield {**self._request, "context_id": context, **text}

    def cut(self, context: str) -> Iterable[Message]:
        return ({"context_id": context, "cancel": True},)

    def read(self, event: Fields) -> Heard | None:
        context = event.optional_text("context_id")
        match event.text("type"):
            case "chunk":
                audio = event.audio("data") if event.value("data") else b""
                pieces = (Spoken(audio),) if audio else ()
                return Heard(context, pieces)
            case "timestamps":
                return Heard(context, tuple(_words(event)))
            case "done":
                return Heard(context, is_over=True)
            case "error":
                told = (event.optional_text(key) for key in ("error_code", "title", "message"))
                return self.refusal(event.value("status_code"), " ".join(told), context)
        return None


def _words(event: Fields) -> Iterator[Spoken]:
    """Yield the words of an event, whose times count from the beginning of the context."""
    found = event.inner_or_none("word_timestamps")
    if found is None:
        return
    for word, start_s in zip(found.listed("words"), found.listed("start"), strict=False):
        if isinstance(word, str) and isinstance(start_s, int | float):
            yield Spoken(b"", word, int(start_s * 1000))


def create(settings: Settings) -> TextToSpeech:
    """Make the voice; connects to nothing yet."""
    key = settings.api_key.get_secret_value()
    headers: dict[str, Text] = {
        "Authorization": SecretStr(f"Bearer {key}"),
        "Cartesia-Version": _VERSION,
    }
    url = f"{settings.base_url.rstrip('/')}/tts/websocket"
    return socket_voice(
        voice_endpoint("cartesia", url, settings, headers),
        AudioFormat(settings.sample_rate_hz, encoding=_ENCODINGS[settings.encoding]),
        lambda found: _Protocol(found, settings),
        settings,
        settings.language,
    )


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work, for `gateway check`."""
    yield from advice.missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
