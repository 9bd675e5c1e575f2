"""Offline English speech by libflite (Debian package `libflite1`); the voices need no model file.

A sentence is rendered in one piece on a thread of its own (ctypes gives the GIL away), 43 ms for
48 characters.
"""

from __future__ import annotations

import ctypes
from collections.abc import AsyncIterator
from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderProtocolError, ProviderUnavailable
from gateway.providers.contracts import Delivery, ProviderSettings, Spoken, TextToSpeech
from gateway.threads import BlockingEngine

SUMMARY = "Offline English speech (libflite), no model files, about 40 ms per sentence."

_HINT = "libflite is not installed: apt-get install libflite1"
_ENGINES = 2
"""A second caller need not wait for the first one's sentence; more would crowd out others."""


class Settings(ProviderSettings):
    """`tts = { provider = "flite", ... }`."""

    voice: Literal["rms", "awb", "slt", "kal", "kal16"] = "rms"
    """rms, awb: men; slt: woman; kal, kal16: robotic but a hundred times cheaper."""
    rate: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    """Speaking rate; 2.0 is twice as fast as the voice itself."""
    level_dbfs: Annotated[float, Field(ge=-40.0, le=-10.0)] = -20.0
    """Level of the spoken parts."""
    cache_bytes: Annotated[int, Field(ge=0)] = 16_000_000
    """Rendered sentences kept; 16 MB are a thousand seconds."""


class _Wave(ctypes.Structure):
    """`cst_wave` of flite's cst_wave.h."""

    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class Flite:
    """Satisfies `TextToSpeech`."""

    language = "en"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engines = [BlockingEngine(f"flite-{number}") for number in range(_ENGINES)]
        self._waiting = [0] * _ENGINES
        self.output_format = AudioFormat(8000 if settings.voice == "kal" else 16_000)
        self.delivery = Delivery(
            level_dbfs=settings.level_dbfs, has_whole_pieces=True, cache_bytes=settings.cache_bytes
        )

    async def warm_up(self) -> None:
        """Load the voice and speak once.  Raises ProviderUnavailable."""
        for engine in self._engines:
            await engine.call(_render, "Ready.", self._settings)

    async def speak(self, text: str) -> AsyncIterator[Spoken]:
        """Yield the whole sentence in one piece; nothing where there is nothing to say."""
        if pcm := await self._rendered(text):
            yield Spoken(pcm)

    async def close(self) -> None:
        """End the threads."""
        for engine in self._engines:
            engine.close()

    async def _rendered(self, text: str) -> bytes:
        idlest = self._waiting.index(min(self._waiting))
        self._waiting[idlest] += 1
        try:
            return await self._engines[idlest].call(_render, text, self._settings)
        finally:
            self._waiting[idlest] -= 1


def create(settings: Settings) -> TextToSpeech:
    """Make the synthesizer; the library is loaded by `warm_up` or the first sentence."""
    return Flite(settings)


def languages(_settings: Settings) -> tuple[str, ...]:
    """English only."""
    return ("en",)


def probe() -> str:
    """Return what is missing here, "" when it can be used."""
    try:
        _library()
    except ProviderUnavailable as error:
        return error.problem
    return ""


def _render(text: str, settings: Settings) -> bytes:
    """Synthesize in this thread.  A voice is shared, an utterance is not: no lock is needed."""
    library, voice = _library(), _voice(settings.voice)
    utterance = library.new_utterance()
    try:
        library.utt_set_input_text(utterance, text.replace("\0", " ").encode())
        library.utt_init(utterance, voice)
        features = ctypes.cast(utterance, ctypes.POINTER(ctypes.c_void_p))[0]
        library.feat_set_float(features, b"duration_stretch", 1 / settings.rate)
        if not library.utt_synth(utterance):
            raise ProviderProtocolError("flite", f"could not speak {text[:40]!r}")
        wave = library.utt_wave(utterance).contents
        return ctypes.string_at(wave.samples, wave.num_samples * 2) if wave.num_samples else b""
    finally:
        library.delete_utterance(utterance)  # with it goes its wave


@cache
def _library() -> ctypes.CDLL:
    pointer = ctypes.c_void_p
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "flite_init": (ctypes.c_int, []),
        "new_utterance": (pointer, []),
        "utt_set_input_text": (ctypes.c_int, [pointer, ctypes.c_char_p]),
        "utt_init": (pointer, [pointer, pointer]),
        "utt_synth": (pointer, [pointer]),
        "utt_wave": (ctypes.POINTER(_Wave), [pointer]),
        "feat_set_float": (None, [pointer, ctypes.c_char_p, ctypes.c_float]),
        "delete_utterance": (None, [pointer]),
    }
    library = _load("libflite.so.1")
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.flite_init()
    return library


@cache
def _voice(name: str) -> int:
    """Address of a voice, static in its library; registering it again gives the same one."""
    register = getattr(_load(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
    register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    return int(register(None))


def _load(file_name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(file_name, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise ProviderUnavailable("flite", f"{_HINT} ({error})") from error
