"""Spelled names and codes, as callers say and recognizers write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.script.spelling import say_spelled, spelled


@pytest.mark.parametrize(
    ("heard", "name"),
    [
        ("J O H N", "JOHN"),
        ("J. O. H. N.", "JOHN"),
        ("J-O-H-N", "JOHN"),
        ("j o h n", "JOHN"),
        ("John, J O H N.", "JOHN"),
        ("It's J, O, H, N.", "JOHN"),
        ("My name is spelled M, E, Y, E, R", "MEYER"),
        ("K-o-w-a-l-s k-i", "KOWALSKI"),
        ("I A N", "IAN"),
        ("i a n", "IAN"),
        ("A, I.", "AI"),
        ("P A T E L, thank you", "PATEL"),
        ("ATL", "ATL"),
        ("The ATL.", "ATL"),
        ("jay oh aitch en", "JOHN"),
        ("em why", "MY"),
        ("double U A T S O N", "WATSON"),
        ("B R A double D L E Y", "BRADDLEY"),
        ("triple A", "AAA"),
        ("O apostrophe N E I double L", "O'NEILL"),
        ("L E E dash J O N E S", "LEE-JONES"),
        ("capital J O H N", "JOHN"),
        ("J and O and H and N", "JOHN"),
        ("A B 3 4 seven", "AB347"),
        ("A B zero", "AB0"),
        ("M \u00dc L L E R", "MULLER"),
        ("j as in juliett, o as in oscar, h as in hotel, n as in november", "JOHN"),
        ("J as in Juliet, O as in orange, N as in Nancy", "JON"),
        ("D as in Juliet, O is in orange, N has in Nancy", "JON"),
        ("M as in Mike, A as in Alpha, X as in X-ray.", "MAX"),
        ("L as in Lima, E as in Echo, X as in extra", "LEX"),
        ("B for Bravo, E for Echo, N for November.", "BEN"),
        ("V4 Bravo, E4 Echo, and for November.", "BEN"),
        ("S like sugar, M like Mary", "SM"),
        ("Juliett, Oscar, Hotel, November.", "JOHN"),
        ("Julite Oscar hotels November.", "JOHN"),
        ("Uniform Victor Whisky X-ray", "UVWX"),
        ("Romeo, O, Bravo, Y", "ROBY"),
        ("J O N, no, sorry, J O H N", "JOHN"),
        ("J O H N, I think", "JOHN"),
        ("J O N, I mean J O H N", "JOHN"),
        ("not M but N: no, M A X", "MAX"),
        ("John", None),
        ("Do we change?", None),
        ("I don't know", None),
        ("Can I see a menu?", None),
        ("Why are you", None),
        ("what do you mean", None),
        ("Are you there?", None),
        ("X", None),
        ("Is there a hotel?", None),
        ("28", None),
        ("Tuesday, February 18th.", None),
        ("", None),
    ],
)
def test_spelled(heard: str, name: str | None) -> None:
    assert spelled(heard) == name


@pytest.mark.parametrize(
    ("heard", "name"),
    [("my name is Meyer, M E Y E R", "MEYER"), ("is the T V on", None), ("a b", None)],
)
def test_what_was_not_asked_for_must_be_sure(heard: str, name: str | None) -> None:
    assert spelled(heard, is_asked=False) == name


def test_letters_are_said_one_by_one() -> None:
    assert say_spelled("LEE-O'3") == "L, E, E, dash, O, apostrophe, 3"


@given(st.from_regex(r"[A-Z]{1,8}([-'][A-Z]{1,5})?[0-9]{0,3}", fullmatch=True))
def test_what_is_said_is_read_back(letters: str) -> None:
    if len(letters) > 1:
        assert spelled(say_spelled(letters)) == letters


@given(st.text(), st.booleans())
def test_any_text_is_taken(text: str, is_asked: bool) -> None:
    found = spelled(text, is_asked=is_asked)
    assert found is None or (len(found) > 1 and found.isascii() and found == found.upper())


@given(st.lists(st.sampled_from(["double", "triple", "u", "l", "oscar"]), max_size=60))
def test_no_word_multiplies_more_than_the_next(heard: list[str]) -> None:
    """A recognizer at the end of its wits repeats itself: "double double double"."""
    assert len(spelled(" ".join(heard)) or "") <= 3 * len(heard)
