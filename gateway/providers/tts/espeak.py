"""Offline speech in a hundred languages by libespeak-ng (Debian package `libespeak-ng1`).

The library has one voice and one callback per process, so all synthesizers of the process share
one thread: its first audio takes less than a millisecond, so that no call waits for another.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import cache
from typing import Annotated, Any

from pydantic import Field

from gateway.audio.format import SAMPLE_BYTES, AudioFormat
from gateway.errors import ProviderProtocolError, ProviderRejected, ProviderUnavailable
from gateway.providers.contracts import Delivery, ProviderSettings, Spoken, TextToSpeech
from gateway.providers.shared_engine import SharedEngine
from gateway.threads import BlockingEngine

SUMMARY = "Offline speech in a hundred languages (libespeak-ng), robotic, streams at once."

_HINT = "libespeak-ng is not installed: apt-get install libespeak-ng1"
_OWN_LEVEL_DBFS = -20.5
"""Level of its spoken parts at volume 100, within 1.5 dB for all voices tried."""

# speak_lib.h
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE, _PITCH = 1, 3
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_EE_OK = 0
_BUFFER_MS = 40
_LANGUAGE = re.compile(r"[-_+]")
_REGIONAL = frozenset({"es-419", "fr-be", "fr-ch", "pt-br"})
"""Voices of a region (espeak-ng 1.51); its `en` is British."""

_WORD_END = re.compile(r"\s|$")
_LAST_EVENT, _WORD_EVENT = 0, 1


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Emit = Callable[[Spoken], bool]
_Events = Any  # ctypes' pointer to _Event; a null pointer is False
_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Settings(ProviderSettings):
    """`tts = { provider = "espeak", ... }`."""

    voice: Annotated[str, Field(min_length=1)] = "en-us"
    """Language, with a variant if wanted: `de`, `en-us+m7`, `fr+f2` (see `espeak-ng --voices`)."""
    words_per_minute: Annotated[int, Field(ge=80, le=450)] = 165
    pitch: Annotated[int, Field(ge=0, le=99)] = 50
    """50 is the voice's own."""
    level_dbfs: Annotated[float, Field(ge=-40.0, le=-10.0)] = -20.0
    """Level of the spoken parts."""


class Espeak:
    """Satisfies `TextToSpeech`."""

    output_format = AudioFormat(22_050)
    """Of the library; `_library` checks it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.language = _LANGUAGE.split(settings.voice)[0].lower()
        self.delivery = Delivery(level_dbfs=settings.level_dbfs, own_level_dbfs=_OWN_LEVEL_DBFS)
        self._engine: BlockingEngine | None = None

    async def warm_up(self) -> None:
        """Load the library and check the voice.

        Raises:
            ProviderUnavailable: no library.
            ProviderRejected: no such voice.
        """
        async with aclosing(self.speak("Ready.")) as speech:
            async for _ in speech:
                pass

    async def speak(self, text: str) -> AsyncGenerator[Spoken, None]:
        """Yield the sentence as it is made, about 40 ms at a time, with the words that begin there.

        Raises:
            ProviderUnavailable: no library.
            ProviderRejected: no such voice.
            ProviderProtocolError: the library cannot speak the text.
        """
        if self._engine is None:
            self._engine = _ENGINE.enter()
        speech: AsyncGenerator[Spoken, None] = self._engine.stream(
            lambda emit: self._speak(text, emit)
        )
        async with aclosing(speech) as chunks:
            async for chunk in chunks:
                yield chunk

    async def close(self) -> None:
        """Leave the shared thread; the last one ends it."""
        if self._engine is not None:
            self._engine = None
            _ENGINE.leave()

    def _speak(self, text: str, emit: _Emit) -> None:
        """Run one synthesis in this thread; ends within one buffer after `emit` said no."""
        library, settings = _ENGINE.loaded(), self._settings
        if library.espeak_SetVoiceByName(settings.voice.encode()) != _EE_OK:
            raise ProviderRejected("espeak", f"there is no voice {settings.voice!r}")
        library.espeak_SetParameter(_RATE, settings.words_per_minute, 0)
        library.espeak_SetParameter(_PITCH, settings.pitch, 0)

        words = _Words(text)

        def take(samples: int, count: int, events: _Events) -> int:
            words.advance(events)
            audio = ctypes.string_at(samples, count * SAMPLE_BYTES) if samples and count else b""
            return 0 if not audio or emit(Spoken(audio, words.begun())) else 1

        callback = _SynthCallback(take)
        library.espeak_SetSynthCallback(callback)
        spoken = text.replace("\0", " ").encode() + b"\0"
        status = library.espeak_Synth(
            spoken, len(spoken), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        if status != _EE_OK:
            raise ProviderProtocolError("espeak", f"could not speak {text[:40]!r}: {status}")


class _Words:
    """Where in a text its speech is, by the events that the library gives with each buffer."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._told = self._end = 0

    def advance(self, events: _Events) -> None:
        """Follow the events of a buffer; they end with one of type 0."""
        at = 0
        while events and events[at].type != _LAST_EVENT:
            event = events[at]
            if event.type == _WORD_EVENT:
                self._end = max(self._end, event.text_position - 1 + event.length)
            at += 1

    def begun(self) -> str:
        """Return the words that have begun since the last call, each with its punctuation.

        One that has no event of its own ("in the" is said as one word) comes with the next.
        """
        if self._told >= self._end:
            return ""
        end = _WORD_END.search(self._text, self._end)
        told, self._told = self._told, end.start() if end else len(self._text)
        return self._text[told : self._told]


def create(settings: Settings) -> TextToSpeech:
    """Make the synthesizer; `warm_up` or the first sentence starts it."""
    return Espeak(settings)


def languages(settings: Settings) -> tuple[str, ...]:
    """Return the language of the voice."""
    return (_LANGUAGE.split(settings.voice)[0].lower(),)


def in_language(settings: Settings, language: str) -> Settings:
    """Speak the agent's language unless a voice is named."""
    if "voice" in settings.model_fields_set or language.lower() in {"en", "en-us"}:
        return settings
    return settings.model_copy(update={"voice": _voice_of(language.lower())})


def _voice_of(language: str) -> str:
    """Return the library's name of a language: it has one voice for most regions."""
    primary, _, region = language.partition("-")
    if primary == "es" and region not in {"", "es"}:
        return "es-419"
    own = {"zh": "cmn", "no": "nb"}.get(primary, primary)
    return language if language in _REGIONAL else own


def probe() -> str:
    """Return what is missing here, "" when it can be used."""
    try:
        _library()
    except ProviderUnavailable as error:
        return error.problem
    return ""


@cache
def _library() -> ctypes.CDLL:
    """Return the initialised library; it can be initialised only once."""
    try:
        library = ctypes.CDLL("libespeak-ng.so.1")
    except OSError as error:
        raise ProviderUnavailable("espeak", f"{_HINT} ({error})") from error
    pointer, number = ctypes.c_void_p, ctypes.c_uint
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_SetSynthCallback.argtypes = [_SynthCallback]
    library.espeak_Synth.argtypes = [
        *(ctypes.c_char_p, ctypes.c_size_t, number, ctypes.c_int),
        *(number, number, pointer, pointer),
    ]
    rate_hz = library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, None, _DONT_EXIT)
    if rate_hz != Espeak.output_format.sample_rate_hz:
        raise ProviderUnavailable(
            "espeak", "its language data is missing: apt-get install espeak-ng-data"
        )
    return library


_ENGINE = SharedEngine("espeak", _library)
