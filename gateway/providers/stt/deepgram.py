"""Deepgram's streaming recognizers: Flux, which detects turns, and Nova.

Protocol: developers.deepgram.com, "Listen" v2 (Flux) and v1 (Nova), and the types of deepgram-sdk
7.17.  G.711 passes untouched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.errors import ProviderError, ProviderRejected, ProviderTimeout, ProviderUnavailable
from gateway.providers.contracts import ProviderSettings, SpeechToText
from gateway.providers.kit.advice import Advice, missing_key, without_effect
from gateway.providers.kit.endpoint import Endpoint, KeepAlive
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.recognizer import Dialect, SocketRecognizer
from gateway.providers.kit.recognizer_stream import MarkKind, Words
from gateway.providers.kit.rules import kind_of_limit

SUMMARY = "Deepgram Flux and Nova; turn detection, G.711 untouched."

_ENCODINGS = {"s16": "linear16", "pcmu": "mulaw", "pcma": "alaw"}
_FLUX_LANGUAGES = ("en", "de", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru")
"""Of `flux-general-multi` (the vendor's documentation)."""
_NEVER = {"eot_threshold": "1.0", "eot_timeout_ms": "60000"}
"""Flux ends no turn by itself: our turn taking does, with `ForceEndTurn`."""
_MARKS: dict[str, MarkKind] = {
    "StartOfTurn": "start",
    "EagerEndOfTurn": "eager_end",
    "TurnResumed": "resumed",
    "EndOfTurn": "end",
}


class Settings(ProviderSettings):
    """`stt = { provider = "deepgram", ... }`."""

    api_key: SecretStr
    base_url: Annotated[str, Field(pattern=r"^wss?://[^\s/]+")] = "wss://api.deepgram.com"
    """`ws://` only to this host or a private network."""
    model: Annotated[str, Field(min_length=1)] = "flux-general-en"
    """`flux-general-en`, `flux-general-multi`, or a Nova such as `nova-3`."""
    language: str = ""
    """Of Nova (`de`, `multi`); a hint for `flux-general-multi`."""
    keyterms: tuple[str, ...] = ()
    """Names and words of the trade that are to be recognized."""
    numerals: bool = False
    """Numbers as digits."""
    profanity_filter: bool = False
    eot_threshold: Annotated[float, Field(ge=0.5, le=1)] = 0.7
    """Of Flux: how sure it must be that a turn is over."""
    eager_eot_threshold: Annotated[float, Field(ge=0.3, le=0.9)] = 0.4
    """Of Flux: how sure it must be for a reply to be prepared."""
    eot_timeout_ms: Annotated[int, Field(ge=500, le=60_000)] = 5000
    """Of Flux: silence that ends a turn in any case."""
    endpointing_ms: Annotated[int, Field(ge=10, le=5000)] = 300
    """Of Nova: silence that ends a turn, with `turn.by`."""
    utterance_end_ms: Annotated[int, Field(ge=1000, le=5000)] = 1000
    """Of Nova: gap between words that ends a turn in noise."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 4.0
    tls_ca_file: Path | None = None

    @property
    def is_flux(self) -> bool:
        """Return whether the model speaks v2."""
        return self.model.startswith("flux")


class _Vendor:
    name = "deepgram"
    hears_turns = True
    encodings = frozenset(_ENCODINGS)
    narrow, wide = NARROWBAND, WIDEBAND

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.accept_within_s = settings.connect_timeout_s

    def endpoint(self, audio: AudioFormat, *, listens: bool) -> Endpoint:
        settings = self._settings
        query = [
            ("model", settings.model),
            ("encoding", _ENCODINGS[audio.encoding]),
            ("sample_rate", str(audio.sample_rate_hz)),
            *[("keyterm", term) for term in settings.keyterms],
            *[(key, "true") for key in ("numerals", "profanity_filter") if getattr(settings, key)],
            *(_flux if settings.is_flux else _nova)(settings, listens=listens).items(),
        ]
        alive = None if settings.is_flux else KeepAlive(4.0, json.dumps({"type": "KeepAlive"}))
        return Endpoint(
            self.name,
            f"{settings.base_url.rstrip('/')}/{'v2' if settings.is_flux else 'v1'}/listen",
            headers={"Authorization": SecretStr(f"Token {settings.api_key.get_secret_value()}")},
            query=query,
            keep_alive=alive,
            connect_timeout_s=settings.connect_timeout_s,
            tls_ca_file=settings.tls_ca_file,
        )

    def dialect(self, endpoint: Endpoint, audio: AudioFormat, *, listens: bool) -> Dialect:
        return (_Flux if self._settings.is_flux else _Nova)(endpoint)


def _flux(settings: Settings, *, listens: bool) -> dict[str, str]:
    hint = {"language_hint": settings.language} if settings.language else {}
    if not listens:
        return hint | _NEVER
    thresholds = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")
    return hint | {key: str(getattr(settings, key)) for key in thresholds}


def _nova(settings: Settings, *, listens: bool) -> dict[str, str]:
    found = {"interim_results": "true", "punctuate": "true", "smart_format": "true"}
    if settings.language:
        found["language"] = settings.language
    if not listens:
        return found | {"endpointing": "false"}
    ends = {"endpointing": str(settings.endpointing_ms)}
    return found | ends | {"utterance_end_ms": str(settings.utterance_end_ms)}


class _Deepgram(Dialect):
    answers_flush = False  # not where it has heard no words

    def understood(self, event: Fields) -> Iterable[Words]:
        kind = event.optional_text("type")
        if kind == "Error":
            raise self._error(event)
        return self._meaning(kind, event)

    def _meaning(self, kind: str, event: Fields) -> Iterable[Words]:
        raise NotImplementedError

    def _error(self, event: Fields) -> ProviderError:
        code = event.optional_text("code") or event.optional_text("variant") or "without a code"
        words = event.optional_text("description") or event.optional_text("message")
        kind: type[ProviderError] = ProviderUnavailable
        if code.startswith(("INVALID", "UNPARSABLE", "DATA-", "UNSUPPORTED")):
            kind = ProviderRejected
        elif "TIMEOUT" in code or code.startswith("NET-"):
            kind = ProviderTimeout
        problem = f"error {code}: {words[:300]}"
        return self.endpoint.error(kind_of_limit(f"{code} {words}") or kind, problem)


class _Flux(_Deepgram):
    has_welcome = True
    silence_every_s = 4.0  # there is no message for it

    def is_welcome(self, event: Fields) -> bool:
        if event.optional_text("type") == "Error":
            raise self._error(event)
        return event.optional_text("type") == "Connected"

    def flush(self) -> Iterable[str]:
        return (json.dumps({"type": "ForceEndTurn"}),)

    def _meaning(self, kind: str, event: Fields) -> Iterator[Words]:
        if kind != "TurnInfo":
            return
        mark = _MARKS.get(event.text("event"))
        yield Words(
            event.text("transcript"),
            is_settled=mark == "end",
            mark=mark,
            start_s=event.number("audio_window_start"),
            end_s=event.number("audio_window_end"),
            is_flushed=event.optional_text("trigger") == "manual",
            confidence=event.number("end_of_turn_confidence"),
            language=_first(event.value("languages")),
        )


class _Nova(_Deepgram):
    def flush(self) -> Iterable[str]:
        return (json.dumps({"type": "Finalize"}),)

    def _meaning(self, kind: str, event: Fields) -> Iterator[Words]:
        if kind == "UtteranceEnd":
            yield Words(mark="end", end_s=event.number("last_word_end"))
        if kind != "Results":
            return
        found = event.inner("channel").objects("alternatives")
        yield Words(
            found[0].text("transcript") if found else "",
            is_settled=event.flag("is_final"),
            mark="end" if event.flag("speech_final") else None,
            end_s=event.number("start") + event.number("duration"),
            is_flushed=event.flag("from_finalize"),
            language=_first(found[0].value("languages")) if found else "",
        )


def _first(languages: object) -> str:
    """Return the dominant language, which comes first; empty where none is detected."""
    return str(languages[0]) if isinstance(languages, list) and languages else ""


def create(settings: Settings) -> SpeechToText:
    """Build the recognizer; nothing is connected yet."""
    return SocketRecognizer(_Vendor(settings))


def probe() -> str:
    """Return "": nothing is to be installed."""
    return ""


def languages(settings: Settings) -> tuple[str, ...]:
    """Return the languages of the model; empty = the vendor knows."""
    if settings.model == "flux-general-en":
        return ("en",)
    if settings.is_flux:
        return _FLUX_LANGUAGES
    if settings.language == "multi":
        return ()
    return (settings.language.lower().partition("-")[0] or "en",)


def in_language(settings: Settings, language: str) -> Settings:
    """Hint the agent's language; where no model is named, choose the one that knows it."""
    code = language.partition("-")[0].lower()
    update: dict[str, str] = {}
    if code != "en" and code in _FLUX_LANGUAGES and "model" not in settings.model_fields_set:
        update["model"] = "flux-general-multi"
    is_english_only = update.get("model", settings.model) == "flux-general-en"
    if "language" not in settings.model_fields_set and not is_english_only:
        update["language"] = code
    return settings.model_copy(update=update)


def detecting(settings: Settings) -> Settings | None:
    """Return the settings with which it reports the language; None = this model does not."""
    if "model" not in settings.model_fields_set:
        return settings.model_copy(update={"model": "flux-general-multi"})
    if settings.model == "flux-general-en":
        return None
    if not settings.is_flux and settings.language in {"", "multi"}:
        return settings.model_copy(update={"language": "multi"})
    return settings if settings.is_flux else None


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from missing_key(settings)


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what has no effect."""
    if not settings.is_flux:
        why = "with Nova: it is a setting of Flux"
        keys = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")
        yield from without_effect(settings, keys, why)
        return
    why = "with Flux: it is a setting of Nova"
    yield from without_effect(settings, ("endpointing_ms", "utterance_end_ms"), why)
    if settings.model == "flux-general-en":
        yield from without_effect(settings, ("language",), "with flux-general-en: it knows English")
