"""Where broken-off speech goes on, on made-up levels and on the offline voice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.format import LINE
from gateway.audio.seam import REACH_FRAMES, rewind_frames


def frames(levels):
    return [np.full(LINE.frame_samples, level, "<i2").tobytes() for level in levels]


@given(st.lists(st.integers(-32768, 32767), max_size=120))
def test_goes_back_no_further_than_a_second_nor_before_the_beginning(levels):
    assert 0 <= rewind_frames(frames(levels)) <= min(len(levels), REACH_FRAMES)


def test_goes_on_with_the_end_of_the_latest_gap():
    speech = [5000] * 30 + [0] * 6 + [5000] * 20 + [10] * 5 + [5000] * 12
    assert rewind_frames(frames(speech)) == 13


def test_broken_off_in_a_gap_nothing_is_said_twice():
    assert rewind_frames(frames([5000] * 30 + [0] * 6)) <= 1


def test_short_speech_begins_again():
    assert rewind_frames(frames([5000] * 30)) == 30
    assert rewind_frames([]) == 0
