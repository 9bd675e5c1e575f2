"""The rules around moonshine that need no model: phantoms, and which phrase was meant."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.providers.stt.moonshine import looks_phantom, loud_ms
from gateway.recognizer.moonshine import pick


def sound(ms, total_ms=1000, amplitude=8000):
    samples = np.zeros(total_ms * 8, dtype="<i2")
    samples[: ms * 8] = amplitude
    return samples.tobytes()


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
def test_phantoms(text, log_prob, sound_ms, is_phantom):
    assert looks_phantom(text, log_prob, sound(sound_ms)) is is_phantom


def test_loud_part_is_measured_against_the_loudest():
    assert loud_ms(sound(200)) == 200
    assert loud_ms(sound(200, amplitude=100)) == 200
    assert loud_ms(b"") == 0
    assert loud_ms(b"\1") == 0


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
