"""Only what was heard counts as said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversation.heard import SpokenPieces, heard_prefix

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


def spoken(*pieces: tuple[str, int, bool]) -> SpokenPieces:
    """(text, frames, is filler) of pieces whose synthesis is over."""
    found = SpokenPieces()
    queued = 0
    for text, frames, is_filler in pieces:
        piece = found.begin(text, queued, is_filler=is_filler)
        piece.frames, piece.is_whole = frames, True
        queued += frames
    return found


ANSWER = (("One moment.", 50, True), ("We have tea.", 60, False), ("And cake.", 40, False))


@pytest.mark.parametrize(
    ("played", "heard"),
    [(0, ""), (50, ""), (109, "We have tea."), (110, "We have tea."),
     (150, "We have tea. And cake.")],
)  # fmt: skip
def test_fillers_take_time_but_are_no_words(played: int, heard: str):
    assert spoken(*ANSWER).heard_text(played) == heard


@pytest.mark.parametrize(
    ("played", "left"), [(0, 2), (50, 2), (109, 2), (110, 1), (149, 1), (150, 0)]
)
def test_pieces_that_were_not_heard_to_their_end(played: int, left: int):
    generated = ["We have tea.", "And cake."]
    assert spoken(*ANSWER).unheard(played, generated) == tuple(generated[2 - left :])


def test_what_is_not_yet_spoken_is_unheard():
    assert spoken(*ANSWER).unheard(150, ["We have tea.", "And cake.", "And more."]) == (
        "And more.",
    )


def test_a_piece_without_sound_counts_as_heard_with_the_one_before():
    pieces = spoken(("Tea.", 20, False), ("*", 0, False), ("Cake.", 20, False))
    assert pieces.unheard(20, ["Tea.", "*", "Cake."]) == ("Cake.",)


def test_speech_that_is_still_being_made_is_at_least_of_usual_length():
    pieces = SpokenPieces()
    piece = pieces.begin("We have tea, coffee and some very good cake.", 0)
    piece.frames = 40  # so far
    assert pieces.heard_text(20) == "We"
    assert pieces.heard_text(40) == "We have"
    assert pieces.unheard(40, [piece.text]) == (piece.text,)
    piece.frames, piece.is_whole = 41, True
    assert pieces.heard_text(41) == piece.text
    assert pieces.unheard(41, [piece.text]) == ()


def test_every_piece_is_announced_once_when_it_begins():
    pieces = spoken(*ANSWER)
    assert pieces.newly_heard(0) == []
    assert [piece.text for piece in pieces.newly_heard(1)] == ["One moment."]
    assert pieces.newly_heard(50) == []
    assert pieces.newly_heard(20) == []  # said again after a pause
    assert [piece.text for piece in pieces.newly_heard(150)] == ["We have tea.", "And cake."]
    assert pieces.newly_heard(150) == []
