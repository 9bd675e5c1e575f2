"""Inworld's streaming recognizer and those that it passes on to.  It has no G.711.

Protocol: docs.inworld.ai, "Speech-to-text, bidirectional streaming".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.errors import ProviderError, ProviderRejected, ProviderUnavailable
from gateway.providers.contracts import ProviderSettings, SpeechToText, Trait, TraitKind
from gateway.providers.kit.advice import Advice, missing_key
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.recognizer import Dialect, SocketRecognizer
from gateway.providers.kit.recognizer_stream import MarkKind, Words
from gateway.providers.kit.rules import kind_of_limit
from gateway.providers.localized import with_region

SUMMARY = "Inworld's streaming recognizer; turn detection."

_REJECTED = frozenset({3, 5, 7, 9, 12, 16})
"""Status codes of gRPC that another try does not change: argument, name, permission and so on."""
_EXHAUSTED = 8
_TRAITS: dict[str, TraitKind] = {
    "emotion": "emotion", "age": "age", "accent": "accent", "pitch": "pitch",
    "vocalStyle": "style",
}  # fmt: skip


class Settings(ProviderSettings):
    """`stt = { provider = "inworld", ... }`."""

    api_key: SecretStr
    """As the vendor's console shows it, for `Authorization: Basic`."""
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.inworld.ai"
    """`ws://` only to this host or a private network."""
    model: Annotated[str, Field(min_length=1)] = "inworld/inworld-stt-1"
    """Also those of others, such as `assemblyai/...` and `soniox/...`."""
    language: str = ""
    """Such as `de-DE`."""
    end_of_turn_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How sure it must be that a turn is over, with `turn.by`."""
    voice_profile: bool = False
    """Have it guess age, accent, emotion, pitch and style of the voice (`profile` of the agent)."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    tls_ca_file: Path | None = None


class _Vendor:
    name = "inworld"
    hears_turns = True
    encodings = frozenset({"s16"})
    narrow, wide = NARROWBAND, WIDEBAND

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.accept_within_s = settings.connect_timeout_s

    def endpoint(self, audio: AudioFormat, *, listens: bool) -> Endpoint:
        settings = self._settings
        return Endpoint(
            self.name,
            f"{settings.base_url.rstrip('/')}/stt/v1/transcribe:streamBidirectional",
            headers={"Authorization": SecretStr(f"Basic {settings.api_key.get_secret_value()}")},
            connect_timeout_s=settings.connect_timeout_s,
            tls_ca_file=settings.tls_ca_file,
        )

    def dialect(self, endpoint: Endpoint, audio: AudioFormat, *, listens: bool) -> Dialect:
        settings = self._settings
        config: dict[str, object] = {
            "modelId": settings.model,
            "audioEncoding": "LINEAR16",
            "sampleRateHertz": audio.sample_rate_hz,
            "numberOfChannels": 1,
        }
        if settings.language:
            config["language"] = settings.language
        if settings.voice_profile:
            config["voiceProfileConfig"] = {"enableVoiceProfile": True, "topN": 1}
        if listens:
            config["endOfTurnConfidenceThreshold"] = settings.end_of_turn_confidence
        return _Inworld(endpoint, config, listens=listens)


class _Inworld(Dialect):
    answers_flush = False  # not documented for audio without speech
    silence_every_s = 5.0

    def __init__(self, endpoint: Endpoint, config: dict[str, object], *, listens: bool) -> None:
        super().__init__(endpoint)
        self._config = config
        self._listens = listens

    def begin(self) -> Iterable[str]:
        return (json.dumps({"transcribeConfig": self._config}),)

    def audio(self, audio: bytes) -> str:
        return json.dumps({"audioChunk": {"content": base64.b64encode(audio).decode()}})

    def flush(self) -> Iterable[str]:
        return (json.dumps({"endTurn": {}}),)

    def understood(self, event: Fields) -> Iterator[Words]:
        if (problem := event.inner_or_none("error")) is not None:
            raise self._error(problem)
        result = event.inner("result")
        if (started := result.inner_or_none("speechStarted")) is not None:
            yield Words(mark="start", start_s=started.number("startTimeMs") / 1000)
        if (said := result.inner_or_none("transcription")) is not None:
            is_final = said.flag("isFinal")
            mark: MarkKind | None = "end" if is_final and self._listens else None
            is_flushed = is_final and not self._listens
            text = said.optional_text("transcript")  # of a final one it may be missing
            traits = tuple(_traits(said.inner_or_none("voiceProfile")))
            yield Words(text, is_settled=is_final, is_flushed=is_flushed, mark=mark, traits=traits)

    def _error(self, problem: Fields) -> ProviderError:
        code, words = problem.value("code"), problem.optional_text("message")[:300]
        kind: type[ProviderError] = ProviderUnavailable
        if code in _REJECTED:
            kind = ProviderRejected
        named = "quota exceeded" if code == _EXHAUSTED else ""
        limit = kind_of_limit(words) or kind_of_limit(named)
        return self.endpoint.error(limit or kind, f"error {code}: {words}")


def _traits(profile: Fields | None) -> Iterator[Trait]:
    """Read the likeliest label of each category (docs.inworld.ai/stt/voice-profiles)."""
    if profile is None:
        return
    for key, kind in _TRAITS.items():
        found = profile.value(key)
        best = found[0] if isinstance(found, list) and found else None
        if not isinstance(best, dict) or not isinstance(best.get("label"), str):
            continue
        confidence = best.get("confidence")
        known = float(confidence) if isinstance(confidence, int | float) else None
        yield Trait(kind, best["label"], known)


def create(settings: Settings) -> SpeechToText:
    """Build the recognizer; nothing is connected yet."""
    return SocketRecognizer(_Vendor(settings))


def probe() -> str:
    """Return "": nothing is to be installed."""
    return ""


def in_language(settings: Settings, language: str) -> Settings:
    """Tell the vendor the agent's language, with its region as its documentation writes it."""
    if "language" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"language": with_region(language)})


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)
