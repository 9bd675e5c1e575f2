"""When a turn ends: chunks and transcripts in, events out; tables and invariants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.voice_chunk import Chunk
from gateway.config.models import TurnConfig
from gateway.turn.completeness import Wanted
from gateway.turn.endpointing import Endpointer, Phase
from gateway.turn.events import (
    EagerEnd,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnResumed,
    milliseconds,
    samples,
)

CONFIG = TurnConfig(eager_ms=64, sure_end_ms=160, whole_ms=288, doubtful_ms=416, unfinished_ms=1000)
CHUNK = 256
SPEECH, TAIL, SILENCE = (0.95, -20.0), (0.95, -60.0), (0.02, -70.0)
MARKS = {"x": SPEECH, "t": TAIL, ".": SILENCE}


class Turn:
    """A turn that began at 0; "x" is speech, "t" what the detector takes for it, "." silence."""

    def __init__(self, text="I want a coffee.", lag=2, sound=None, wanted=None, choice=None):
        self.endpointer = Endpointer(CONFIG)
        self.endpointer.wanted = wanted or Wanted()
        self.endpointer.speech_started(0)
        self.text, self.lag, self.sound, self.choice = text, lag, sound, choice
        self.now = 0
        self.events = []
        self.due = []

    def feed(self, pattern):
        for mark in pattern:
            self.now += CHUNK
            self.endpointer.hear(Chunk(MARKS[mark][0], self.now, MARKS[mark][1]))
            for item in [d for d in self.due if d[0] <= self.now]:
                self.due.remove(item)
                text, choice = self.text, self.choice
                self.endpointer.transcript(text, choice, item[1], self.now, self.sound)
            found = self.endpointer.advance(self.now)
            self.events += found
            if self.text is not None and any(isinstance(e, TranscriptWanted) for e in found):
                self.due.append((self.now + self.lag * CHUNK, self.now))
        return self

    @property
    def kinds(self):
        return [type(event) for event in self.events]

    @property
    def ended(self):
        assert isinstance(self.events[-1], TurnEnded)
        return self.events[-1]


def test_a_turn_in_order():
    turn = Turn().feed("x" * 20 + "." * 20)

    assert turn.kinds == [TranscriptWanted, EagerEnd, TurnEnded]
    assert turn.ended.speech_end == 20 * CHUNK
    assert turn.ended.stt_ms == 64
    assert turn.ended.endpoint_delay_ms == 288
    assert 288 <= turn.ended.waited_ms < 288 + 32


@pytest.mark.parametrize(
    ("text", "sound", "evidence", "endpoint_delay_ms"),
    [
        ("I want a coffee.", None, "whole", 288),
        ("I want a coffee.", 0.99, "whole", 160),
        ("I want a coffee.", 0.8, "whole", 288),
        ("I want a coffee.", 0.1, "whole", 416),
        ("I want a large.", None, "doubtful", 416),
        ("I want a large.", 0.99, "doubtful", 288),
        ("I want a", 0.9, "unfinished", 1000),
        ("I want a", 0.99, "unfinished", 416),
        ("I want a large.", 0.1, "doubtful", 1000),
    ],
)
def test_the_event_names_the_evidence_and_the_threshold(text, sound, evidence, endpoint_delay_ms):
    ended = Turn(text, sound=sound).feed("x" * 20 + "." * 50).ended

    assert (ended.evidence, ended.end_of_turn) == (evidence, sound)
    assert ended.endpoint_delay_ms == endpoint_delay_ms
    assert endpoint_delay_ms <= ended.waited_ms < endpoint_delay_ms + 32


def test_the_transcript_is_asked_for_when_the_level_drops_and_used_when_silence_is_sure():
    turn = Turn().feed("x" * 20 + "tt")
    assert turn.kinds == [TranscriptWanted]
    assert turn.events[0].speech_end == 20 * CHUNK

    turn.feed("t" * 20)
    assert TurnEnded not in turn.kinds  # the voice detector still hears somebody
    turn.feed(".")
    assert turn.kinds[-1] is TurnEnded


def test_going_on_withdraws_what_was_expected_and_asks_anew():
    turn = Turn("I want a coffee.").feed("x" * 20 + "." * 6 + "x" * 10 + "." * 20)

    assert turn.kinds == [
        TranscriptWanted, EagerEnd, TurnResumed, TranscriptWanted, EagerEnd, TurnEnded
    ]  # fmt: skip
    assert turn.ended.speech_end == 36 * CHUNK


def test_nobody_is_told_of_a_gap_that_led_to_nothing():
    assert Turn().feed("x" * 20 + "..." + "x" * 10).kinds == [TranscriptWanted]


def test_no_reply_is_prepared_to_half_a_sentence():
    assert EagerEnd not in Turn("I want a").feed("x" * 20 + "." * 50).kinds


def test_a_transcript_of_less_than_the_speech_is_no_answer():
    turn = Turn(None).feed("x" * 20 + "..")
    turn.endpointer.transcript("I want a coffee.", None, 10 * CHUNK, turn.now)
    assert TurnEnded not in turn.feed("." * 20).kinds

    turn.endpointer.transcript("I want a coffee now.", None, 22 * CHUNK, turn.now)
    assert turn.feed(".").ended.text == "I want a coffee now."
    assert turn.ended.stt_ms == 20 * 32


def test_a_blip_defers_the_end_but_does_not_bring_it_forward():
    ended = Turn().feed("x" * 20 + "." * 8 + "x" + "." * 20).ended

    assert ended.speech_end == 29 * CHUNK
    assert ended.waited_ms >= 288


@pytest.mark.parametrize(
    ("text", "wanted", "choice", "at_once"),
    [
        ("Five five one two.", Wanted("digits", 4), None, True),
        ("Five five one.", Wanted("digits", 4), None, False),
        ("Yes.", Wanted("yes_no"), None, True),
        ("Opening hours.", Wanted("choice"), "opening hours", True),
        ("john dot smith at gmail dot com", Wanted("email"), None, True),
        ("John dot smith at.", Wanted("email"), None, False),
        ("B R O.", Wanted("spelling"), None, False),
    ],
)
def test_a_complete_answer_ends_at_once_and_an_incomplete_one_has_time(
    text, wanted, choice, at_once
):
    turn = Turn(text, wanted=wanted, choice=choice).feed("x" * 20 + "." * 60)

    waited_ms = turn.ended.waited_ms
    assert waited_ms <= 160 if at_once else waited_ms >= 1400


def test_a_cut_off_caller_gets_more_time_in_the_same_call():
    turn = Turn()
    turn.endpointer.went_on_after(500)
    ended = turn.feed("x" * 20 + "." * 40).ended

    assert ended.learned_pause_ms == 564
    assert ended.waited_ms >= 564


@pytest.mark.parametrize(("gap_chunks", "learned_ms"), [(14, 14 * 32 + 64), (40, None)])
def test_whoever_speaks_again_soon_after_the_end_was_cut_off(gap_chunks, learned_ms):
    turn = Turn()
    for gap in (gap_chunks, 60):
        turn.feed("x" * 20 + "." * gap)
        assert isinstance(turn.ended, TurnEnded)
        turn.endpointer.speech_started(turn.now)

    assert turn.ended.learned_pause_ms is None  # it learns from this one
    assert turn.feed("x" * 20 + "." * 60).ended.learned_pause_ms == learned_ms


def test_eagerness_changes_in_mid_turn():
    waits = []
    for eagerness in ("high", "medium", "low"):
        turn = Turn().feed("x" * 20 + ".")
        turn.endpointer.set_eagerness(eagerness)
        waits.append(turn.feed("." * 60).ended.waited_ms)

    assert waits == sorted(set(waits))


def test_sound_without_words_is_forgotten():
    turn = Turn("").feed("x" * 5 + "." * 30)

    assert turn.kinds == [TranscriptWanted, TurnDiscarded]
    assert turn.events[-1].reason == "no_words"


def test_a_turn_without_any_answer_is_given_up():
    turn = Turn(None).feed("x" * 5 + "." * 200)

    assert turn.events[-1].reason == "no_transcript"


def test_an_endless_turn_ends():
    ended = Turn("And so on.").feed("x" * (30 * 1000 // 32 + 10)).ended

    assert ended.evidence == "too_long"


@given(
    st.text("xt.", max_size=120),
    st.sampled_from(["I want a coffee.", "I want a", "", "Large."]),
    st.integers(0, 12),
    st.one_of(st.none(), st.floats(0, 1)),
)
def test_whatever_is_heard_the_events_make_sense(pattern, text, lag, sound):
    turn = Turn(text, lag, sound).feed("xx" + pattern + "." * 80)

    assert turn.endpointer.phase is Phase.IDLE
    assert turn.kinds[-1] in {TurnEnded, TurnDiscarded}
    assert sum(kind in {TurnEnded, TurnDiscarded} for kind in turn.kinds) == 1
    expected = None
    for event in turn.events:
        if isinstance(event, EagerEnd):
            assert event.text == text
            expected = event
        elif isinstance(event, TurnResumed):
            assert expected is not None
            expected = None
    if isinstance(turn.events[-1], TurnEnded):
        ended = turn.ended
        assert ended.waited_ms >= ended.endpoint_delay_ms
        assert milliseconds(ended.now - ended.speech_end) == ended.waited_ms
        assert ended.onset <= ended.speech_end <= ended.now
        assert ended.now - ended.speech_end >= samples(CONFIG.eager_ms)
