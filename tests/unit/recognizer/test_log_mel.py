import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.recognizer.log_mel import BANDS, RATE_HZ, log_mel


def tone(hz: float, seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(RATE_HZ * seconds)) / RATE_HZ).astype(np.float32)


def test_shape_and_type():
    features = log_mel(tone(440.0, 8.0))

    assert features.shape == (BANDS, 800)
    assert features.dtype == np.float32


def test_a_higher_tone_lies_in_a_higher_band():
    bands = [int(log_mel(tone(hz))[:, 20].argmax()) for hz in (200, 500, 1000, 2000, 4000)]

    assert bands == sorted(set(bands))
    # 15 mel at 1 kHz of 45.2 up to 8 kHz, in 81 steps
    assert abs(bands[2] - 26) <= 1


def test_silence_gives_finite_numbers():
    assert np.isfinite(log_mel(np.zeros(RATE_HZ, np.float32))).all()


@settings(deadline=None)
@given(st.floats(0.01, 100.0))
def test_loudness_does_not_matter(gain):
    noise = np.random.default_rng(1).normal(size=RATE_HZ // 2).astype(np.float32)

    assert np.allclose(log_mel(noise), log_mel(noise * np.float32(gain)), atol=1e-3)
