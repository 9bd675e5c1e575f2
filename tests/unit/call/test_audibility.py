"""When the caller was last heard, and first, with and without noise behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.audible import BLOCK_SAMPLES, audible_from, block_powers
from gateway.audio.format import ANALYSIS
from gateway.call.audibility import AudibilityMeter

SECOND = ANALYSIS.sample_rate_hz
START, END = 3 * SECOND, 4 * SECOND
NEAR = SECOND // 100
LATE = SECOND // 20
"""So much later the voice detector knows."""


def heard(noise_rms: float, voice_peak: int = 12000) -> AudibilityMeter:
    """A meter that has heard a tone from `START` to `END`, and noise all the time."""
    chance = np.random.default_rng(0)
    line = chance.normal(0, noise_rms, 6 * SECOND)
    at = np.arange(START, END)
    line[START:END] += voice_peak * np.sin(2 * np.pi * 200 * at / SECOND)
    return metered(line)


def metered(line: np.ndarray) -> AudibilityMeter:
    meter = AudibilityMeter()
    for number, frame in enumerate(line.astype("<i2").reshape(-1, ANALYSIS.frame_samples)):
        at_sample = number * ANALYSIS.frame_samples
        meter.feed(
            frame.tobytes(),
            bytes(ANALYSIS.frame_bytes),
            is_speech=START + LATE <= at_sample < END + LATE,
        )
    return meter


@pytest.mark.parametrize("noise_rms", [0, 30, 300, 600, 1200])
def test_the_caller_is_heard_over_the_noise(noise_rms: float) -> None:
    meter = heard(noise_rms)
    assert meter.last_caller_sample(START + LATE, END + LATE) == pytest.approx(END, abs=NEAR)
    assert meter.first_caller_sample(START + LATE) == pytest.approx(START, abs=NEAR)


def test_a_quiet_voice_on_a_quiet_line_counts() -> None:
    meter = heard(30, voice_peak=1500)
    assert meter.last_caller_sample(START, END) == pytest.approx(END, abs=NEAR)


def test_a_voice_does_not_become_the_noise_behind_it() -> None:
    meter = AudibilityMeter()
    tone = 9000 * np.sin(2 * np.pi * 200 * np.arange(ANALYSIS.frame_samples) / SECOND)
    for number in range(400):  # with a breath of 100 ms every half second
        is_breath = number % 25 < 5
        frame = bytes(ANALYSIS.frame_bytes) if is_breath else tone.astype("<i2").tobytes()
        meter.feed(frame, bytes(ANALYSIS.frame_bytes), is_speech=number % 25 >= 6)
    assert meter.last_caller_sample(0, meter.now) == pytest.approx(meter.now, abs=NEAR)


@pytest.mark.parametrize("softer_db", [10, 16, 21])
@pytest.mark.parametrize("gain_db", [0, -15])
@pytest.mark.parametrize("closure_ms", [0, 90])
def test_a_word_begins_with_its_soft_sound(
    softer_db: float, gain_db: float, closure_ms: int
) -> None:
    """An "s" that is no speech to the detector, perhaps a "t" closed after it, then the vowel."""
    chance = np.random.default_rng(2)
    gain = 10 ** (gain_db / 20)
    line = chance.normal(0, 4, 6 * SECOND)
    closed = START - closure_ms * SECOND // 1000
    soft = 8000 / np.sqrt(2) * 10 ** (-softer_db / 20) * gain
    line[closed - 1200 : closed] += chance.normal(0, soft, 1200)
    line[START:END] += 8000 * gain * np.sin(2 * np.pi * 200 * np.arange(SECOND) / SECOND)
    meter = metered(line)
    assert meter.first_caller_sample(START + LATE) == pytest.approx(closed - 1200, abs=NEAR)


def test_a_first_sound_that_is_just_audible_has_gaps_and_counts() -> None:
    """A steady "s" is now 0.5 dB over what is audible and now 0.5 dB under it."""
    line = np.zeros(6 * SECOND)
    line[START:END] += 8000 * np.sin(2 * np.pi * 200 * np.arange(SECOND) / SECOND)
    loudest = float(block_powers(line.astype("<i2")).max())
    soft = np.sqrt(audible_from(loudest))
    first = START - 800
    for block in range(10):
        step_db = 0.5 if block % 5 == 0 else -0.5
        at = first + block * BLOCK_SAMPLES
        line[at : at + BLOCK_SAMPLES] = soft * 10 ** (step_db / 20)
    assert metered(line).first_caller_sample(START + LATE) == pytest.approx(first, abs=NEAR)


def test_a_crack_before_the_word_does_not_belong_to_it() -> None:
    line = np.random.default_rng(2).normal(0, 300, 6 * SECOND)
    line[START:END] += 12000 * np.sin(2 * np.pi * 200 * np.arange(SECOND) / SECOND)
    line[START - 480 : START - 440] += 9000
    meter = metered(line)
    assert meter.first_caller_sample(START + LATE) == pytest.approx(START, abs=NEAR)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=150), st.integers(0, 2**32 - 1))
def test_batches_of_frames_give_the_same_figures_as_single_ones(
    sizes: list[int], seed: int
) -> None:
    noise = np.random.default_rng(seed)
    frames = sum(sizes)
    caller, bot = noise.normal(0, 400, (2, frames * ANALYSIS.frame_samples)).astype("<i2")
    loud = noise.integers(0, frames) * ANALYSIS.frame_samples
    caller[loud:] = (caller[loud:] * 8.0).clip(-30000, 30000)
    bot[: loud // 2] = 0
    one, many = AudibilityMeter(), AudibilityMeter()
    sounds = one.await_bot(0), many.await_bot(0)
    for at in range(frames):
        part = slice(at * ANALYSIS.frame_samples, (at + 1) * ANALYSIS.frame_samples)
        one.feed(caller[part].tobytes(), bot[part].tobytes())
    at = 0
    for size in sizes:
        part = slice(at * ANALYSIS.frame_samples, (at + size) * ANALYSIS.frame_samples)
        many.feed(caller[part].tobytes(), bot[part].tobytes())
        at += size
    for meter, sound in zip((one, many), sounds, strict=True):
        meter.forget(sound)
    assert sounds[0].at == sounds[1].at
    assert one.now == many.now
    assert one.is_bot_audible == many.is_bot_audible
    assert one.last_bot_sample() == many.last_bot_sample()
    assert one.first_caller_sample(loud) == many.first_caller_sample(loud)
    assert one.last_caller_sample(loud, one.now) == many.last_caller_sample(loud, many.now)
