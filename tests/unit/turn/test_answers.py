"""What the bot asked for: complete, on the way, or something else."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.contracts import ExpectKind
from gateway.turn.answers import Answer, digit_count, look_at_answer


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("555-1234.", 7),
        ("Five, five five.", 3),
        ("oh one double two", 4),
        ("triple nine", 3),
        ("twenty five", 3),  # an upper bound: "25" or "20 5"
        ("My name is Peter.", 0),
        ("double", 0),
    ],
)
def test_digits_are_counted_spoken_or_written(text, count):
    assert digit_count(text) == count


@pytest.mark.parametrize(
    ("text", "kind", "digits", "answer"),
    [
        ("Is it over?", "email", None, "other"),
        ("Ann at?", "email", None, "dictating"),
        ("One two three four.", "digits", 4, "expected"),
        ("One two three.", "digits", 4, "dictating"),
        ("One two three.", "digits", None, "dictating"),
        ("For.", "digits", 4, "dictating"),
        ("A. P. L. P.", "phone_number", None, "dictating"),
        ("What number?", "phone_number", None, "other"),
        ("You want aye?", "phone_number", None, "dictating"),
        ("4, 8, 0, 6, 6, 6, 6, 6", "digits", 8, "dictating"),
        ("1-0-0-0-0-0-0-0-0-0", "digits", 4, "dictating"),
        ("I do not know it.", "digits", 4, "other"),
        ("No.", "phone_number", None, "other"),
        ("0171 555 1234", "phone_number", None, "dictating"),
        ("0171 555 1234", "phone_number", 11, "expected"),
        ("Yes please.", "yes_no", None, "expected"),
        ("No, I would rather have tea.", "yes_no", None, "other"),
        ("B R O.", "spelling", None, "dictating"),
        ("B.", "spelling", None, "dictating"),
        ("Yes.", "spelling", None, "dictating"),
        ("Why?", "spelling", None, "dictating"),
        ("Be are oh double you.", "spelling", None, "dictating"),
        ("No.", "spelling", None, "other"),
        ("Brown. B-R-O-W.", "spelling", None, "dictating"),
        ("Brown. B-R-O-W-N.", "spelling", None, "expected"),
        ("I would rather not.", "spelling", None, "other"),
        ("john at gmail dot com", "email", None, "expected"),
        ("john@gmail.com.", "email", None, "expected"),
        ("j.smith@example.co.uk", "email", None, "expected"),
        ("john at example dot co", "email", None, "dictating"),
        ("john@example.co", "email", None, "dictating"),
        ("john at", "email", None, "dictating"),
        ("John.", "email", None, "dictating"),
        ("Why do you need that?", "email", None, "other"),
        ("My name is.", "name", None, "dictating"),
        ("Peter Brown.", "name", None, "other"),
        ("Peter P-E-T.", "name", None, "dictating"),
        ("At 5:30.", "time", None, "expected"),
        ("Half past five p.m.", "time", None, "expected"),
        ("Tomorrow at noon.", "time", None, "expected"),
        ("At five.", "time", None, "other"),
        ("Two.", "quantity", None, "expected"),
        ("Twenty.", "quantity", None, "other"),
        ("What do you have?", "quantity", None, "other"),
        ("Anything.", "free", None, "other"),
    ],
)
def test_answers(text, kind, digits, answer):
    assert look_at_answer(text, kind, digits) == answer


@given(st.text(max_size=40), st.sampled_from(get_args(ExpectKind)), st.none() | st.integers(1, 12))
def test_any_text_gets_an_answer(text, kind, digits):
    assert look_at_answer(text, kind, digits) in get_args(Answer)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 12))
def test_a_number_is_complete_with_its_last_digit(number, wanted):
    answer = look_at_answer("".join(map(str, number)), "digits", wanted)

    assert answer == ("expected" if len(number) == wanted else "dictating")
