from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.script.clock import clock_time, say_time
from gateway.script.numbers import (
    digit_string,
    quantity,
    say_digits,
    say_number,
)
from gateway.script.words import tokens

PHONE = range(7, 16)


@pytest.mark.parametrize(
    ("heard", "digits"),
    [
        ("555 0199", "5550199"),
        ("five five five oh one nine nine", "5550199"),
        ("5-5-5-0-1-9-9", "5550199"),
        ("555-0199.", "5550199"),
        ("1-0-0-0-1, 2-3", "1000123"),
        ("9805 123", "9805123"),
        ("nine eight oh five 1 2 3", "9805123"),
        ("for one five, five five five, to three four", "415555234"),
        ("two to five five five too ate", "2255528"),
        ("zero won tree for fife six seven", "0134567"),
        ("double five five, triple one two", "5551112"),
        ("my number is area code 415, 555 2671", "4155552671"),
        ("(415) 555-2671", "4155552671"),
        ("plus 1 415 555 2671", "14155552671"),
        ("four one five five five five twenty six seventy one", "4155552671"),
        ("eight hundred five five five one two one two", "8005551212"),
        ("415 no wait 416 555 1234", "4165551234"),
        ("5550198 sorry 5550199", "5550199"),
        ("it is 5550199 for the evening", "5550199"),
        ("you can call me at 5550199 or too late", "5550199"),
        ("It's 07700 900 123.", "07700900123"),
        ("call me back tomorrow", ""),
        ("five five five, oh one", "55501"),
        ("", ""),
    ],
)
def test_dictated_digits(heard: str, digits: str) -> None:
    assert digit_string(heard, PHONE) == digits


def test_a_doubtful_homophone_counts_only_where_the_length_needs_it() -> None:
    assert digit_string("the code is for 1 2 3", {4}) == "4123"
    assert digit_string("the code is for 1 2 3 4", {4}) == "1234"


@pytest.mark.parametrize("heard", ["to", "too", "Two.", "2"])
def test_one_digit_alone(heard: str) -> None:
    assert digit_string(heard, {1}) == "2"


@given(st.text("0123456789", min_size=1, max_size=15))
def test_spoken_digits_are_read_back_as_themselves(digits: str) -> None:
    assert digit_string(say_digits(digits), {len(digits)}) == digits


@pytest.mark.parametrize(
    ("heard", "clock"),
    [
        ("half past three", "15:30"),
        ("3:30", "15:30"),
        ("three thirty pm", "15:30"),
        ("3.30 p.m.", "15:30"),
        ("quarter to five", "16:45"),
        ("a quarter past twelve", "12:15"),
        ("ten to two", "13:50"),
        ("ten past for", "16:10"),
        ("twenty five past six", "18:25"),
        ("noon", "12:00"),
        ("midnight", "00:00"),
        ("12 am", "00:00"),
        ("8 o'clock", "08:00"),
        ("eight o'clock in the evening", "20:00"),
        ("three in the afternoon", "15:00"),
        ("at 9 a.m.", "09:00"),
        ("seven oh five", "19:05"),
        ("fifteen hundred", "15:00"),
        ("1530", "15:30"),
        ("at for", "16:00"),
        ("16:45", "16:45"),
        ("nine", "09:00"),
        ("25 o'clock", None),
        ("99:99", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_clock_times(heard: str, clock: str | None) -> None:
    assert clock_time(heard) == clock


@given(st.integers(8, 19), st.integers(0, 59))
def test_spoken_times_are_read_back_as_themselves(hour: int, minute: int) -> None:
    clock = f"{hour:02d}:{minute:02d}"
    assert clock_time(say_time(clock)) == clock


@pytest.mark.parametrize(
    ("heard", "number"),
    [
        ("two", 2),
        ("to", 2),
        ("for", 4),
        ("a couple", 2),
        ("a couple of them", 2),
        ("twenty one", 21),
        ("twenty-one please", 21),
        ("21", 21),
        ("a dozen", 12),
        ("half a dozen", 6),
        ("two dozen", 24),
        ("none", 0),
        ("just one", 1),
        ("a hundred", 1),
        ("two no three", 3),
        ("change it to three", 3),
        ("three at eight", 3),
        ("20 " + "9" * 5000, 20),
        ("no", None),
        ("I would like for you to go", None),
    ],
)
def test_quantities(heard: str, number: int | None) -> None:
    assert quantity(heard) == number


@given(st.integers(0, 99))
def test_spoken_counts_are_read_back_as_themselves(number: int) -> None:
    assert quantity(say_number(number)) == number


@pytest.mark.parametrize(
    ("number", "spoken"),
    [
        (0, "zero"),
        (21, "twenty-one"),
        (100, "one hundred"),
        (1204, "one thousand two hundred four"),
        (-7, "minus seven"),
        (2_000_003, "two million three"),
    ],
)
def test_numbers_are_spoken_as_words(number: int, spoken: str) -> None:
    assert say_number(number) == spoken


@pytest.mark.parametrize(
    ("digits", "spoken"),
    [
        ("5550199", "five five five, zero one nine nine"),
        ("4155552671", "four one five, five five five, two six seven one"),
        ("123456", "one two three, four five six"),
        ("42", "four two"),
        ("4-\u00b2", "four"),
        ("", ""),
    ],
)
def test_digits_are_spoken_in_groups(digits: str, spoken: str) -> None:
    assert say_digits(digits) == spoken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'd like TWO teas, please!", ("i", "would", "like", "2", "teas", ",", "please", ",")),
        ("Caf\u00e9 & co", ("cafe", "and", "co")),
        ("it\u2019s 3:30 p.m.", ("it", "is", "3:30", "pm")),
        ("1,000 teas", ("1000", "teas")),
    ],
)
def test_tokens(text: str, expected: tuple[str, ...]) -> None:
    assert tokens(text)[: len(expected)] == expected
