"""Only what was heard counts as said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversation.heard import heard_prefix

SECOND = 8000
REPLY = [("We have coffee,", 1 * SECOND), ("tea and some very good cake.", 2 * SECOND)]


@pytest.mark.parametrize(
    ("played", "heard"),
    [
        (0, ""),
        (100, ""),
        (int(0.25 * SECOND), "We"),
        (int(0.6 * SECOND), "We have"),
        (int(0.95 * SECOND), "We have coffee,"),  # only the pause was cut
        (1 * SECOND, "We have coffee,"),
        (1 * SECOND + 160, "We have coffee,"),
        (int(1.8 * SECOND), "We have coffee, tea and"),
        (int(2.9 * SECOND), "We have coffee, tea and some very good cake."),
        (99 * SECOND, "We have coffee, tea and some very good cake."),
    ],
)
def test_words_that_were_over(played: int, heard: str):
    assert heard_prefix(REPLY, played) == heard


def test_digits_take_longer_than_letters():
    assert heard_prefix([("Your number is 5 5 5 0 1 2 3.", 3 * SECOND)], SECOND) == "Your number is"


def test_nothing_was_said():
    assert heard_prefix([], 1000) == ""


def test_a_piece_without_audio_is_heard_when_the_next_one_is():
    assert heard_prefix([("Hm.", 0), ("Yes.", SECOND)], SECOND) == "Hm. Yes."


words = st.lists(st.text("abc12,.", min_size=1, max_size=8), min_size=1, max_size=8)
pieces = st.lists(st.tuples(words.map(" ".join), st.integers(0, 30_000)), min_size=1, max_size=5)


@given(pieces, st.integers(0, 100_000))
def test_it_is_always_a_prefix_in_whole_words(reply: list[tuple[str, int]], played: int):
    everything = " ".join(text for text, _ in reply).split()
    heard = heard_prefix(reply, played).split()
    assert heard == everything[: len(heard)]


@given(pieces, st.integers(0, 100_000), st.integers(0, 10_000))
def test_more_audio_is_never_less_text(reply: list[tuple[str, int]], played: int, more: int):
    longer = heard_prefix(reply, played + more)
    assert longer.startswith(heard_prefix(reply, played))


@given(pieces)
def test_all_of_it_is_all_of_it(reply: list[tuple[str, int]]):
    total = sum(samples for _, samples in reply)
    spoken = [text for text, _ in reply]
    while reply and not reply[-1][1]:
        reply.pop()
        spoken.pop()
    assert heard_prefix(reply, total).split() == " ".join(spoken).split()
