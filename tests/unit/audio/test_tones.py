"""Keys as tones: what is sounded is heard, speech is none."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.audio.format import ANALYSIS
from gateway.audio.g711 import decode_ulaw, encode_ulaw
from gateway.audio.tones import ToneDetector, key_tone, probe

KEYS = "0123456789*#ABCD"

pytestmark = pytest.mark.skipif(bool(probe()), reason="libspandsp2 is not installed")


def heard(frames):
    detector = ToneDetector()
    try:
        return "".join(map(detector.push, frames))
    finally:
        detector.close()
        detector.close()


def noise(count, level, seed=1):
    found = np.random.default_rng(seed).normal(0, level, count * ANALYSIS.frame_samples)
    return found.clip(-32768, 32767).astype("<i2").reshape(count, -1)


@pytest.mark.parametrize("keys", [KEYS, "55", "1122334455", "#"])
@pytest.mark.parametrize(("on_ms", "off_ms"), [(160, 80), (60, 60)])
def test_all_keys_are_heard_once_each(keys, on_ms, off_ms):
    frames = [frame for key in keys for frame in key_tone(key, on_ms, off_ms)]
    assert heard(frames) == keys


def test_keys_are_heard_through_the_codec_and_noise():
    frames = [frame for key in KEYS for frame in key_tone(key, 100, 100)]
    mixed = [
        (np.frombuffer(frame, "<i2") + rustle).astype("<i2").tobytes()
        for frame, rustle in zip(frames, noise(len(frames), 150), strict=True)
    ]
    assert heard(decode_ulaw(encode_ulaw(frame)) for frame in mixed) == KEYS


def test_noise_and_one_tone_alone_are_no_keys():
    at_s = np.arange(ANALYSIS.sample_rate_hz) / ANALYSIS.sample_rate_hz
    alone = (8000 * np.sin(2 * np.pi * 770 * at_s)).astype("<i2").tobytes()
    frames = [
        alone[at : at + ANALYSIS.frame_bytes] for at in range(0, len(alone), ANALYSIS.frame_bytes)
    ]
    assert heard([*(f.tobytes() for f in noise(250, 3000)), *frames]) == ""


def test_a_tone_is_as_long_as_it_should_be():
    frames = key_tone("5", 160, 80)
    assert len(frames) == 12
    assert {len(frame) for frame in frames} == {ANALYSIS.frame_bytes}
    with pytest.raises(ValueError, match="substring"):
        key_tone("x", 160, 80)
