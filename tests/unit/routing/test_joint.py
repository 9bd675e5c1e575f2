"""No word is said twice where one engine goes on for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.hedge import Hedge
from gateway.routing.joint import Continuation, SpeakingRate, WholeWords, unspoken


def continued(said: str, written: str, step: int = 3) -> str:
    joint = Continuation(said)
    pieces = [joint.push(written[at : at + step]) for at in range(0, len(written), step)]
    return "".join(pieces) + joint.flush()


@pytest.mark.parametrize(
    ("said", "written", "new"),
    [
        ("We open at ", "nine in the morning.", "nine in the morning."),
        ("We open at ", "We open at nine.", "nine."),
        ("Yes. We open at ", "we open at nine.", "nine."),
        ("Yes. We open at ", "Yes, we open at nine.", "nine."),
        ("We open at nine. ", "We open at nine.", ""),
        ("We open ", "We are open from nine.", "We are open from nine."),
        ("", "Anything.", "Anything."),
        ("The the the ", "The end.", "The end."),
        ("A table for two ", "for two at eight.", "at eight."),
        ("So ", "so it is.", "it is."),
    ],
)
def test_what_is_repeated_is_left_out(said: str, written: str, new: str) -> None:
    assert continued(said, written) == new
    assert continued(said, written, 100) == new
    assert continued(said, written, 1) == new


WORDS = st.lists(st.sampled_from(["we", "open", "at", "nine", "ten", "today"]), max_size=8)


@given(WORDS, WORDS, st.integers(1, 7))
def test_all_words_are_said_and_an_answer_that_begins_anew_is_said_once(
    said: list[str], more: list[str], step: int
) -> None:
    first, rest = " ".join(said), " ".join(more)
    whole = f"{first} {rest}".strip()
    if len(said) >= 2:
        assert continued(f"{first} ", whole, step).split() == more or rest in first
    new = continued(f"{first} ", rest, step)
    assert rest.endswith(new)


@given(st.text(alphabet="ab .!", max_size=40), st.integers(1, 9))
def test_whole_words_lose_nothing(text: str, step: int) -> None:
    words = WholeWords()
    pieces = [words.push(text[at : at + step]) for at in range(0, len(text), step)]
    assert "".join(pieces) + words.flush() == text
    assert all(piece[-1] in " .!" for piece in pieces if piece)


SENTENCE = "We have a table for two at eight."


@pytest.mark.parametrize(
    ("spoken_ms", "marks", "rest"),
    [
        (0, [], SENTENCE),
        (300, [(0, "We"), (200, "have"), (400, "a")], "a table for two at eight."),
        (5000, [(0, SENTENCE)], ""),
        (300, [(0, "We"), (200, "have"), (290, "a table")], "for two at eight."),
        (800, [(0, "We"), (200, "have")], "table for two at eight."),
        (700, [(0, "We"), (200, "have")], "a table for two at eight."),
        (10, [], "have a table for two at eight."),
        (650, [], "table for two at eight."),
        (60_000, [], ""),
    ],
)
def test_another_voice_goes_on_behind_what_was_begun(
    spoken_ms: float, marks: list[tuple[float, str]], rest: str
) -> None:
    assert unspoken(SENTENCE, spoken_ms, marks, 100) == rest


def test_a_voice_is_known_by_its_pace() -> None:
    rate = SpeakingRate(70)
    for _ in range(20):
        rate.learn("abcdefghij klmnopqrst", 2000)
    assert 99 < rate.ms_per_letter < 101
    rate.learn("Hm.", 5000)
    assert rate.ms_per_letter < 101


def test_a_silent_engine_is_joined_by_one_other_and_the_first_to_speak_wins() -> None:
    hedge = Hedge(0.6, ("a", "b", "c"))
    assert (hedge.ask(10), hedge.due_at()) == ("a", 10.6)
    assert (hedge.ask(10.6), hedge.due_at()) == ("b", None)
    assert hedge.spoke("b") == ("a",)
    assert hedge.winner == "b"


def test_a_failure_is_followed_by_the_next_unless_another_works_on_it() -> None:
    hedge = Hedge(0.6, ("a", "b", "c"))
    hedge.ask(0)
    assert hedge.failed("a", 1) == "b"
    assert hedge.due_at() == 1.6
    hedge.ask(1.6)
    assert hedge.failed("b", 2) == ""
    assert hedge.failed("c", 2) == ""
    assert (hedge.asked, hedge.has_more) == ([], False)


def test_without_a_limit_nothing_is_asked_beside() -> None:
    hedge = Hedge(0, ("a", "b"))
    hedge.ask(0)
    assert hedge.due_at() is None
