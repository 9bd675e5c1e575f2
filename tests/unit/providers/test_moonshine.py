"""The rules around moonshine that need no model: phantoms, and which phrase was meant."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.audio.format import NARROWBAND, WIDEBAND
from gateway.providers.contracts import Expect
from gateway.providers.stt.moonshine import MoonshineStream, looks_phantom, loud_ms
from gateway.recognizer.moonshine import pick

BANDS = pytest.mark.parametrize("band", [NARROWBAND, WIDEBAND], ids=str)


def sound(ms, total_ms=1000, amplitude=8000, band=NARROWBAND):
    each_ms = band.sample_rate_hz // 1000
    samples = np.zeros(total_ms * each_ms, dtype="<i2")
    samples[: ms * each_ms] = amplitude
    return samples.tobytes()


@BANDS
@pytest.mark.parametrize(
    ("text", "log_prob", "sound_ms", "is_phantom"),
    [
        ("Thank you.", -0.1, 600, False),
        ("Thank you.", -0.7, 600, True),
        ("Thank you.", -0.1, 120, True),
        ("You", -0.9, 800, True),
        ("♪ ♪", -0.1, 900, True),
        ("♪ I hope ♪", -0.3, 900, True),
        ("© transcript Emily", -0.3, 900, True),
        ("The heart of the Lord.", -1.3, 900, True),
        ("The heart of the Lord.", -1.0, 900, False),
        ("Night.", -1.3, 900, False),
        ("", None, 0, True),
        ("...", -0.1, 900, True),
        ("42.", -0.1, 900, False),
        ("No.", -0.9, 120, False),
        ("Thank you for the coffee.", -0.9, 120, False),
    ],
)
def test_phantoms(text, log_prob, sound_ms, is_phantom, band):
    assert looks_phantom(text, log_prob, sound(sound_ms, band=band), band) is is_phantom


@BANDS
def test_loud_part_is_measured_against_the_loudest(band):
    assert loud_ms(sound(200, band=band), band) == 200
    assert loud_ms(sound(200, amplitude=100, band=band), band) == 200
    assert loud_ms(b"", band) == 0
    assert loud_ms(b"\1", band) == 0


class Requests:
    """Keeps what is asked of the recognizer, and answers nothing."""

    def __init__(self):
        self.asked = []

    def decode(self, pcm, on_reply, *, final, choices, grammar, rate_hz):
        self.asked.append((len(pcm), final, rate_hz))


@BANDS
def test_a_turn_is_asked_for_by_its_time_in_either_band(band):
    requests = Requests()
    stream = MoonshineStream(requests, Expect(), 500, None, band)
    for _ in range(24):
        stream.push(bytes(band.frame_bytes))
    assert requests.asked == []
    stream.push(bytes(band.frame_bytes))
    assert requests.asked == [(25 * band.frame_bytes, False, band.sample_rate_hz)]
    stream.push(bytes(3500 * band.frame_bytes))
    stream.request_transcript()
    minute = 60 * 50 * band.frame_bytes
    assert requests.asked[1:] == [(minute, True, band.sample_rate_hz)]


@pytest.mark.parametrize(
    ("scores", "free", "expected"),
    [
        ({"yes": -1.0, "no": -9.0}, -0.5, "yes"),
        ({"yes": -1.0, "no": -2.0}, -0.5, None),  # both are nearly as likely
        ({"yes": -20.0, "no": -30.0}, -2.0, None),  # something else was said
        ({"yes": -4.0}, -0.5, "yes"),
        ({"yes": -9.0}, -0.5, None),
        ({"yes": -9.0, "no": -25.0}, -0.5, "yes"),  # far from the other, though worded otherwise
        ({"yes": -0.2, "no": -9.0}, -1.0, "yes"),
    ],
)
def test_forced_choice_must_be_convincing(scores, free, expected):
    assert pick(scores, free) == expected
