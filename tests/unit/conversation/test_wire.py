"""When the caller was last heard, and first, with and without noise behind."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.audio.format import LINE
from gateway.conversation.wire import WireMeter

SECOND = LINE.sample_rate_hz
START, END = 3 * SECOND, 4 * SECOND
NEAR = SECOND // 100


def heard(noise_rms: float, voice_peak: int = 12000) -> WireMeter:
    """A meter that has heard a tone from `START` to `END`, and noise all the time."""
    chance = np.random.default_rng(0)
    line = chance.normal(0, noise_rms, 6 * SECOND)
    at = np.arange(START, END)
    line[START:END] += voice_peak * np.sin(2 * np.pi * 200 * at / SECOND)
    meter = WireMeter()
    for frame in line.astype("<i2").reshape(-1, LINE.frame_samples):
        meter.feed(frame.tobytes(), bytes(LINE.frame_bytes))
    return meter


@pytest.mark.parametrize("noise_rms", [0, 30, 300, 600, 1200])
def test_the_caller_is_heard_over_the_noise(noise_rms: float) -> None:
    meter = heard(noise_rms)
    noticed_late = SECOND // 20
    assert meter.last_caller_sample(END + noticed_late) == pytest.approx(END, abs=NEAR)
    assert meter.first_caller_sample(START + noticed_late) == pytest.approx(START, abs=NEAR)


def test_a_quiet_voice_on_a_quiet_line_counts() -> None:
    meter = heard(30, voice_peak=1500)
    assert meter.last_caller_sample(END) == pytest.approx(END, abs=NEAR)


def test_a_voice_does_not_become_the_noise_behind_it() -> None:
    meter = WireMeter()
    tone = 9000 * np.sin(2 * np.pi * 200 * np.arange(LINE.frame_samples) / SECOND)
    for number in range(400):  # with a breath of 100 ms every half second
        is_breath = number % 25 < 5
        frame = bytes(LINE.frame_bytes) if is_breath else tone.astype("<i2").tobytes()
        meter.feed(frame, bytes(LINE.frame_bytes))
    assert meter.last_caller_sample(meter.now) == pytest.approx(meter.now, abs=NEAR)
