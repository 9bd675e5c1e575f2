"""Loudness and the edges of sound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio import level


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
    assert level.rms_dbfs(pcm(*samples)) == pytest.approx(rms, abs=0.05)
    assert level.peak_dbfs(pcm(*samples)) == pytest.approx(peak, abs=0.05)


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
    assert level.first_sample_above(pcm(*samples), 10) == first
    assert level.last_sample_above(pcm(*samples), 10) == last


@pytest.mark.parametrize(
    ("loud", "expected"),
    [
        ([], None),
        ([5], None),
        ([5, 6, 7], None),
        ([5, 6, 7, 8], (5, 8)),
        ([0, 50, 100, 150], None),
        ([5, 15, 25, 35, 100, 101, 102, 103, 159], (5, 103)),
        ([3, 20, 21, 22, 23, 158], (3, 23)),
    ],
)
def test_a_crackle_is_not_audible(loud: list[int], expected: tuple[int, int] | None):
    samples = np.zeros(160, dtype="<i2")
    samples[loud] = -2000
    assert level.audible_span(samples.tobytes(), 1000, 4, 40) == expected


@given(
    st.lists(st.sampled_from([0, 999, 1000, 1001, -1000, -1001, 32767, -32768]), max_size=60),
    st.integers(1, 5),
    st.integers(1, 20),
)
def test_the_audible_span_is_that_of_enough_loud_samples_near_each_other(
    samples: list[int], count: int, within: int
) -> None:
    loud = [place for place, sample in enumerate(samples) if abs(sample) > 1000]
    runs = [loud[n : n + count] for n in range(len(loud) - count + 1)]
    dense = [run for run in runs if run[-1] - run[0] < within]
    expected = (dense[0][0], dense[-1][-1]) if dense else None
    pcm = np.array(samples, "<i2").tobytes()
    assert level.audible_span(pcm, 1000, count, within) == expected
