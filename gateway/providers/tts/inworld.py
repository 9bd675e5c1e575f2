"""Speech from Inworld over its bidirectional WebSocket, mu-law at 8 kHz straight to RTP.

Protocol: the vendor's documentation as other clients have it (`voice:streamBidirectional`).  Each
sentence is a context that is flushed and closed at once, so that its end is reported.
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

SUMMARY = "Inworld; streams, reports its words, G.711 untouched."

_ENCODINGS: dict[str, Encoding] = {"MULAW": "pcmu", "ALAW": "pcma", "PCM": "s16"}
_STATUS = {3: 400, 5: 404, 7: 403, 8: 429, 13: 500, 14: 503, 16: 401}
"""Codes of gRPC as those of HTTP."""


class Settings(ProviderSettings):
    """`tts = { provider = "inworld", ... }`."""

    voice: Annotated[str, Field(min_length=1)]
    """Name or id of a voice, such as `Ashley`."""
    api_key: SecretStr = SecretStr("")
    """As the vendor's portal shows it (Base64)."""
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.inworld.ai"
    model: str = "inworld-tts-1.5-max"
    encoding: Literal["MULAW", "ALAW", "PCM"] = "MULAW"
    sample_rate_hz: Literal[8000, 16000, 22050, 24000, 44100, 48000] = 8000
    """16000 keeps the band of a wide line (G.722)."""
    speed: Annotated[float, Field(ge=0.5, le=1.5)] | None = None
    temperature: Annotated[float, Field(gt=0, le=2)] | None = None
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
    most_characters = 1000
    takes_beginnings = True
    ends_what_is_cut = True

    def __init__(self, endpoint: Endpoint, settings: Settings) -> None:
        super().__init__(endpoint)
        self._open = ""
        """The context of which more is to be said."""
        audio: dict[str, object] = {
            "audioEncoding": settings.encoding,
            "sampleRateHertz": settings.sample_rate_hz,
        }
        if settings.speed is not None:
            audio["speakingRate"] = settings.speed
        self._create: dict[str, object] = {
            "voiceId": settings.voice,
            "modelId": settings.model,
            "audioConfig": audio,
            "timestampType": "WORD",
        }
        if settings.temperature is not None:
            self._create["temperature"] = settings.temperature

    def say(
        self, context: str, parts: list[str], *, begins: bool = True, ends: bool = True
    ) -> Iterator[Message]:
        if begins:
            self._open = context
            yield {"create": self._create, "contextId": context}
        for part in parts[:-1]:
            yield {"send_text": {"text": part}, "contextId": context}
        yield {"send_text": {"text": parts[-1], "flush_context": {}}, "contextId": context}
        if ends:
            self._open = ""
            yield {"close_context": {}, "contextId": context}

    def cut(self, context: str) -> Iterable[Message]:
        if context == self._open:
            return ({"close_context": {}, "contextId": context},)
        return ()  # its text is complete: what still comes of it is skipped

    def read(self, event: Fields) -> Heard | None:
        if (error := event.inner_or_none("error")) is not None:
            return self._refused(error, "")
        found = event.inner("result")
        context = found.optional_text("contextId")
        status = found.inner_or_none("status")
        if status is not None and status.value("code"):
            return self._refused(status, context)
        if found.value("contextClosed") is not None:
            return Heard(context, is_over=True)
        chunk = found.inner_or_none("audioChunk")
        if chunk is None:
            return None
        audio = chunk.audio("audioContent") if chunk.value("audioContent") else b""
        sound = (Spoken(audio),) if audio else ()
        return Heard(context, (*sound, *_words(chunk.inner_or_none("timestampInfo"))))

    def _refused(self, told: Fields, context: str) -> Heard:
        code = told.value("code")
        status = _STATUS.get(code, 503) if isinstance(code, int) else 503
        return self.refusal(status, told.optional_text("message"), context)


def _words(info: Fields | None) -> Iterator[Spoken]:
    """Yield the words of a chunk, whose times count from the beginning of the context."""
    found = info.inner_or_none("wordAlignment") if info is not None else None
    if found is None:
        return
    words, starts = found.listed("words"), found.listed("wordStartTimeSeconds")
    for word, start_s in zip(words, starts, strict=False):
        if isinstance(word, str) and isinstance(start_s, int | float):
            yield Spoken(b"", word, int(start_s * 1000))


def create(settings: Settings) -> TextToSpeech:
    """Make the voice; connects to nothing yet."""
    key = settings.api_key.get_secret_value()
    headers = {"Authorization": SecretStr(f"Basic {key}")}
    url = f"{settings.base_url.rstrip('/')}/tts/v1/voice:streamBidirectional"
    return socket_voice(
        voice_endpoint("inworld", url, settings, headers),
        AudioFormat(settings.sample_rate_hz, encoding=_ENCODINGS[settings.encoding]),
        lambda found: _Protocol(found, settings),
        settings,
    )


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work, for `gateway check`."""
    yield from advice.missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
