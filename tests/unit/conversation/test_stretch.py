"""Words of speech that an engine makes, and what of them was heard."""

import pytest

from gateway.conversation.heard import SpokenPieces
from gateway.conversation.stretch import Stretch


def announced(pieces: SpokenPieces, played: int) -> list[str]:
    return [begun.text for begun in pieces.newly_heard(played)]


def aligned() -> tuple[SpokenPieces, Stretch]:
    """One word every 10 frames, each with its sound."""
    pieces = SpokenPieces()
    stretch = Stretch(pieces, 0)
    for word in ("We", " have", " tea.", " And", " cake."):
        stretch.add_words(word, begin_here=True)
        stretch.add_frames(10)
    return pieces, stretch


@pytest.mark.parametrize(
    ("played", "heard"),
    [(0, ""), (9, ""), (10, "We"), (19, "We"), (20, "We have"), (29, "We have"),
     (30, "We have tea."), (41, "We have tea. And"), (50, "We have tea. And cake.")],
)  # fmt: skip
def test_a_word_was_heard_when_the_next_begins(played: int, heard: str):
    pieces, stretch = aligned()
    stretch.end()
    assert pieces.heard_text(played) == heard


def test_the_latest_word_may_still_be_sounding():
    pieces, stretch = aligned()
    assert pieces.heard_text(50) == "We have tea. And"
    stretch.end()
    assert pieces.heard_text(50) == "We have tea. And cake."


def test_sound_before_the_first_word_carries_none():
    pieces = SpokenPieces()
    stretch = Stretch(pieces, 0)
    stretch.add_frames(20)
    stretch.add_words("Yes", begin_here=True)
    stretch.add_frames(10)
    stretch.add_words(" please.", begin_here=True)
    stretch.add_frames(10)
    stretch.end()
    assert [pieces.heard_text(played) for played in (20, 29, 30, 40)] == [
        "", "", "Yes", "Yes please.",
    ]  # fmt: skip


def test_words_that_come_before_their_sound_are_spread_over_it():
    pieces = SpokenPieces()
    stretch = Stretch(pieces, 0)
    for words in ("We have ", "tea.", " And some cake."):
        stretch.add_words(words, begin_here=False)
    assert pieces.heard_text(0) == ""
    stretch.add_frames(30)
    stretch.add_frames(170)
    stretch.end()
    assert pieces.heard_text(200) == "We have tea. And some cake."
    assert pieces.heard_text(100) == "We have tea."
    assert pieces.heard_text(140) == "We have tea. And"
    first, second = pieces.pieces
    assert (first.text, second.text) == ("We have tea.", " And some cake.")
    assert first.first_frame == 0
    assert first.frames == second.first_frame
    assert second.first_frame + second.frames == 200


def test_words_may_come_after_all_of_their_sound():
    pieces = SpokenPieces()
    stretch = Stretch(pieces, 5)
    stretch.add_frames(100)
    assert pieces.heard_text(60) == ""
    stretch.add_words("One. Two and three.", begin_here=False)
    stretch.end()
    assert pieces.heard_text(105) == "One. Two and three."
    assert pieces.heard_text(50).startswith("One.")


def test_speech_that_is_shorter_than_usual_was_heard_at_its_end():
    pieces = SpokenPieces()
    stretch = Stretch(pieces, 0)
    stretch.add_words("A long sentence that is said in no time.", begin_here=False)
    stretch.add_words(" Really.", begin_here=False)
    stretch.add_frames(20)
    assert "Really." not in pieces.heard_text(20)  # more sound may follow
    stretch.end()
    assert pieces.heard_text(20) == "A long sentence that is said in no time. Really."


def test_a_sentence_that_grows_is_announced_as_it_begins_and_as_it_ends():
    pieces = SpokenPieces()
    stretch = Stretch(pieces, 0)
    stretch.add_words("Do you", begin_here=True)
    stretch.add_frames(10)
    assert announced(pieces, 1) == ["Do you"]
    stretch.add_words(" take", begin_here=True)
    stretch.add_frames(10)
    assert announced(pieces, 11) == []
    stretch.add_words(" milk?", begin_here=True)
    stretch.add_frames(10)
    stretch.add_words(" We", begin_here=True)
    assert announced(pieces, 29) == ["take milk?"]
    assert announced(pieces, 31) == ["We"]
    stretch.add_words(" have some.", begin_here=True)
    stretch.end()
    assert announced(pieces, 40) == ["have some."]
    assert announced(pieces, 50) == []


def test_a_stretch_is_one_piece_of_the_reply():
    pieces, stretch = aligned()
    generated = ["We have tea. And cake."]
    stretch.end()
    assert not pieces.is_end_heard(30, 1)
    assert pieces.is_end_heard(40, 1)
    assert not pieces.is_end_heard(40, 2)
    assert pieces.unheard(49, generated) == tuple(generated)
    assert pieces.unheard(50, generated) == ()
    assert not pieces.is_mute


def test_a_filler_that_is_put_first_moves_it():
    pieces = SpokenPieces()
    stretch = Stretch(pieces, 0)
    stretch.add_words("Yes.", begin_here=True)
    stretch.add_frames(10)
    pieces.put_first("Hm.", 25)
    stretch.add_words(" No.", begin_here=True)
    stretch.add_frames(10)
    stretch.end()
    assert [pieces.heard_text(played) for played in (34, 35, 44, 45)] == [
        "", "Yes.", "Yes.", "Yes. No.",
    ]  # fmt: skip


def test_silence_that_is_queued_behind_it_is_no_part_of_its_words():
    """Full duplex: the engine sends silence, too, and what was cut has no end yet."""
    pieces = SpokenPieces()
    stretch = Stretch(pieces, 0)
    stretch.add_words("Let me see.", begin_here=False)
    stretch.add_frames(38)
    stretch.add_words(" Monday from seven.", begin_here=False)
    stretch.add_frames(63)
    stretch.add_frames(40, 0)
    assert pieces.heard_text(90) == "Let me see. Monday from"
    assert pieces.heard_text(101) == "Let me see. Monday from seven."
    stretch.add_frames(20, 15)  # it was a pause
    assert pieces.heard_text(101) != "Let me see. Monday from seven."
