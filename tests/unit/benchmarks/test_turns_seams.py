"""Pauses made by hand in a sound that is nowhere alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.turns.seams import seams
from gateway.probe.g711 import Samples

RATE = 8000


def story(seconds: float = 6.0) -> Samples:
    """Words of noise, 300 ms each, with 60 ms between them; every word begins and ends softly."""
    chance = np.random.default_rng(7)
    word = np.hanning(2400)
    parts = []
    for _ in range(round(seconds / 0.36)):
        tone = np.convolve(chance.normal(0, 1, 2400), np.ones(6) / 6, "same")
        parts += [word * tone * 12000, np.zeros(480)]
    return np.concatenate(parts).astype(np.int16)


STORY = story()


def quiet(milliseconds: int) -> Samples:
    return np.zeros(milliseconds * 8, np.int16)


def test_the_same_sound_has_no_seam() -> None:
    found, reached = seams(np.concatenate([quiet(250), STORY]), STORY)
    assert found == []
    assert reached == 1


def test_a_pause_between_words_is_silence_and_no_click() -> None:
    at = 8 * 2880 - 100
    found, reached = seams(np.concatenate([STORY[:at], quiet(400), STORY[at:]]), STORY)
    [seam] = found
    assert seam.silence_ms == pytest.approx(400, abs=15)
    assert seam.repeated_ms == seam.skipped_ms == 0
    assert seam.step <= seam.own_step
    assert reached == 1


def test_a_cut_within_a_word_clicks() -> None:
    loud = STORY.astype(np.int32)
    at = 8 * 2880 + 1000 + int(np.abs(loud[8 * 2880 + 1000 : 8 * 2880 + 1400]).argmax())
    square = STORY.copy()
    square[at - 40 : at] = 25000
    [seam] = seams(np.concatenate([square[:at], quiet(300), square[at:]]), square)[0]
    assert seam.step > seam.own_step


def test_speech_taken_up_before_the_pause_is_heard_twice() -> None:
    at = 8 * 2880
    heard = np.concatenate([STORY[: at + 1500], quiet(300), STORY[at:]])
    [seam] = seams(heard, STORY)[0]
    assert seam.repeated_ms == pytest.approx(1500 / 8, abs=40)


def test_speech_that_is_left_out_is_never_heard() -> None:
    at = 6 * 2880
    heard = np.concatenate([STORY[:at], quiet(300), STORY[at + 2 * 2880 :]])
    [seam] = seams(heard, STORY)[0]
    assert seam.skipped_ms == pytest.approx(600, abs=120)
    assert seam.silence_ms == 0 or seam.silence_ms < 300


def test_a_story_that_ends_early_is_not_reached() -> None:
    found, reached = seams(np.concatenate([STORY[: len(STORY) // 2], quiet(3000)]), STORY)
    assert found == []
    assert 0.4 < reached < 0.6


def test_nothing_heard_is_nothing_reached() -> None:
    assert seams(quiet(1000), STORY) == ([], 0.0)


@settings(max_examples=20, deadline=None)
@given(word=st.integers(2, 13), milliseconds=st.integers(80, 900))
def test_every_pause_is_found_once(word: int, milliseconds: int) -> None:
    at = word * 2880
    found, _ = seams(np.concatenate([STORY[:at], quiet(milliseconds), STORY[at:]]), STORY)
    assert [round(seam.silence_ms / 25) for seam in found] == [
        pytest.approx(milliseconds / 25, abs=1)
    ]


def test_other_words_after_a_loss_are_no_part_of_the_story() -> None:
    chance = np.random.default_rng(9)
    other = (np.hanning(4000) * chance.normal(0, 6000, 4000)).astype(np.int16)
    heard = np.concatenate([STORY[: 6 * 2880], quiet(800), other, quiet(800), other])
    found, reached = seams(heard, STORY)
    assert found == []
    assert reached < 0.5
