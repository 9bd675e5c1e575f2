"""Pitch, rate, level and pauses of voices that are known, through mu-law and noise."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from scipy.signal import butter, lfilter, resample_poly, sosfilt

from gateway.audio.converter import convert_once
from gateway.audio.format import NARROWBAND
from gateway.audio.g711 import decode_ulaw, encode_ulaw
from gateway.audio.voice_measures import measure
from gateway.providers import registry

RATE_HZ = 8000
TEXT = "My telephone number has changed since the last time that I called you about the delivery."
SYLLABLES = 22


def voice(hz: float, seconds: float = 3.0) -> np.ndarray:
    """Pulses of a known pitch, which moves by 5 %, through resonances and a telephone's band."""
    rate = 4 * RATE_HZ
    at = np.arange(int(seconds * rate)) / rate
    turns = np.cumsum(hz * (1 + 0.05 * np.sin(2 * np.pi * 3 * at))) / rate
    sound = np.diff(np.floor(turns), prepend=0.0)
    for peak_hz, width_hz in ((600, 80), (1200, 90), (2500, 150)):
        radius = np.exp(-np.pi * width_hz / rate)
        bend = [1, -2 * radius * np.cos(2 * np.pi * peak_hz / rate), radius**2]
        sound = lfilter([1], bend, sound)
    band = butter(4, [300, 3400], "bandpass", fs=RATE_HZ, output="sos")
    sound = sosfilt(band, resample_poly(sound, 1, 4))
    return sound / np.abs(sound).max() * 8000


def on_the_line(sound: np.ndarray, snr_db: float | None = None) -> bytes:
    """The same behind mu-law, with silence before and after, and with noise."""
    padded = np.concatenate((np.zeros(2400), sound, np.zeros(2400)))
    if snr_db is not None:
        level = np.sqrt((sound**2).mean()) * 10 ** (-snr_db / 20)
        padded = padded + np.random.default_rng(7).normal(0, level, len(padded))
    pcm = padded.clip(-32767, 32767).astype("<i2").tobytes()
    return decode_ulaw(encode_ulaw(pcm))


def spoken(**settings: object) -> np.ndarray:
    """A sentence by espeak-ng, in the band of a telephone."""

    async def say() -> bytes:
        engine = registry.create("tts", {"provider": "espeak", **settings})
        pcm = b"".join([piece.pcm async for piece in engine.speak(TEXT)])
        await engine.close()
        return convert_once(pcm, engine.output_format, NARROWBAND)

    return np.frombuffer(asyncio.run(say()), "<i2").astype(float)


@pytest.mark.parametrize("snr_db", [None, 20.0, 10.0])
@pytest.mark.parametrize("hz", [80, 110, 160, 220, 300])
def test_a_pitch_is_found_without_its_fundamental_in_noise(hz: int, snr_db: float | None):
    found = measure(on_the_line(voice(hz), snr_db), RATE_HZ)
    assert found.pitch_hz == pytest.approx(hz, rel=0.02)
    assert found.pitch_low_hz == pytest.approx(hz * 0.953, rel=0.03)
    assert found.pitch_high_hz == pytest.approx(hz * 1.047, rel=0.03)
    assert found.confidence == 1.0


def test_noise_and_silence_have_no_pitch_and_no_confidence():
    noise = np.random.default_rng(3).normal(0, 600, 3 * RATE_HZ)
    assert measure(on_the_line(noise), RATE_HZ).confidence < 0.2
    for nothing in (b"", bytes(320), bytes(RATE_HZ * 2)):
        assert measure(nothing, RATE_HZ).speech_s == 0.0


def test_the_level_is_that_of_the_speech_whatever_silence_is_around():
    sound = voice(120)
    alone = measure(sound.astype("<i2").tobytes(), RATE_HZ)
    power_db = 10 * np.log10((sound**2).mean() / 32768**2)
    assert alone.level_dbfs == pytest.approx(power_db, abs=0.5)
    gap = np.zeros(2 * RATE_HZ)
    with_gap = measure(on_the_line(np.concatenate((sound, gap, sound))), RATE_HZ)
    assert with_gap.level_dbfs == pytest.approx(power_db, abs=0.7)
    assert with_gap.pauses == 1
    assert with_gap.pause_share == pytest.approx(2 / 8, abs=0.01)
    quiet = measure(on_the_line(sound / 10), RATE_HZ)
    assert quiet.level_dbfs == pytest.approx(power_db - 20, abs=0.7)


def test_a_voice_of_espeak_has_the_same_pitch_behind_the_line():
    for pitch, low_hz, high_hz in ((20, 70, 85), (50, 92, 108), (80, 126, 148)):
        sound = spoken(voice="en-us", pitch=pitch)
        clean = measure(sound.astype("<i2").tobytes(), RATE_HZ, TEXT)
        assert clean.pitch_hz is not None
        assert low_hz < clean.pitch_hz < high_hz
        noisy = measure(on_the_line(sound, 15), RATE_HZ, TEXT)
        assert noisy.pitch_hz == pytest.approx(clean.pitch_hz, rel=0.05)


@pytest.mark.parametrize("words_per_minute", [110, 165, 230])
def test_rates_are_those_of_the_words_and_of_the_sound(words_per_minute: int):
    sound = spoken(voice="en-us", words_per_minute=words_per_minute)
    found = measure(on_the_line(sound, 20), RATE_HZ, TEXT)
    seconds = len(np.trim_zeros(sound)) / RATE_HZ
    assert found.words_per_minute == pytest.approx(len(TEXT.split()) * 60 / seconds, rel=0.15)
    assert found.pause_share is not None
    talking_s = found.speech_s * (1 - found.pause_share)
    assert found.syllables_per_s == pytest.approx(SYLLABLES / talking_s, rel=0.25)
