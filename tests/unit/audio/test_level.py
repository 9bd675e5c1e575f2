"""Loudness and the edges of sound."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.audio import level
from tests.support import levels


def pcm(*samples: int) -> bytes:
    return np.array(samples, dtype="<i2").tobytes()


@pytest.mark.parametrize(
    ("samples", "rms", "peak"),
    [
        ((), -96.0, -96.0),
        ((0, 0), -96.0, -96.0),
        ((-32768, -32768), 0.0, 0.0),
        ((16384, -16384), -6.02, -6.02),
        ((3277, 0, 0, 0), -26.02, -20.0),
        ((1, 0), -93.3, -90.3),
    ],
)
def test_levels(samples, rms, peak):
    assert levels.rms_dbfs(pcm(*samples)) == pytest.approx(rms, abs=0.05)
    assert levels.peak_dbfs(pcm(*samples)) == pytest.approx(peak, abs=0.05)


def test_peak_of_the_most_negative_sample():
    assert level.peak(pcm(5, -32768)) == 32768
    assert level.peak(b"") == 0


@pytest.mark.parametrize(
    ("samples", "first", "last"),
    [
        ((0, 10, -11, 0, 11, 10), 2, 4),
        ((10, -10), None, None),
        ((), None, None),
        ((-32768,), 0, 0),
    ],
)
def test_edges_of_sound(samples, first, last):
    assert levels.first_sample_above(pcm(*samples), 10) == first
    assert levels.last_sample_above(pcm(*samples), 10) == last
