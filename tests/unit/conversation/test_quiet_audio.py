"""Silence goes to an engine in fewer messages, speech at once, and nothing is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversation.quiet_audio import QuietAudio

SILENCE = bytes(320)
SPEECH = np.full(160, 3000, "<i2").tobytes()


def test_long_silence_is_sent_five_frames_at_a_time_and_speech_ends_the_wait() -> None:
    audio = QuietAudio()
    sizes = [len(audio.push(SILENCE)) // 320 for _ in range(112)]
    assert sizes == 100 * [1] + [0, 0, 0, 0, 5, 0, 0, 0, 0, 5, 0, 0]
    assert audio.is_calm
    assert len(audio.push(SPEECH)) == 3 * 320
    assert not audio.is_calm
    assert len(audio.push(SILENCE)) == 320  # the engine looks for the end of the turn


def test_while_the_bot_speaks_short_silence_is_enough() -> None:
    audio = QuietAudio()
    sizes = [len(audio.push(SILENCE, may_wait=True)) // 320 for _ in range(20)]
    assert sizes == 15 * [1] + [0, 0, 0, 0, 5]
    audio.push(SILENCE, may_wait=True)
    assert len(audio.push(SILENCE)) == 2 * 320  # the caller may be about to take the floor


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 130)), max_size=8), st.booleans())
def test_nothing_is_lost_or_out_of_order(stretches: list[tuple[bool, int]], takes: bool) -> None:
    audio, sent, pushed = QuietAudio(), b"", b""
    for number, (is_speech, frames) in enumerate(stretches):
        frame = np.full(160, (3000 if is_speech else 0) + number, "<i2").tobytes()
        for _ in range(frames):
            pushed += frame
            sent += audio.push(frame, may_wait=takes)
        if takes:
            sent += audio.take()
            assert sent == pushed
    assert sent + audio.take() == pushed
