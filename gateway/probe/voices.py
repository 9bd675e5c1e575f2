"""The caller's voice: text by libflite, or a WAV file, as int16 at 8 kHz."""

from __future__ import annotations

import wave
from contextlib import aclosing
from pathlib import Path
from typing import Literal

import numpy as np

from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.audio.resample import resample_once
from gateway.errors import UnsupportedFormat
from gateway.probe.g711 import Samples
from gateway.probe.rtp import SAMPLE_RATE_HZ
from gateway.providers.kit.speech import speech
from gateway.providers.tts import flite

Voice = Literal["rms", "awb", "slt", "kal", "kal16"]
_AUDIBLE = 300


async def render(text: str, voice: Voice = "awb", line_format: AudioFormat = NARROWBAND) -> Samples:
    """Synthesise `text`: int16[n] at the line's rate, silence at both ends cut off.

    Takes about 2 % of the speech's length: render before the call, not during it.

    Raises:
        ProviderUnavailable: libflite or the voice is not installed.
    """
    synthesizer = flite.create(flite.Settings(voice=voice))
    pcm = bytearray()
    try:
        async with aclosing(speech(synthesizer, text, line_format)) as parts:
            async for part in parts:
                pcm += part.pcm
    finally:
        await synthesizer.close()
    return _trim(_samples(bytes(pcm)))


def read_wav(path: Path) -> Samples:
    """Read a 16-bit WAV of any rate: first channel, int16[n], 8 kHz.

    Raises:
        UnsupportedFormat: not a readable 16-bit WAV file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            pcm = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise UnsupportedFormat(f"cannot read {path}: {error}") from error
    if width != 2:
        raise UnsupportedFormat(f"cannot play {path}: {8 * width} bit samples, not 16")
    return to_line_rate(_samples(pcm)[::channels], rate)


def to_line_rate(samples: Samples, rate_hz: int) -> Samples:
    """Resample int16[n] to 8 kHz in one shot."""
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    pcm = samples.astype("<i2").tobytes()
    return _samples(resample_once(pcm, rate_hz, SAMPLE_RATE_HZ))


def _samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.int16)


def _trim(samples: Samples) -> Samples:
    """Cut leading and trailing silence, 20 ms of it left: the script decides about pauses."""
    audible = np.flatnonzero(np.abs(samples.astype(np.int32)) > _AUDIBLE)
    if not len(audible):
        return samples
    margin = SAMPLE_RATE_HZ // 50
    return samples[max(audible[0] - margin, 0) : audible[-1] + margin]
