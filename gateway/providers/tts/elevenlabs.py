"""Speech from ElevenLabs over its multi-context WebSocket, mu-law at 8 kHz straight to RTP.

Protocol: the vendor's Python SDK 2.78 (`text_to_speech/{voice}/multi-stream-input`).  Each
sentence is a context that is flushed and closed at once, so that its end is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from gateway.audio.format import AudioFormat, Encoding
from gateway.providers.contracts import ProviderSettings, Spoken, TextToSpeech
from gateway.providers.kit import advice
from gateway.providers.kit.advice import Advice
from gateway.providers.kit.alignment import parts, words_of
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.voice_making import socket_voice, voice_endpoint
from gateway.providers.kit.voices import Heard, Message, VoiceProtocol

SUMMARY = "ElevenLabs; streams, reports its words, G.711 untouched."

_ENCODINGS: dict[str, Encoding] = {"ulaw": "pcmu", "alaw": "pcma", "pcm": "s16"}
Share = Annotated[float, Field(ge=0, le=1)]


class Dictionary(BaseModel):
    """A pronunciation dictionary that is kept at the vendor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pronunciation_dictionary_id: str
    version_id: str


class Settings(ProviderSettings):
    """`tts = { provider = "elevenlabs", ... }`."""

    voice: Annotated[str, Field(pattern=r"^\w+$")]
    """A voice id."""
    api_key: SecretStr = SecretStr("")
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.elevenlabs.io/v1"
    """Other regions: `wss://api.us.elevenlabs.io/v1`, `wss://api.eu.residency.elevenlabs.io/v1`."""
    model: str = "eleven_flash_v2_5"
    output_format: Literal[
        "ulaw_8000", "alaw_8000", "pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100",
        "pcm_48000",
    ] = "ulaw_8000"  # fmt: skip
    """`pcm_16000` keeps the band of a wide line (G.722)."""
    language: str = ""
    """Such as `de`, for models that are told; empty = from the text."""
    stability: Share | None = None
    similarity_boost: Share | None = None
    style: Share | None = None
    use_speaker_boost: bool | None = None
    speed: Annotated[float, Field(ge=0.7, le=1.2)] | None = None
    dictionaries: Annotated[tuple[Dictionary, ...], Field(max_length=3)] = ()
    apply_text_normalization: Literal["auto", "on", "off"] = "auto"
    """The gateway puts numbers into words before."""
    auto_mode: bool = True
    """Speak each sentence at once, without waiting for more text."""
    seed: Annotated[int, Field(ge=0, le=4_294_967_295)] | None = None
    enable_logging: bool = True
    """False = nothing is kept at the vendor, where the account allows it."""
    inactivity_timeout_s: Annotated[int, Field(ge=1, le=180)] = 180
    """A connection without speech is closed by the vendor after this time."""
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
    ends_what_is_cut = True

    def __init__(self, endpoint: Endpoint, settings: Settings, form: AudioFormat) -> None:
        super().__init__(endpoint)
        self._form = form
        self._open = ""
        """The context of which more is to be said."""
        self._first: dict[str, object] = {"text": " "}
        names = ("stability", "similarity_boost", "style", "use_speaker_boost", "speed")
        voice = {name: value for name in names if (value := getattr(settings, name)) is not None}
        if voice:
            self._first["voice_settings"] = voice
        if settings.dictionaries:
            locators = [each.model_dump() for each in settings.dictionaries]
            self._first["pronunciation_dictionary_locators"] = locators

    def say(
        self, context: str, parts: list[str], *, begins: bool = True, ends: bool = True
    ) -> Iterator[Message]:
        if begins:
            self._open = context
            yield {**self._first, "context_id": context}
        for part in parts[:-1]:
            yield {"text": part, "context_id": context}
        yield {"text": f"{parts[-1].rstrip()} ", "context_id": context, "flush": True}
        if ends:
            self._open = ""
            yield {"context_id": context, "close_context": True}

    def cut(self, context: str) -> Iterable[Message]:
        if context == self._open:
            return ({"context_id": context, "close_context": True},)
        return ()  # its text is complete and paid for: what still comes of it is skipped

    def read(self, event: Fields) -> Heard:
        context = event.optional_text("contextId")
        if event.value("error") is not None:
            words = f"{event.optional_text('error')} {event.optional_text('message')}"
            return self.refusal(event.value("code"), words.strip(), context)
        pieces: tuple[Spoken, ...] = ()
        if event.value("audio") is not None:
            words_at = words_of(event.inner_or_none("alignment"), "charStartTimesMs")
            found = parts(event.audio("audio"), words_at, self._form)
            pieces = tuple(Spoken(audio, text) for audio, text in found)
        return Heard(context, pieces, is_over=event.flag("isFinal"))


def create(settings: Settings) -> TextToSpeech:
    """Make the voice; connects to nothing yet."""
    kind, _, rate_hz = settings.output_format.partition("_")
    form = AudioFormat(int(rate_hz), encoding=_ENCODINGS[kind])
    query: dict[str, Any] = {
        "model_id": settings.model,
        "output_format": settings.output_format,
        "language_code": settings.language,
        "apply_text_normalization": settings.apply_text_normalization,
        "auto_mode": settings.auto_mode,
        "sync_alignment": True,
        "inactivity_timeout": settings.inactivity_timeout_s,
        "enable_logging": settings.enable_logging,
        "seed": settings.seed,
    }
    path = f"text-to-speech/{settings.voice}/multi-stream-input"
    url = f"{settings.base_url.rstrip('/')}/{path}"
    headers = {"xi-api-key": settings.api_key}
    return socket_voice(
        voice_endpoint("elevenlabs", url, settings, headers, query),
        form,
        lambda found: _Protocol(found, settings, form),
        settings,
        settings.language,
    )


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work, for `gateway check`."""
    yield from advice.missing_key(settings)


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return ""
