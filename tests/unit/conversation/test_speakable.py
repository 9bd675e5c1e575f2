"""What reaches a synthesizer is what a person would say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversation.sentences import speakable


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "**Bold**, *slanted*, __both__, ~~gone~~ and `code`.",
            "Bold, slanted, both, gone and code.",
        ),
        ("# Menu\n- Coffee\n* Tea\n- [x] cake", "Menu. Coffee. Tea. cake"),
        ("1. Coffee\n2) Tea", "1, Coffee. 2, Tea"),
        ("| a | b |\n|:--|--:|\n| 1 | 2 |", "a, b. 1, 2"),
        ("Above\n\n---\n\nBelow", "Above. Below"),
        ("See [our site](https://example.com/x_y).", "See our site."),
        ("![a cat](cat.png) here", "a cat here"),
        ("Before ```py\nx = 1\n``` after", "Before after"),
        ("Never closed ```py\nx = 1", "Never closed"),
        ("one <b>two</b><br/>three", "one two three"),
        ("only a\nwrapped line", "only a wrapped line"),
        ("snake_case stays", "snake case stays"),
        ("Great 😀👍🏽!!!", "Great!"),
        ("1\ufe0f\u20e3 first", "1 first"),
        ("a • b → c ™", "a b c"),
    ],
)
def test_markup_and_pictures_are_not_read(written: str, said: str):
    assert speakable(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It costs $3.50.", "It costs 3 dollars and 50 cents."),
        ("$1, £2, €1.01 and £0.50", "1 dollar, 2 pounds, 1 euro and 1 cent and 50 pence"),
        (
            "$1,250 or $1.5 million or $2k",
            "1250 dollars or 1.5 million dollars or 2 thousand dollars",
        ),
        ("12,50 € or 3 €", "12 euros and 50 cents or 3 euros"),
        ("20% off & 21°C", "20 percent off and 21 degrees Celsius"),
        ("an angle of 90°", "an angle of 90 degrees"),
        ("open 24/7", "open 24 7"),
        ("at 10:00, 9:30 and 17:05", "at 10 o'clock, 9 30 and 17 oh 5"),
        ("from 9:00 a.m. to 5pm", "from 9 a m to 5 p m"),
        ("at 5 p.m.", "at 5 p m."),
        ("10:00-12:00, 5-6 people", "10 o'clock to 12 o'clock, 5 to 6 people"),
        ("on 2024-05-02", "on May 2, 2024"),
        ("e.g. No. 5 or #7, etc.", "for example number 5 or number 7, et cetera."),
        ("R&D and/or C#", "R and D and or C sharp"),
        ("3 * 4 = 12, 1 + 1", "3 times 4 equals 12, 1 plus 1"),
        ("about -5 degrees", "about minus 5 degrees"),
        ("mail info@example.com", "mail info at example dot com"),
        ("see https://www.example.com/help/.", "see example dot com slash help."),
    ],
)
def test_symbols_and_numbers_are_spelt_out(written: str, said: str):
    assert speakable(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Call 555-0123.", "Call 5 5 5, 0 1 2 3."),
        ("+1 (415) 555-0100", "plus 1, 4 1 5, 5 5 5, 0 1 0 0"),
        ("order 123456789", "order 1 2 3 4 5 6 7 8 9"),
        ("020 7946 0018", "0 2 0, 7 9 4 6, 0 0 1 8"),
        ("1,000,000 people", "1000000 people"),
        ("1.000.000 Leute", "1.000.000 Leute"),
        ("2020-2024", "2020 to 2024"),
        ("9.30-17.00", "9.30 to 17.00"),
        ("room 1234", "room 1234"),
        ("3.1415926", "3.1415926"),
    ],
)
def test_which_digits_are_read_one_by_one(written: str, said: str):
    assert speakable(written) == said


@pytest.mark.parametrize(
    "text",
    [
        "Привет, мир!",
        "日本語です。",
        "مرحبا بالعالم؟",
        "नमस्ते दुनिया",
        "می\u200cخواهم",  # noqa: RUF001 - a joiner that must stay
        "Ça va, garçon?",
    ],
)
def test_other_scripts_stay(text: str):
    assert speakable(text) == text


def test_other_languages_keep_their_symbols():
    assert speakable("Das kostet 3,50 € & 20 % mehr.", "de") == "Das kostet 3,50 € & 20 % mehr."
    assert speakable("**Fett** um 10:30", "de-AT") == "Fett um 10:30"


@pytest.mark.parametrize(
    "text", ["", " ", "!!!", "...", "😀", "---", "**", "```x```", "|---|", "\n"]
)
def test_nothing_to_say(text: str):
    assert speakable(text) == ""


@given(st.one_of(st.text(), st.text("*_`#|[]()<>~-+ \n\t09:.,$€%&@/°apm😀é", max_size=60)))
def test_it_is_always_one_clean_line(text: str):
    said = speakable(text)
    assert "\n" not in said
    assert not set('*_`#|[]<>~"') & set(said)
    assert said == "" or any(map(str.isalnum, said))
    assert "  " not in said


@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyzäöüß", min_size=3, max_size=9), max_size=20))
def test_plain_words_are_left_alone(words: list[str]):
    assert speakable(" ".join(words)) == " ".join(words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("I am here", "I am here"),
        ("Am I late? I am.", "Am I late? I am."),
        ("at 9am", "at 9 a m"),
        ("at 9 am", "at 9 a m"),
        ("at nine PM sharp", "at nine P m sharp"),
        ("We open at 7 a.m.", "We open at 7 a m."),
        ("between 7 a.m. and 6 p.m. daily", "between 7 a m and 6 p m daily"),
        ("The team had ham", "The team had ham"),
    ],
)
def test_am_is_a_word_unless_it_follows_a_time(text: str, said: str):
    assert speakable(text) == said
