"""Live resampling: identical for any chunking, clean by spectrum, of known delay."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from gateway.audio.resample import Resampler, _kaiser_length, _low_pass, resample_once
from gateway.errors import UnsupportedFormat

RATES = [(8000, 16000), (16000, 8000), (22050, 8000), (24000, 8000), (48000, 8000)]


def tone(frequency_hz: float, rate_hz: int, seconds: float = 1.0, amplitude: int = 16000) -> bytes:
    at = np.arange(int(rate_hz * seconds)) / rate_hz
    return (amplitude * np.sin(2 * math.pi * frequency_hz * at)).round().astype("<i2").tobytes()


def spectrum_db(pcm: bytes, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels relative to the tone of amplitude 16000, per 1 Hz bin, edges left out."""
    samples = np.frombuffer(pcm, dtype="<i2")[rate_hz // 4 : rate_hz // 4 + rate_hz // 2]
    window = np.blackman(len(samples))
    power = np.abs(np.fft.rfft(samples * window)) / (window.sum() / 2) / 16000
    return np.fft.rfftfreq(len(samples), 1 / rate_hz), 20 * np.log10(power + 1e-9)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rates=st.sampled_from(RATES), seed=st.integers(0, 2**32 - 1))
def test_any_chunking_gives_the_same_bytes(data, rates, seed):
    pcm = np.random.default_rng(seed).integers(-32768, 32767, 700, dtype="<i2").tobytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(pcm)), max_size=12)))
    whole, pieces = Resampler(*rates), Resampler(*rates)
    expected = whole.process(pcm) + whole.flush()
    edges = [0, *cuts, len(pcm)]
    got = b"".join(pieces.process(pcm[a:b]) for a, b in itertools.pairwise(edges))
    assert got + pieces.flush() == expected


@pytest.mark.parametrize(("source", "target"), RATES)
def test_passband_is_flat_to_3400_hz_and_nothing_else_appears(source, target):
    for frequency in (300, 1000, 2000, 3000, 3400):
        pcm = Resampler(source, target).process(tone(frequency, source))
        bins, level = spectrum_db(pcm, target)
        near = np.abs(bins - frequency) < 20
        assert abs(level[near].max()) < 0.1, frequency
        assert level[~near].max() < -60, frequency


@pytest.mark.parametrize(
    ("source", "frequency"),
    [(16000, f) for f in (4350, 4600, 5000, 6000, 7000, 7800)]
    + [(24000, 4600), (24000, 11000), (48000, 9000), (22050, 5000)],
)
def test_what_lies_above_the_line_leaves_no_alias(source, frequency):
    pcm = Resampler(source, 8000).process(tone(frequency, source))
    assert spectrum_db(pcm, 8000)[1].max() < -60


@pytest.mark.parametrize(("source", "target"), RATES)
def test_delay_is_what_it_says(source, target):
    impulse = np.zeros(source // 10, dtype="<i2")
    impulse[source // 100] = 30000
    resampler = Resampler(source, target)
    out = np.frombuffer(resampler.process(impulse.tobytes()), dtype="<i2")
    expected_s = (source // 100) / source + resampler.delay_s
    assert abs(int(out.argmax()) / target - expected_s) <= 0.5 / target + 1e-9
    assert resampler.delay_s < 0.003


@pytest.mark.parametrize(("source", "target"), [(8000, 16000), (16000, 8000), (24000, 8000)])
def test_twenty_milliseconds_in_give_twenty_out(source, target):
    resampler = Resampler(source, target)
    for _ in range(5):
        assert len(resampler.process(bytes(source // 50 * 2))) == target // 50 * 2


def test_flush_gives_the_tail_and_starts_afresh():
    resampler = Resampler(16000, 8000)
    pcm = tone(1000, 16000, 0.1)
    first = resampler.process(pcm) + resampler.flush()
    assert first == resampler.process(pcm) + resampler.flush()
    assert len(first) // 2 == 800 + math.ceil(resampler.delay_s * 8000)


def test_full_scale_clips_instead_of_wrapping():
    square = np.where(np.arange(1600) // 20 % 2, 32767, -32768).astype("<i2")
    out = np.frombuffer(Resampler(8000, 16000).process(square.tobytes()), dtype="<i2")
    assert out.max() == 32767
    assert out.min() == -32768
    assert np.abs(np.diff(out[200:].astype(int))).max() < 45000


def test_same_rate_passes_through():
    assert Resampler(8000, 8000).process(b"\1\2\3\4") == b"\1\2\3\4"
    assert resample_once(b"\1\2", 8000, 8000) == b"\1\2"


@pytest.mark.parametrize(("source", "target"), [(0, 8000), (8000, -1), (44101, 8000)])
def test_refuses_impossible_rates(source, target):
    with pytest.raises(UnsupportedFormat, match=f"{source} Hz to {target} Hz"):
        Resampler(source, target)


def test_one_shot_keeps_length_level_and_time():
    pcm = tone(1000, 24000)
    out = resample_once(pcm, 24000, 8000)
    assert len(out) // 2 == 8000
    expected = np.frombuffer(tone(1000, 8000), dtype="<i2").astype(int)
    assert np.abs(np.frombuffer(out, dtype="<i2").astype(int) - expected)[400:-400].max() <= 3


@given(st.floats(0.001, 0.5), st.floats(0.05, 0.95))
def test_the_filter_is_the_one_of_scipy(width, cutoff):
    length, beta = signal.kaiserord(72.0, width)
    assert _kaiser_length(width) == length
    odd = length | 1
    expected = signal.firwin(odd, cutoff, window=("kaiser", beta))
    assert np.allclose(_low_pass(odd, cutoff), expected, rtol=0, atol=1e-12)
