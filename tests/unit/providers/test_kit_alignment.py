"""Words come with the part of the sound in which they begin."""

import pytest

from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.providers.kit.alignment import parts, words_of
from gateway.providers.kit.fields import Fields, StrangeEventError


def aligned(text: str, starts: list[object]) -> Fields:
    return Fields({"chars": list(text), "char_start_times_ms": starts})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hi you.", [(0, "Hi "), (30, "you.")]),
        (" Hi  you ", [(0, " "), (10, "Hi  "), (50, "you ")]),
        ("Hi", [(0, "Hi")]),
        ("", []),
    ],
)
def test_words_keep_their_spaces(text: str, words: list[tuple[int, str]]):
    assert words_of(aligned(text, [10 * n for n in range(len(text))])) == words


def test_without_an_alignment_there_are_no_words():
    assert words_of(None) == []
    assert words_of(aligned("Hi", [0, "x"])) == []
    with pytest.raises(StrangeEventError):
        words_of(Fields({"chars": ["a"]}))


def test_sound_is_cut_where_words_begin():
    sound = bytes(range(200)) * 8
    mu_law = AudioFormat(8000, encoding="pcmu")
    assert list(parts(sound, [], mu_law)) == [(sound, "")]
    words = [(0, "One "), (100, "two "), (150, "three")]
    assert list(parts(sound, words, mu_law)) == [
        (sound[:800], "One "), (sound[800:1200], "two "), (sound[1200:], "three"),
    ]  # fmt: skip
    assert [part for part, _ in parts(sound, words[:2], NARROWBAND)] == [sound, b""]


def test_times_that_cannot_be_lose_no_sound():
    sound = bytes(320)
    cut = list(parts(sound, [(5, "a "), (9000, "b "), (1, "c")], NARROWBAND))
    assert b"".join(part for part, _ in cut) == sound
    assert "".join(text for _, text in cut) == "a b c"
