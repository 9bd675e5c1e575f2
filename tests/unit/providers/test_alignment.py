"""What an engine reports as said is found in the text that it was given."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.kit.alignment import Follower
from gateway.providers.kit.voices import parts_of


def followed(text, *reported):
    words = Follower(text)
    return [*map(words.take, reported), words.rest()]


def test_words_come_with_their_punctuation():
    assert followed('Well, yes: "now"!', "well", "Yes", "now") == ["Well, ", 'yes: "', 'now"!', ""]


def test_words_in_parts_and_in_groups():
    assert followed("Hello there you", "Hel", "lo ", "there you") == ["Hel", "lo ", "there you", ""]


def test_what_is_not_reported_comes_with_what_follows():
    assert followed("One two three", "One", "three") == ["One ", "two three", ""]


def test_what_is_not_in_the_text_has_no_place():
    assert followed("One two", "One", "and", "two") == ["One ", "", "two", ""]
    assert followed("A man", "A", "an") == ["A ", "", "man"]


def test_a_word_far_away_is_not_the_one_that_is_meant():
    assert followed("No " + "x" * 100 + " end", "No", "end")[1] == ""


def test_nothing_is_left_where_nothing_was_reported():
    assert followed("One two") == [""]


@given(st.text(max_size=60), st.lists(st.text(max_size=8), max_size=8))
def test_what_was_found_and_the_rest_are_the_text(text, reported):
    found = followed(text, *reported)
    assert "".join(found) in {text, ""}


@given(st.text("ab ", max_size=200), st.integers(1, 20))
def test_parts_are_short_and_together_the_text(text, most):
    parts = list(parts_of(text, most))
    assert "".join(parts) == text
    assert all(len(part) <= most for part in parts)
