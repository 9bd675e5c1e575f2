"""Turn-taking: frames and transcripts in, events out; tables and invariants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.voice_chunk import Chunk
from gateway.config.models import BargeInConfig, TurnConfig
from gateway.turn.completeness import Wanted
from gateway.turn.events import (
    BargeInConfirmed,
    BargeInRejected,
    CallerSilent,
    EagerEnd,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnResumed,
    TurnStarted,
    milliseconds,
)
from gateway.turn.taker import TurnTaker

CHUNK = 256
PATIENCE = {
    "eager_ms": 160,
    "whole_ms": 480,
    "expected_ms": 260,
    "unfinished_ms": 1000,
    "dictation_ms": 1400,
}


class Run:
    """Feeds chunks of 32 ms and answers requests for a transcript after some more."""

    def __init__(self, text="Yes please.", lag=2, silence_s=100.0, **config):
        self.taker = TurnTaker(TurnConfig(**(PATIENCE | config)), silence_s)
        self.text, self.lag = text, lag
        self.now = 0
        self.events = []
        self.due = []

    def feed(self, pattern):
        for mark in pattern:
            self.now += CHUNK
            for item in [d for d in self.due if d[0] <= self.now]:
                self.due.remove(item)
                self.taker.transcript(self.text, None, item[1], self.now)
            speaks = mark == "x"
            chunk = Chunk(0.9 if speaks else 0.05, self.now, -20.0 if speaks else -60.0)
            found = self.taker.hear([chunk], self.now)
            self.events += found
            if any(isinstance(e, TranscriptWanted) for e in found) and self.text is not None:
                self.due.append((self.now + self.lag * CHUNK, self.now))
        return self

    @property
    def kinds(self):
        return [type(e) for e in self.events if not isinstance(e, TranscriptWanted)]


@pytest.mark.parametrize(
    ("text", "wanted", "evidence", "waited_ms"),
    [
        ("Yes please.", Wanted(), "whole", 480),
        ("I want the", Wanted(), "unfinished", 1000),
        ("Yes.", Wanted("yes_no"), "expected", 260),
        ("five five", Wanted("digits", 4), "dictating", 1400),
    ],
)
def test_the_text_decides_how_long_to_wait(text, wanted, evidence, waited_ms):
    run = Run(text)
    run.taker.expect(wanted)
    run.feed("..xxxxx" + "." * 60)
    assert [kind for kind in run.kinds if kind is not EagerEnd] == [TurnStarted, TurnEnded]
    ended = run.events[-1]
    assert (ended.text, ended.evidence) == (text, evidence)
    assert waited_ms <= ended.waited_ms < waited_ms + 33
    assert (ended.onset, ended.speech_end) == (2 * CHUNK, 7 * CHUNK)
    assert ended.stt_ms == 64


def test_a_caller_who_goes_on_is_not_cut():
    run = Run().feed("xxxx" + "." * 8 + "xxxx" + "." * 40)
    assert run.kinds == [TurnStarted, EagerEnd, TurnResumed, EagerEnd, TurnEnded]


def test_a_short_gap_is_no_pause():
    assert Run().feed("xxxx...xxxx" + "." * 40).kinds == [TurnStarted, EagerEnd, TurnEnded]


def test_a_late_answer_to_an_older_question_ends_nothing():
    run = Run(lag=12).feed("xxxx" + "." * 8 + "xxxx" + "." * 15)
    assert TurnEnded not in run.kinds
    assert run.feed("." * 20).kinds[-1] is TurnEnded


@pytest.mark.parametrize(("text", "reason"), [("", "no_words"), (None, "no_transcript")])
def test_a_turn_without_words_is_discarded(text, reason):
    run = Run(text).feed("xxxx" + "." * 200)
    assert run.kinds == [TurnStarted, TurnDiscarded]
    assert run.events[-1].reason == reason
    assert not run.taker.in_turn


def test_who_talks_without_end_is_understood_all_the_same():
    run = Run("On and on.", max_turn_s=2.0).feed("x" * 100 + "." * 100)
    assert run.kinds[:2] == [TurnStarted, TurnEnded]
    ended = next(event for event in run.events if isinstance(event, TurnEnded))
    assert (ended.text, ended.evidence) == ("On and on.", "too_long")
    assert milliseconds(ended.now) < 2200


def test_talk_without_end_and_without_words_is_discarded():
    run = Run("", max_turn_s=1.0).feed("x" * 50 + "...." + "x" * 3 + "." * 10)
    assert run.kinds[:2] == [TurnStarted, TurnDiscarded]


def test_speech_during_the_wait_for_an_endless_turn_changes_nothing():
    run = Run("On.", lag=20, max_turn_s=1.0).feed("x" * 33 + "." * 5 + "x" * 20)
    assert run.kinds[:2] == [TurnStarted, TurnEnded]


@pytest.mark.parametrize("busy", [False, True])
def test_a_bot_that_may_not_be_interrupted_hears_the_turn_all_the_same(busy):
    run = Run(barge_in=BargeInConfig(interruptible=False))
    run.taker.bot_busy(0, busy=busy)
    run.feed("xxxx" + "." * 40)
    assert run.kinds == [TurnStarted, EagerEnd, TurnEnded]
    assert run.events[0].is_barge_in is False


def test_silence_is_counted_between_signs_of_life():
    run = Run(silence_s=1.0).feed("." * 65)
    assert [e.times for e in run.events] == [1, 2]
    run.taker.caller_is_there(run.now)
    assert run.feed("." * 33).events[-1] == CallerSilent(run.now - CHUNK, 1)
    run.taker.bot_busy(run.now, busy=True)
    run.feed("." * 100)
    run.taker.bot_busy(run.now, busy=False)
    assert run.feed("." * 33).events[-1].times == 2
    assert run.feed("xxxx" + "." * 60).events[-1].times == 1


def test_a_dropped_turn_leaves_no_trace():
    run = Run()
    assert not run.taker.drop_turn()
    run.feed("xxxx")
    assert run.taker.drop_turn()
    run.taker.transcript("Late.", None, run.now, run.now)
    run.taker.forget_speech()
    assert run.feed("." * 200).kinds == [TurnStarted]
    assert run.feed("xx").kinds == [TurnStarted, TurnStarted]


@pytest.mark.parametrize(
    ("pattern", "turns"),
    [
        ("xxxx" + "." * 60, 0),  # goes on with the sentence
        ("....xxxx...xxxx" + "." * 60, 0),  # gaps between its words
        ("." * 14 + "xxxx", 1),  # a pause: something new
        ("x" * 200, 1),  # goes on and on: somebody else
    ],
)
def test_a_key_replaces_the_rest_of_the_sentence(pattern, turns):
    run = Run()
    run.feed("xxxx")
    assert run.taker.drop_turn(with_rest=True)
    run.events.clear()
    run.feed(pattern)
    assert run.kinds.count(TurnStarted) == turns


def test_the_rest_of_a_sentence_does_not_interrupt_the_answer_to_the_key():
    run = Run()
    run.feed("xxxx")
    run.taker.drop_turn(with_rest=True)
    run.taker.bot_busy(run.now, busy=True)
    run.taker.bot_says("Your number, please.", run.now)
    run.events.clear()
    assert run.feed("xxxxxxxx..xxxx").events == []


PATTERNS = st.text("x.", max_size=30).map(lambda marks: "".join(m * 3 for m in marks))
TEXTS = st.sampled_from(["Yes.", "and", "", None])
ORDER = {
    None: {TurnStarted},
    TurnStarted: {EagerEnd, TurnEnded, TurnDiscarded},
    EagerEnd: {TurnResumed, TurnEnded, TurnDiscarded},
    TurnResumed: {EagerEnd, TurnEnded, TurnDiscarded},
    TurnEnded: {TurnStarted},
    TurnDiscarded: {TurnStarted},
}


@given(PATTERNS, TEXTS, st.integers(0, 40), st.sampled_from([0.5, 2.0, 30.0]))
def test_every_turn_begins_once_ends_once_and_only_with_words(pattern, text, lag, max_turn_s):
    run = Run(text, lag, max_turn_s=max_turn_s).feed(pattern + "." * 300)
    last = None
    for event in run.events:
        if isinstance(event, TranscriptWanted):
            continue
        assert type(event) in ORDER[last]
        last = type(event)
        if isinstance(event, TurnEnded):
            assert event.text == text
            assert event.onset <= event.speech_end <= event.now
    assert not run.taker.in_turn
    times = [event.now for event in run.events]
    assert times == sorted(times)
    again = Run(text, lag, max_turn_s=max_turn_s).feed(pattern + "." * 300)
    assert again.events == run.events


@pytest.mark.parametrize(
    ("last_words", "text", "is_turn"),
    [
        ("And there is more to say about it.", "Uh-huh.", False),
        ("And there is more to say about it.", "Uh-huh, and the price?", True),
        ("Shall I go on?", "Okay.", True),
    ],
)
def test_a_long_nod_that_has_cut_the_bot_is_no_turn(last_words, text, is_turn):
    run = Run(text, lag=30)  # too late for the verdict: long speech has cut the bot
    run.taker.bot_busy(0, busy=True)
    run.taker.bot_says(last_words, 0)
    run.feed("." * 100 + "x" * 25)
    assert run.kinds[-1] is TurnStarted
    run.taker.bot_busy(run.now, busy=False)
    run.feed("." * 100)
    assert run.kinds[-1] is (TurnEnded if is_turn else TurnDiscarded)
    if not is_turn:
        assert run.events[-1].reason == "backchannel"
        assert EagerEnd not in run.kinds


@pytest.mark.parametrize(("aside", "is_turn"), [("backchannel", False), ("command", True)])
def test_the_sound_of_a_short_word_counts_more_than_its_text(aside, is_turn):
    run = Run(None)
    run.taker.bot_busy(0, busy=True)
    run.taker.bot_says("And there is more to say about it.", 0)
    run.feed("." * 100 + "x" * 7)
    assert run.taker.may_be_aside
    run.feed("..")
    run.taker.transcript("Amen.", None, run.now, run.now, log_prob=-0.9, aside=aside)
    run.feed("." * 6)
    assert run.kinds[1] is (BargeInConfirmed if is_turn else BargeInRejected)
