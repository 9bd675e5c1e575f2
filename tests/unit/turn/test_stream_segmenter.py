"""Replies in a stream that never ends."""

import numpy as np
import pytest

from gateway.turn.stream_segmenter import StreamSegmenter

RATE_HZ = 24_000
SILENCE, NOISE, SPEECH = 0, 60, 4000


def chunk(level: int, ms: int = 80) -> bytes:
    return (np.arange(RATE_HZ * ms // 1000) % 2 * 2 * level - level).astype("<i2").tobytes()


def heard(*chunks: tuple[int, str]) -> list[str]:
    segmenter = StreamSegmenter(RATE_HZ)
    return [segmenter.push(chunk(level), text).what for level, text in chunks]


def test_silence_and_the_noise_of_the_engine_are_no_reply():
    assert heard((SILENCE, ""), (NOISE, ""), (SILENCE, " ")) == ["silence"] * 3


def test_a_reply_ends_after_700_ms_of_silence():
    found = heard(*[(SPEECH, "")] * 3, *[(NOISE, "")] * 10)
    assert found == ["begins", *["goes_on"] * 10, "ends", "silence"]


def test_a_pause_between_sentences_ends_nothing():
    pause = [(SILENCE, "")] * 8
    assert "ends" not in heard((SPEECH, ""), *pause, (SPEECH, ""), *pause)


@pytest.mark.parametrize("level", [SILENCE, SPEECH])
def test_a_word_begins_and_holds_a_reply(level: int):
    assert heard((level, " Yes"), *[(SILENCE, "")] * 8, (SILENCE, " and"), (SILENCE, "")) == [
        "begins", *["goes_on"] * 10,
    ]  # fmt: skip


def test_a_soft_onset_is_kept():
    segmenter = StreamSegmenter(RATE_HZ)
    for _ in range(5):
        segmenter.push(chunk(NOISE))
    first = segmenter.push(chunk(SPEECH))
    assert len(first.pcm) == (100 + 80) * RATE_HZ * 2 // 1000
    assert first.pcm.endswith(chunk(SPEECH))


def test_the_next_reply_begins_afresh():
    silent, spoken = (SILENCE, ""), (SPEECH, "")
    found = heard(spoken, *[silent] * 9, silent, spoken, silent)
    assert found == ["begins", *["goes_on"] * 8, "ends", "silence", "begins", "goes_on"]
