from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.providers.thinking import ThoughtFilter


def spoken(pieces: list[str]) -> str:
    thoughts = ThoughtFilter()
    return "".join([*(thoughts.feed(piece) for piece in pieces), thoughts.rest()])


def cut(text: str, places: list[int]) -> list[str]:
    return [text[a:b] for a, b in pairwise([0, *sorted(places), len(text)])]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Hello.", "Hello."),
        ("\n Hello. ", "Hello. "),
        ("<think>Who is it?</think>\n\nHello.", "Hello."),
        ("\n<think></think>Hello.", "Hello."),
        ("<think>a</think> <think>b</think> Hello.", "Hello."),
        ("<think>2 < 3 </thin</think>Hello.", "Hello."),
        ("<think>never ending", ""),
        ("<thing> is a tag", "<thing> is a tag"),
        ("<thi", "<thi"),
        ("Say <think> aloud.</think>", "Say <think> aloud.</think>"),
        (" ", ""),
        ("", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_thoughts_are_not_spoken(text: str, answer: str, size: int):
    assert spoken([text[n : n + size] for n in range(0, len(text), size)]) == answer


@given(st.text("<think/> ab"), st.lists(st.integers(0, 40), max_size=8))
@example("<think>x</think>y", [3, 9])
def test_cuts_change_nothing(text: str, places: list[int]):
    assert spoken(cut(text, places)) == spoken([text])


def test_plain_text_is_not_held_back():
    thoughts = ThoughtFilter()
    assert [thoughts.feed(piece) for piece in ("He", "llo", " <think>")] == [
        "He",
        "llo",
        " <think>",
    ]
