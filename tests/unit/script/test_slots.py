from __future__ import annotations

import pytest

from gateway.script.model import Slot
from gateway.script.slots import extract, only_yes_or_no, yes_or_no


@pytest.mark.parametrize(
    ("heard", "meant", "only"),
    [
        ("Yes.", "yes", "yes"),
        ("yeah", "yes", "yes"),
        ("Yes, please.", "yes", "yes"),
        ("that's right", "yes", "yes"),
        ("sure, go ahead", "yes", "yes"),
        ("uh huh", "yes", "yes"),
        ("Perfect, thank you.", "yes", "yes"),
        ("of course", "yes", "yes"),
        ("No, thank you.", "no", "no"),
        ("nope", "no", "no"),
        ("Now.", "no", "no"),
        ("know", "no", "no"),
        ("That's not right.", "no", "no"),
        ("that's wrong", "no", "no"),
        ("incorrect", "no", "no"),
        ("not really", "no", None),
        ("I don't think so", "no", None),
        ("no, make it three", "no", None),
        ("yes, but make it three", "yes", None),
        ("what", None, None),
        ("", None, None),
    ],
)
def test_yes_and_no(heard: str, meant: str | None, only: str | None) -> None:
    assert yes_or_no(heard) == meant
    assert only_yes_or_no(heard) == only


NAME = Slot(type="name", ask="Name?")


@pytest.mark.parametrize(
    ("heard", "name"),
    [
        ("Sorry, my name is Tim, not Tom", "Tim"),
        ("I will be late", None),
        ("Anna", "Anna"),
        ("my name is Anna Lee", "Anna Lee"),
        ("Yes, my name is anna lee.", "Anna Lee"),
        ("this is bob speaking", "Bob"),
        ("It's John Smith.", "John Smith"),
        ("Hi, I'm Mary O'Brien", "Mary O'Brien"),
        ("A-N-N-A", "Anna"),
        ("J. O. H. N.", "John"),
        ("McDonald", "McDonald"),
        ("no, it's Bob", "Bob"),
        ("Jos\u00e9 Garc\u00eda", "Jos\u00e9 Garc\u00eda"),
        ("I'd like to order", None),
        ("what?", None),
        ("555", None),
        ("", None),
    ],
)
def test_names(heard: str, name: str | None) -> None:
    assert extract(NAME, heard) == name


DAY = Slot(
    type="choice",
    ask="Which day?",
    choices={"today": ("tonight",), "saturday": (), "sunday": (), "the day after tomorrow": ()},
    keys={"6": "saturday"},
)


@pytest.mark.parametrize(
    ("heard", "choice"),
    [
        ("Saturday.", "saturday"),
        ("on saturdays please", "saturday"),
        ("Saturdee", "saturday"),
        ("sat a day", "saturday"),
        ("sunny day", "sunday"),
        ("tonight", "today"),
        ("the day after tomorrow", "the day after tomorrow"),
        ("today, no, Sunday", "sunday"),
        ("6", "saturday"),
        ("whenever", None),
        ("", None),
    ],
)
def test_choices(heard: str, choice: str | None) -> None:
    assert extract(DAY, heard) == choice


@pytest.mark.parametrize(
    ("slot", "heard", "value"),
    [
        (Slot(type="digits", ask="?", min_digits=4, max_digits=4), "one two three four", "1234"),
        (Slot(type="digits", ask="?", min_digits=4, max_digits=4), "one two three", None),
        (Slot(type="digits", ask="?", min_digits=4, max_digits=4), "1 2 3 4 5", None),
        (Slot(type="phone_number", ask="?"), "911", None),
        (Slot(type="phone_number", ask="?"), "5550199", "5550199"),
        (Slot(type="quantity", ask="?", max=8), "three people", "3"),
        (Slot(type="quantity", ask="?", max=8), "nine people", None),
        (Slot(type="time", ask="?"), "half past three", "15:30"),
        (Slot(type="yes_no", ask="?"), "yep", "yes"),
        (Slot(type="spelling", ask="?"), "j as in juliett, o, h, n", "JOHN"),
        (Slot(type="spelling", ask="?"), "John", None),
        (Slot(type="email", ask="?"), "Jo at example dot com.", "jo@example.com"),
        (Slot(type="text", ask="?"), "  Call  me. ", "Call me."),
        (Slot(type="text", ask="?"), " ... ", None),
    ],
)
def test_values_are_validated(slot: Slot, heard: str, value: str | None) -> None:
    assert extract(slot, heard) == value
