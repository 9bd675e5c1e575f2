"""Offline speech in a hundred languages by libespeak-ng (Debian package `libespeak-ng1`).

The library has one voice and one callback per process, so all synthesizers of the process share
one thread.  It speaks so fast (first audio in under a millisecond) that nobody notices.
"""

from __future__ import annotations

import ctypes
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import cache
from typing import Annotated

from pydantic import Field

from gateway.audio.format import LINE, SAMPLE_BYTES
from gateway.audio.loudness import amplify
from gateway.audio.resample import Resampler
from gateway.audio.speech import SpeechTrimmer, pause_after_ms
from gateway.errors import ProviderProtocolError, ProviderRejected, ProviderUnavailable
from gateway.providers.contracts import ProviderSettings, TextToSpeech
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

_Emit = Callable[[bytes], bool]
_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
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

    output_format = LINE

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine: BlockingEngine | None = None

    async def warm_up(self) -> None:
        """Load the library and check the voice.

        Raises:
            ProviderUnavailable: no library.
            ProviderRejected: no such voice.
        """
        async with aclosing(self.synthesize("Ready.")) as speech:
            async for _ in speech:
                pass

    async def synthesize(self, text: str) -> AsyncGenerator[bytes, None]:
        """Yield the sentence as it is made, about 40 ms at a time."""
        if self._engine is None:
            self._engine = _PROCESS.join()
        speech: AsyncGenerator[bytes, None] = self._engine.stream(
            lambda emit: self._speak(text, emit)
        )
        async with aclosing(speech) as chunks:
            async for chunk in chunks:
                yield chunk

    async def close(self) -> None:
        """Leave the shared thread; the last one ends it."""
        if self._engine is not None:
            self._engine = None
            _PROCESS.leave()

    def _speak(self, text: str, emit: _Emit) -> None:
        """Run one synthesis in this thread; ends within one buffer after `emit` said no."""
        library, settings = _library(), self._settings
        if library.espeak_SetVoiceByName(settings.voice.encode()) != _EE_OK:
            raise ProviderRejected("espeak", f"there is no voice {settings.voice!r}")
        library.espeak_SetParameter(_RATE, settings.words_per_minute, 0)
        library.espeak_SetParameter(_PITCH, settings.pitch, 0)
        finish = _Finish(text, settings, emit)

        def take(samples: int, count: int, _events: int) -> int:
            audio = ctypes.string_at(samples, count * SAMPLE_BYTES) if samples and count else b""
            return 0 if finish.process(audio) else 1

        callback = _SynthCallback(take)
        library.espeak_SetSynthCallback(callback)
        spoken = text.replace("\0", " ").encode() + b"\0"
        status = library.espeak_Synth(
            spoken, len(spoken), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        if status != _EE_OK:
            raise ProviderProtocolError("espeak", f"could not speak {text[:40]!r}: {status}")
        finish.flush()


class _Finish:
    """Rate, silence and level of one sentence as it comes.  Engine thread only."""

    def __init__(self, text: str, settings: Settings, emit: _Emit) -> None:
        self._resampler = Resampler(_sample_rate_hz(), LINE.sample_rate_hz)
        self._trimmer = SpeechTrimmer(LINE, tail_ms=pause_after_ms(text))
        self._gain_db = settings.level_dbfs - _OWN_LEVEL_DBFS
        self._emit = emit
        self._is_wanted = True

    def process(self, pcm: bytes) -> bool:
        """Hand on what is ready; False = stop, nobody listens any more."""
        self._hand_on(self._trimmer.process(self._resampler.process(pcm)))
        return self._is_wanted

    def flush(self) -> None:
        if self._is_wanted:
            self._hand_on(self._trimmer.process(self._resampler.flush()) + self._trimmer.flush())

    def _hand_on(self, speech: bytes) -> None:
        if speech:
            self._is_wanted = self._emit(amplify(speech, self._gain_db))


class _ProcessEngine:
    """The one thread that may call the library, while anybody needs it.  Loop thread only."""

    def __init__(self) -> None:
        self._engine: BlockingEngine | None = None
        self._users = 0

    def join(self) -> BlockingEngine:
        if self._engine is None:
            self._engine = BlockingEngine("espeak")
        self._users += 1
        return self._engine

    def leave(self) -> None:
        self._users -= 1
        if not self._users and self._engine is not None:
            self._engine.close()
            self._engine = None


_PROCESS = _ProcessEngine()


def create(settings: Settings) -> TextToSpeech:
    """Make the synthesizer; `warm_up` or the first sentence starts it."""
    return Espeak(settings)


def probe() -> str:
    """Say what is missing here, empty when it can be used."""
    try:
        _library()
    except ProviderUnavailable as error:
        return error.problem
    return ""


def _sample_rate_hz() -> int:
    return int(_loaded()[1])


def _library() -> ctypes.CDLL:
    return _loaded()[0]


@cache
def _loaded() -> tuple[ctypes.CDLL, int]:
    """The initialised library and its sample rate in Hz; it can be initialised only once."""
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
    if rate_hz <= 0:
        raise ProviderUnavailable(
            "espeak", "its language data is missing: apt-get install espeak-ng-data"
        )
    return library, rate_hz
