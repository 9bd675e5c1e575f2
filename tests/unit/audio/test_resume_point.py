"""Where broken-off speech goes on, on made-up levels and on the offline voice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.format import ANALYSIS
from gateway.audio.resume_point import REACH_FRAMES, rewind_frames
from gateway.call.media import SILENCE, FrameOutlet
from tests.support.levels import rms_dbfs
from tests.support.speech import speak

SENTENCES = [
    "One latte with oat milk and a croissant, is that right?",
    "The total is twelve pounds and forty pence, and it will be ready in ten minutes.",
]


def flat(levels):
    return [np.full(ANALYSIS.frame_samples, level, "<i2").tobytes() for level in levels]


def in_frames(pcm):
    size = ANALYSIS.frame_bytes
    return [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]


@given(st.lists(st.integers(-32768, 32767), max_size=120))
def test_goes_back_no_further_than_a_second_nor_before_the_beginning(levels):
    assert 0 <= rewind_frames(flat(levels)) <= min(len(levels), REACH_FRAMES)


@pytest.mark.parametrize(
    ("levels", "frames"),
    [
        ([], 0),
        ([5000] * 3, 3),
        ([5000] * 30 + [0] * 6 + [5000] * 20, 21),
        ([5000] * 30 + [20] * 6 + [5000] * 8 + [10] * 2 + [5000] * 20, 21),
        ([5000] * 30 + [0] * 6 + [5000] * 20 + [0], 22),  # a closure in the last word
        ([5000] * 30 + [0] * 15, 6),  # after the last word, in the pause
    ],
)
def test_goes_on_with_the_end_of_the_deepest_gap(levels, frames):
    assert rewind_frames(flat(levels)) == frames


@pytest.mark.parametrize("text", SENTENCES)
@pytest.mark.parametrize("voice", ["rms", "slt"])
def test_speech_goes_on_in_a_quiet_frame(text, voice):
    speech = in_frames(speak(text, voice))
    loud = rms_dbfs(b"".join(speech))
    for end in range(20, len(speech)):
        first = end - rewind_frames(speech[:end])
        assert rms_dbfs(speech[first]) < loud - 12


@pytest.mark.parametrize("text", SENTENCES)
@pytest.mark.parametrize("voice", ["rms", "slt"])
def test_no_seam_is_steeper_than_the_speech_itself(text, voice):
    speech = in_frames(speak(text, voice))
    steepest = np.abs(np.diff(samples(b"".join(speech)))).max()
    for end in range(1, len(speech), 3):
        sent = paused_once(speech, end)
        assert np.abs(np.diff(samples(b"".join(sent)))).max() <= steepest
        assert b"".join(sent).endswith(b"".join(speech[end:]))


def paused_once(speech, end):
    """What is sent when `speech` is broken off after `end` frames for 100 ms."""
    outlet = FrameOutlet()
    lane = outlet.open()
    for frame in speech:
        lane.put_nowait(frame)
    sent = [outlet.pull() for _ in range(end)]
    outlet.pause()
    sent += [outlet.pull() for _ in range(5)]
    assert sent[-4:] == [SILENCE] * 4
    outlet.resume()
    while lane.played < lane.queued:
        sent.append(outlet.pull())
    return sent


def samples(pcm):
    return np.frombuffer(pcm, "<i2").astype(int)
