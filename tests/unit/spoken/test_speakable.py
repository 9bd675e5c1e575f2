"""What reaches a synthesizer is what a person would say."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversation.sentences import SentenceSplitter
from gateway.spoken import speakable

TABLE = Path(__file__).with_name("english.tsv")
"""What was written, what is to be heard; `\\n` is a line break."""
ROWS = [tuple(line.replace("\\n", "\n").split("\t")) for line in TABLE.read_text().splitlines()[1:]]


def words(text: str) -> list[str]:
    """Words, not spelling: what two texts must share to sound the same."""
    return re.findall(r"[a-z0-9']+", text.lower())


def pieces(text: str) -> list[str]:
    """The pieces of a text that comes letter by letter."""
    splitter = SentenceSplitter()
    return [piece for letter in text for piece in splitter.push(letter)] + splitter.flush()


@pytest.mark.parametrize(("written", "heard"), ROWS)
def test_english_is_read_as_a_person_reads_it(written: str, heard: str):
    said = speakable(written)
    assert words(said) == words(heard)
    assert re.fullmatch(r"[A-Za-z .,;:!?'()-]+", said)


@pytest.mark.parametrize("before", ["", "Sure, it is so: "])
@pytest.mark.parametrize(("written", "heard"), ROWS)
def test_a_stream_is_read_as_the_whole_is(written: str, heard: str, before: str):
    said = " ".join(map(speakable, pieces(before + written)))
    assert words(said) == words(before) + words(heard)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("# Menu\n- Coffee\n* Tea\n- [x] cake", "Menu. Coffee. Tea. cake"),
        ("only a\nwrapped line", "only a wrapped line"),
        ("Before ```py\nx = 1\n``` after", "Before after"),
        ("Never closed ```py\nx = 1", "Never closed"),
        ("one <b>two</b><br/>three", "one two three"),
        ("He lives at 5 Main St. She does not.", "He lives at five Main Street. She does not."),
        ("At 10 a.m. or 2 p.m. I prefer 10.", "At ten A M or two P M. I prefer ten."),
        ("The team had ham", "The team had ham"),
        ("Am I late? I am.", "Am I late? I am."),
        ("at nine PM sharp", "at nine P M sharp"),
        ("I said it. (Twice.)", "I said it. (Twice.)"),
        (r"I said it. \(Twice.\)", "I said it. (Twice.)"),
        (r"It is $5 to $10, in C:\data.", "It is five to ten dollars, in C: data."),
    ],
)
def test_pauses_and_capitals(written: str, said: str):
    assert speakable(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Привет, мир!", "Privet, mir!"),
        ("Ça va, garçon?", "Ca va, garcon?"),
        ("你好", "Ni Hao"),
        ("❶ ② ٣ ५ ㊿", "one two three five fifty"),
    ],
)
def test_an_english_voice_gets_letters_that_it_knows(written: str, said: str):
    assert speakable(written) == said


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ru", "Привет, мир!"),
        ("ja", "日本語です。"),
        ("ar", "مرحبا بالعالم؟"),
        ("hi", "नमस्ते दुनिया"),
        ("fa", "می\u200cخواهم"),  # noqa: RUF001 - a joiner that must stay
        ("fr", "Ça va, garçon?"),
    ],
)
def test_other_languages_keep_their_script(language: str, text: str):
    assert speakable(text, language) == text


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("pl", "**Pogrubione** o 10:30", "Pogrubione o 10:30"),
        ("sv", "Det kostar 3,50 €.", "Det kostar 3,50 euro."),
        ("da", "2026-11-28 & 01.12.2026", "28. november 2026 & 1. december 2026"),
        ("ca", "Costa $20 al mes", "Costa 20 dòlars dels Estats Units al mes"),
        ("ro", "Costă 12,50 €", "Costă 12,50 euro"),
        ("pl", "Tel. +49 30 901820", "Tel. + 4 9, 3 0, 9 0 1 8 2 0"),
        ("da", "1.000.000 mennesker", "1.000.000 mennesker"),
        ("xx-nowhere", "20 % & 3,50 €", "20 % & 3,50 €"),
    ],
)
def test_other_languages_are_written_out_by_their_own_rules(language: str, written: str, said: str):
    assert speakable(written, language) == said


@pytest.mark.parametrize(
    "text", ["", " ", "!!!", "...", "😀", "---", "**", "```x```", "|---|", "\n", "[1]", "*smiles*"]
)
def test_nothing_to_say(text: str):
    assert speakable(text) == ""


_TEXTS = st.one_of(
    st.text(),
    st.text("*_`#|[]()<>~-+ \n\t09:.,$€%&@/°apm😀é'\"=^", max_size=80),
    st.lists(st.sampled_from([row[0] for row in ROWS]), max_size=4).map(" ".join),
)


@given(_TEXTS, st.sampled_from(["en", "en-GB", "de", "fr", "es", "it", "pt", "nl", "tr", "none"]))
def test_it_is_always_one_clean_line(text: str, language: str):
    said = speakable(text, language)
    assert "\n" not in said
    assert not set('*_`#|[]<>~"') & set(said)
    assert said == "" or any(map(str.isalnum, said))
    assert "  " not in said


@given(_TEXTS)
def test_english_leaves_neither_digits_nor_foreign_letters(text: str):
    said = speakable(text)
    assert not any(map(str.isdigit, said))
    assert all(character.isascii() for character in said if character.isalpha())


@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=9), max_size=20))
def test_plain_words_are_left_alone(plain: list[str]):
    text = " ".join(
        word for word in plain if word not in {"aka", "asap", "hrs", "yrs", "pls", "thx", "qty"}
    )
    assert speakable(text) == text


_WORDS = st.sampled_from(
    ("the", "a", "my", "house", "we", "open", "when", "rain", "I", "Berlin", "Anna", "late", "for")
)


@given(st.lists(st.tuples(_WORDS, st.sampled_from(["", ",", ".", "?", "!"]))))
def test_no_letter_of_a_sentence_is_lost_and_reading_twice_changes_nothing(
    parts: list[tuple[str, str]],
):
    text = " ".join(word + mark for word, mark in parts)
    said = speakable(text)
    assert re.sub(r"[^a-zA-Z]", "", said) == re.sub(r"[^a-zA-Z]", "", text)
    assert speakable(said) == said


@pytest.mark.parametrize(
    "unit",
    [
        "1",
        "1-",
        "[",
        "<a ",
        "a.b.",
        "$1-",
        "1:1-",
        "A1-",
        "\n",
        "`",
        "_a",
        "a@",
        "1.1.",
        "\\frac{",
        "\\[",
        "$x^",
        "\\(",
        "~~",
        "{a}",
        "\\pi",
        "1 - ",
        "A&B",
    ],
)
def test_time_grows_with_length_and_not_faster(unit: str):
    """A quadratic pattern would take a minute here, and the test's time limit ends it."""
    speakable.cache_clear()
    speakable(unit * 10_000)
