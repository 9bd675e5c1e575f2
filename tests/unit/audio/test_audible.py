"""What is audible does not depend on how loud the line is, and noise is not taken for a voice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.audible import (
    BLOCK_SAMPLES,
    LEAST,
    audible_from,
    audible_samples,
    block_powers,
    over_noise,
)

RATE = 8000
TIME = np.arange(RATE) / RATE


def word(softer_db: float = 20.0) -> np.ndarray:
    """Silence, a soft hiss from 0.2 s, a vowel from 0.3 to 0.6 s, its decay."""
    chance = np.random.default_rng(3)
    sound = np.zeros(RATE)
    vowel = np.sin(2 * np.pi * 150 * TIME)
    sound[2400:4800] = vowel[2400:4800]
    sound[1600:2400] = chance.normal(0, 10 ** (-softer_db / 20) / np.sqrt(2), 800)
    sound[4800:] = vowel[4800:] * 10 ** (-(TIME[4800:] - 0.6) * 100 / 20)
    return sound


def edges(samples: np.ndarray, over: float = LEAST) -> tuple[int, int]:
    found = audible_samples(samples.astype(np.int16), over)
    return int(found[0]), int(found[-1])


@given(st.floats(-30.0, -1.0))
def test_a_quieter_caller_changes_nothing(dbfs: float) -> None:
    first, last = edges(word() * 32767 * 10 ** (dbfs / 20))
    assert first == pytest.approx(1600, abs=BLOCK_SAMPLES)
    assert last == pytest.approx(4800 + RATE * 0.25, abs=2 * BLOCK_SAMPLES)


@pytest.mark.parametrize(("softer_db", "first"), [(20, 1600), (24, 1600), (28, 2400)])
def test_a_soft_beginning_counts_to_25_db_under_the_loudest(softer_db: float, first: int) -> None:
    assert edges(word(softer_db) * 10_000)[0] == pytest.approx(first, abs=BLOCK_SAMPLES)


@pytest.mark.parametrize("noise_rms", [30, 300, 1000])
def test_what_the_noise_covers_is_not_audible(noise_rms: float) -> None:
    noise = np.random.default_rng(1).normal(0, noise_rms, 2 * RATE)
    over = over_noise(block_powers(noise.astype(np.int16)))
    assert over == pytest.approx(10 * noise_rms**2, rel=0.4)
    covers_hiss = 10_000 / np.sqrt(2) / 10 < noise_rms * np.sqrt(10)
    first, _ = edges(word() * 10_000, over)
    assert first == pytest.approx(2400 if covers_hiss else 1600, abs=BLOCK_SAMPLES)
    assert not len(audible_samples(noise.astype(np.int16), over))


@given(st.integers(1, 3), st.integers(0, 36), st.booleans())
def test_a_click_is_not_audible(width: int, place: int, positive: bool) -> None:
    samples = np.zeros(400, np.int16)
    samples[200 + place : 200 + place + width] = 32767 if positive else -32768
    assert not len(audible_samples(samples))


def test_silence_has_no_voice() -> None:
    assert not len(audible_samples(np.zeros(0, np.int16)))
    assert not len(audible_samples(np.full(RATE, 20, np.int16)))
    assert over_noise(block_powers(np.zeros(39, np.int16))) == LEAST
    assert audible_from(0.0) == LEAST
