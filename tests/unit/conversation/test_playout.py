"""A reply may be text for our voice, speech that is there already, or both in turns."""

from __future__ import annotations

import numpy as np

from gateway.providers.contracts import Spoken
from tests.support.play import Filler, Play


def sound(ms: int) -> bytes:
    return np.full(ms * 8, 5000, "<i2").tobytes()


def test_speech_goes_to_the_line_as_it_is():
    play = Play(Spoken(sound(330), "Good"), Spoken(sound(270), " day."))
    (only,) = play.line.audible()
    assert round(only[1] - only[0], 2) == 0.6
    assert play.heard == "Good day."
    assert play.figures.generated == ["Good day."]
    assert play.announced == ["Good day."]
    assert play.figures.first_audio_s is not None
    assert play.reply.outcome.error is None


def test_a_cut_keeps_the_words_that_were_over():
    words = [Spoken(sound(400), word) for word in ("One", " two", " three", " four.")]
    play = Play(*words, cut_s=1.0)
    assert play.heard == "One two"
    ((begins, ends),) = play.line.audible()
    assert ends - begins <= 1.04  # one ramped frame after the cut at most


def test_words_without_alignment_are_spread_over_the_sound():
    play = Play(
        Spoken(b"", "We have coffee, tea"), Spoken(sound(1000)), Spoken(b"", " and cake."),
        Spoken(sound(1000)), cut_s=1.2,
    )  # fmt: skip
    assert play.heard.startswith("We have")
    assert "cake" not in play.heard
    assert play.figures.generated == ["We have coffee, tea and cake."]


def test_our_voice_and_the_engine_take_turns():
    play = Play(
        "One moment.", Spoken(sound(500), " Here"), Spoken(sound(500), " it is."), 0.1, "Anything?"
    )
    assert play.heard == "One moment. Here it is. Anything?"
    assert play.figures.generated == ["One moment.", "Here it is.", "Anything?"]
    assert play.announced == ["One moment.", "Here", "it is.", "Anything?"]
    assert play.reply.has_asked
    assert play.reply.asks


def test_words_that_come_before_their_sound_are_those_of_the_sound_behind_a_filler():
    play = Play(
        Spoken(b"", "We have cake."), 0.5, Filler(), 0.5, Spoken(sound(500)), Spoken(sound(500)),
        cut_s=1.8,
    )  # fmt: skip
    assert play.announced == ["One moment.", "We have cake."]
    assert play.reply.outcome.error is None
    assert play.heard == "We have"


def test_of_a_stretch_that_a_filler_breaks_what_was_not_sounded_goes_on_behind_it():
    play = Play(
        Spoken(b"", "Good day."), Spoken(b"", " We have cake."), Spoken(sound(500)), 1.2, Filler(),
        0.5, Spoken(sound(900)),
    )  # fmt: skip
    assert play.announced == ["Good day.", "One moment.", "We have cake."]
    assert play.figures.generated == ["Good day. We have cake."]
    assert play.heard == "Good day. We have cake."
    assert play.reply.outcome.error is None


def test_words_without_any_sound_are_an_error_of_the_engine():
    play = Play(Spoken(b"", "We have cake."), 0.5, Filler())
    assert "no sound" in str(play.reply.outcome.error)


def test_what_does_not_fill_a_frame_is_not_lost_between_pieces_and_at_the_end():
    play = Play(Spoken(sound(25), "A"), Spoken(sound(25)), "B.", Spoken(sound(5), "C"))
    assert play.heard == "A B. C"
    assert round(play.line.heard_s, 2) == 0.06 + 0.1 + 0.02


def test_speech_is_queued_no_further_ahead_than_text():
    queued = []

    class Watched(Play):
        def _frame(self, now: int) -> None:
            super()._frame(now)
            lane = self.reply._playout._lane
            queued.append(lane.queued - lane.played)

    play = Watched(Spoken(sound(10_000), "Long."), cut_s=3.0)
    assert max(queued) <= 26
    assert play.heard == ""
