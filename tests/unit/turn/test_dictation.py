"""What sounds like dictation though nobody asked for it is heard out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.models import TurnConfig
from gateway.turn.answers import look_at_answer, sounds_dictated
from gateway.turn.completeness import Wanted, look
from gateway.turn.endpoint_delay import Evidence, decide

DICTATED = [
    "Five five one",
    "five, five, one, two.",
    "My number is five five.",
    "My account number is 55.",
    "It's 5 5 1 2.",
    "It is zero one seven six",
    "Sure, it's 0171 4433.",
    "The code is 4-8-3.",
    "S M I",
    "It is S, M, I, T.",
    "double five one two",
    "One, four.",
    "ann at gmail",
    "My e-mail address is ann.lee",
    "it is ann at example dot",
    "yes it is five five one",
    "Five five one. Two three.",
]
NOT_DICTATED = [
    "I want two.",
    "A table for four at seven thirty.",
    "I'm in room 305.",
    "It costs 20 dollars.",
    "In 1984.",
    "Yes.",
    "I have one or two questions.",
    "What is your number?",
    "Two large lattes and a tea.",
    "It is ann at example dot com.",
    "ann@gmail.com",
    "I am a b",
    "Can I have a number nine, please?",
    "at 10 30",
    "",
]


@pytest.mark.parametrize("text", DICTATED)
def test_dictation_of_its_own_accord_is_waited_for(text: str):
    assert sounds_dictated(text)
    for kind in ("free", "name", "yes_no"):
        looks = look(text, None, Wanted(kind))
        assert looks == "dictating"
    config = TurnConfig()
    assert decide(Evidence("dictating"), config).delay_ms == config.dictation_ms


@pytest.mark.parametrize("text", NOT_DICTATED)
def test_what_only_holds_a_number_is_not(text: str):
    assert not sounds_dictated(text)


@given(st.text())
def test_any_text_can_be_judged(text: str):
    assert sounds_dictated(text) in {True, False}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("March fifth", "dictating"),
        ("the 5th of March", "dictating"),
        ("March fifth nineteen eighty two", "expected"),
        ("5 March 1982.", "expected"),
        ("3/5/1982", "expected"),
        ("March 5th, 82", "expected"),
        ("the third of May two thousand five", "expected"),
        ("Tomorrow.", "expected"),
        ("Why do you want to know?", "other"),
    ],
)
def test_a_date_of_birth_is_whole_with_its_year(text: str, answer: str):
    assert look_at_answer(text, "date") == answer


@pytest.mark.parametrize("text", ["Yes.", "No, sorry."])
def test_yes_and_no_are_no_part_of_an_address(text: str):
    assert look_at_answer(text, "email") == "other"
