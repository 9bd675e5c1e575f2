"""Speech from Deepgram over its WebSockets: Aura (`/v1/speak`) and Flux (`/v2/speak`).

Protocol: the vendor's Python SDK 7.17 (`speak.v1`, `speak.v2`).  Neither names the sentence that a
piece of sound belongs to: what was cut off is skipped until the vendor says that it has stopped.
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
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.voice_making import socket_voice, voice_endpoint
from gateway.providers.kit.voices import Heard, Message, VoiceProtocol

SUMMARY = "Deepgram Aura and Flux; streams, stops when it is told to, G.711 untouched."

_ENCODINGS: dict[str, Encoding] = {"mulaw": "pcmu", "alaw": "pcma", "linear16": "s16"}
_VOID = "what was cut off"
_FATAL = frozenset({"NET-0000", "NET-0001", "NET-0002", "NET-0003", "NET-0004"})


class Settings(ProviderSettings):
    """`tts = { provider = "deepgram", ... }`."""

    model: Annotated[str, Field(pattern=r"^(aura|flux)[\w-]*$")] = "aura-2-thalia-en"
    """Voice and language in one: `aura-2-NAME-LANGUAGE`, or `flux-NAME-LANGUAGE`."""
    api_key: SecretStr = SecretStr("")
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.deepgram.com"
    encoding: Literal["mulaw", "alaw", "linear16"] = "mulaw"
    sample_rate_hz: Literal[8000, 16000, 24000, 32000, 48000] = 8000
    """16000 keeps the band of a wide line (G.722)."""
    speed: Annotated[float, Field(ge=0.5, le=1.5)] | None = None
    expressivity: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Of Flux only."""
    mip_opt_out: bool = False
    """True = nothing is kept at the vendor to improve its models."""
    stream_text: bool = True
    """Begin the first sentence of an answer while the model writes it, with Flux; false for models
    slower than some ten words a second, which would leave a pause in it."""
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """The vendor may be silent for this time while a sentence is wanted."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    cache_bytes: Annotated[int, Field(ge=0)] = 0
    """Speech that is kept for the next time the same text is said; 0 = none."""
    tls_ca_file: Path | None = None
    """PEM file with the only authorities to trust; none = the system's."""


class _Deepgram(VoiceProtocol):
    most_characters = 2000
    stop: Message
    stopped: str
    finished: str

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._stopping = 0
        """Sentences that were cut off and have not stopped yet."""

    def say(
        self, context: str, parts: list[str], *, begins: bool = True, ends: bool = True
    ) -> Iterator[Message]:
        for part in filter(None, parts):
            yield {"type": "Speak", "text": part}
        if ends:
            yield {"type": "Flush"}

    def cut(self, context: str) -> Iterable[Message]:
        self._stopping += 1
        return (self.stop,)

    def sound(self, audio: bytes) -> Heard:
        return Heard(_VOID) if self._stopping else Heard(pieces=(Spoken(audio),) if audio else ())

    def read(self, event: Fields) -> Heard | None:
        kind = event.text("type")
        if kind == self.stopped:
            self._stopping = max(0, self._stopping - 1)
        elif kind == self.finished and not self._stopping:
            return Heard(is_over=True)
        elif kind == "Error":
            code = event.optional_text("code")
            status: object = 503 if code in _FATAL else code
            words = f"{code} {event.optional_text('description')}"
            return self.refusal(status, words)
        elif kind == "Warning" and event.optional_text("code") == "NO_ACTIVE_SPEECH":
            self._stopping = max(0, self._stopping - 1)  # it was over before it was told to stop
        return None


class _Aura(_Deepgram):
    stop: Message = {"type": "Clear"}  # noqa: RUF012 - never changed
    stopped = "Cleared"
    finished = "Flushed"


class _Flux(_Deepgram):
    takes_beginnings = True
    stop: Message = {"type": "Interrupt"}  # noqa: RUF012 - never changed
    stopped = "SpeechInterrupted"
    finished = "SpeechMetadata"


def create(settings: Settings) -> TextToSpeech:
    """Make the voice; connects to nothing yet."""
    is_flux = settings.model.startswith("flux")
    key = settings.api_key.get_secret_value()
    query = {
        "model": settings.model,
        "encoding": settings.encoding,
        "sample_rate": settings.sample_rate_hz,
        "speed": settings.speed,
        "expressivity": settings.expressivity if is_flux else None,
        "mip_opt_out": settings.mip_opt_out or None,
    }
    headers = {"Authorization": SecretStr(f"Token {key}")}
    url = f"{settings.base_url.rstrip('/')}/{'v2' if is_flux else 'v1'}/speak"
    return socket_voice(
        voice_endpoint("deepgram", url, settings, headers, query),
        AudioFormat(settings.sample_rate_hz, encoding=_ENCODINGS[settings.encoding]),
        _Flux if is_flux else _Aura,
        settings,
        settings.model.rpartition("-")[2],
    )


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work, for `gateway check`."""
    yield from advice.missing_key(settings)


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant, for `gateway check`."""
    if settings.model.startswith("aura"):
        why = "with Aura: it is a setting of Flux"
        yield from advice.without_effect(settings, ["expressivity"], why)


def languages(settings: Settings) -> tuple[str, ...]:
    """Return the language in the model's name; empty where it names none."""
    code = settings.model.rpartition("-")[2]
    return (code,) if len(code) == 2 else ()


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
