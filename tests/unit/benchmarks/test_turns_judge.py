"""The harness's judgements on turns that were made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.turns.judge import (
    agreement,
    answer_to,
    count_recall,
    digit_recall,
    fate,
    interruption,
    overlap_ms,
    word_recall,
)
from gateway.probe.timeline import Instants, Spurt

LATER = 2**62


def speech(*spans_ms: tuple[int, int]) -> Instants:
    """A loud sample per millisecond."""
    parts = [np.arange(start, end, dtype=np.int64) for start, end in spans_ms]
    return np.concatenate(parts) * 1_000_000 if parts else np.empty(0, np.int64)


ORDER = speech((1000, 2000), (2600, 3500))
"""A turn with a pause of 600 ms."""


@pytest.mark.parametrize(
    ("bot", "gap_ms", "early", "overlap", "past_end"),
    [
        pytest.param([(3900, 5000)], 401, 0, 0, False, id="answered after the end"),
        pytest.param([], None, 0, 0, False, id="not answered"),
        pytest.param([(2400, 2680), (4000, 5000)], 501, 1, 80, False, id="began early, yielded"),
        pytest.param([(2300, 2550), (4000, 5000)], 501, 1, 0, False, id="fell into the pause"),
        pytest.param([(2400, 5000)], None, 1, 900, True, id="talked past the end"),
        pytest.param([(2200, 2300), (2450, 2620)], None, 1, 20, False, id="a word is one start"),
        pytest.param([(0, 1100), (3900, 5000)], 401, 0, 100, False, id="was talking before"),
    ],
)
def test_an_answer_is_what_the_caller_heard(
    bot: list[tuple[int, int]],
    gap_ms: float | None,
    early: int,
    overlap: float,
    past_end: bool,
) -> None:
    answer = answer_to(ORDER, speech(*bot), LATER)
    assert answer.gap_ms == (None if gap_ms is None else pytest.approx(gap_ms))
    assert answer.early == early
    assert answer.overlap_ms == pytest.approx(overlap, abs=2)
    assert answer.talked_past_end == past_end


def test_what_is_heard_in_the_next_turn_is_no_answer_to_this_one() -> None:
    assert answer_to(ORDER, speech((6000, 7000)), 5_000_000_000).gap_ms is None


def test_the_time_to_yield_counts_from_where_the_caller_went_on() -> None:
    answer = answer_to(ORDER, speech((2400, 2660), (4000, 5000)), LATER)
    assert answer.early_stop_ms == pytest.approx(60, abs=2)


@pytest.mark.parametrize(
    ("bot", "recall", "parts", "expected"),
    [
        pytest.param([(3900, 5000)], 1.0, 1, "clean", id="clean"),
        pytest.param([(3900, 5000)], 0.6, 1, "clean", id="misheard, but unbroken"),
        pytest.param([(3900, 5000)], 0.3, 1, "cut_off", id="most words lost"),
        pytest.param([(3900, 5000)], 0.5, 2, "cut_off", id="half answered, unheard split"),
        pytest.param([(3900, 5000)], 1.0, 2, "clean", id="split that nobody heard, all words"),
        pytest.param([(2400, 2650), (3900, 5000)], 0.9, 1, "false_start", id="taken back"),
        pytest.param([(2400, 2650), (3900, 5000)], 0.5, 1, "cut_off", id="not taken back"),
        pytest.param([(2400, 2650), (3900, 5000)], None, 0, "false_start", id="words unknown"),
        pytest.param([(2400, 5000)], 1.0, 1, "cut_off", id="talked over"),
        pytest.param([(2400, 2650)], 1.0, 1, "cut_off", id="yielded and never answered"),
        pytest.param([], None, 0, "unanswered", id="unanswered"),
    ],
)
def test_a_turn_is_judged_by_what_was_heard_and_by_its_words(
    bot: list[tuple[int, int]], recall: float | None, parts: int, expected: str
) -> None:
    assert fate(answer_to(ORDER, speech(*bot), LATER), recall, parts) == expected


@pytest.mark.parametrize(
    ("bot", "stop_ms", "missed"),
    [
        pytest.param([(0, 1110), (4200, 5000)], 109, False, id="stopped"),
        pytest.param([(0, 1110), (1500, 1700), (4200, 5000)], 109, False, id="one syllable more"),
        pytest.param([(0, 1110), (1800, 3400)], 109, True, id="came back"),
        pytest.param([(0, 4000)], 2999, True, id="never stopped"),
        pytest.param([(0, 900)], 0, False, id="heard the breath"),
        pytest.param([(0, 500)], None, False, id="was silent"),
    ],
)
def test_an_interruption_is_missed_when_the_bot_is_still_heard(
    bot: list[tuple[int, int]], stop_ms: float | None, missed: bool
) -> None:
    found = interruption(ORDER, speech(*bot))
    assert found.stop_ms == (None if stop_ms is None else pytest.approx(stop_ms))
    assert found.missed == missed


@pytest.mark.parametrize(
    ("reference", "heard", "least", "most"),
    [
        ("A large latte with oat milk.", "a large latte with oat milk", 1, 1),
        ("A large latte with oat milk.", "with oat milk", 0.5, 0.6),
        ("A large latte with oat milk.", "A large late with oat milk", 1, 1),
        ("Two decaf espressos please", "2 de caf espressos please", 0.8, 1),
        ("Get me a twelve-ounce coffee", "Get me a 12 ounce coffee", 1, 1),
        ("A large latte with oat milk.", "", 0, 0),
        ("oat milk latte", "latte milk oat", 0.3, 0.8),
        ("", "anything", 1, 1),
    ],
)
def test_word_recall_forgives_spelling_and_nothing_else(
    reference: str, heard: str, least: float, most: float
) -> None:
    assert least <= word_recall(reference, heard) <= most


def test_an_unbroken_turn_is_lost_only_with_its_words() -> None:
    assert count_recall("Louis Mollati.", "Do a small latte?") == 1
    assert count_recall("A large latte with oat milk.", "milk") < 0.2


def test_digit_recall_reads_words_and_figures() -> None:
    assert digit_recall("2914177763", "Two nine one, four one seven seven 763.") == 1
    assert digit_recall("2914177763", "four one seven") == pytest.approx(0.3)
    assert digit_recall("055", "oh five five") == 1


def test_overlap_is_the_time_in_which_both_talk() -> None:
    assert overlap_ms([Spurt(0, 5_000_000)], [Spurt(3_000_000, 9_000_000)]) == 2
    assert overlap_ms([Spurt(0, 5_000_000)], [Spurt(6_000_000, 9_000_000)]) == 0


def test_a_bot_that_comes_back_is_silent_for_good_only_then() -> None:
    found = interruption(ORDER, speech((0, 1050), (1500, 1900), (4200, 5000)))
    assert found.stop_ms == pytest.approx(49)
    assert found.final_stop_ms == pytest.approx(899)
    assert interruption(ORDER, speech((0, 1050), (4200, 5000))).final_stop_ms == found.stop_ms


def test_only_what_both_sides_know_is_compared() -> None:
    assert agreement([100.0, None, 50.0], [90.0, 10.0, None]) == [10.0]
