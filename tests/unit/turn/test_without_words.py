"""Turn-taking where an engine hears the caller itself: no transcript comes."""

from __future__ import annotations

import pytest

from gateway.audio.voice_chunk import Chunk
from gateway.config.models import TurnConfig
from gateway.turn.events import (
    BargeInConfirmed,
    BargeInRejected,
    BargeInSuspected,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnEvent,
    TurnStarted,
    milliseconds,
)
from gateway.turn.taker import TurnTaker

FRAME, CHUNK = 160, 256


class Run:
    """Feeds 20 ms frames; a chunk of the voice detector is 32 ms."""

    def __init__(self, **config: object) -> None:
        self.taker = TurnTaker(TurnConfig(**({"doubtful_ms": 700} | config)), 100.0)
        self.taker.know_words(known=False)
        self.now = self.judged = 0
        self.events: list[TurnEvent] = []

    def feed(self, ms: int, probability: float = 0.02) -> Run:
        level = -20.0 if probability > 0.3 else -70.0
        for _ in range(ms // 20):
            self.now += FRAME
            chunks = []
            while self.judged + CHUNK <= self.now:
                self.judged += CHUNK
                chunks.append(Chunk(probability, self.judged, level))
            self.events += self.taker.hear(chunks, self.now)
        return self

    def speech(self, ms: int) -> Run:
        return self.feed(ms, 0.95)

    def bot_talks(self) -> Run:
        self.taker.bot_busy(self.now, busy=True)
        self.taker.bot_says("We have tea.", self.now)
        return self

    def kinds(self) -> list[type[TurnEvent]]:
        return [type(event) for event in self.events]

    @property
    def ended(self) -> TurnEnded:
        (only,) = [event for event in self.events if isinstance(event, TurnEnded)]
        return only


def test_silence_ends_a_turn():
    run = Run().feed(500).speech(1000).feed(2000)
    assert run.kinds() == [TurnStarted, TurnEnded]
    assert (run.ended.text, run.ended.evidence, run.ended.stt_ms) == ("", "silence", 0.0)
    assert run.ended.endpoint_delay_ms == 700
    assert 700 <= run.ended.waited_ms < 760


@pytest.mark.parametrize(("eagerness", "delay_ms"), [("low", 1050), ("medium", 700), ("high", 490)])
def test_eagerness_counts(eagerness: str, delay_ms: int):
    assert Run(eagerness=eagerness).speech(1000).feed(2000).ended.endpoint_delay_ms == delay_ms


def test_a_pause_ends_nothing():
    run = Run().speech(600).feed(400).speech(600).feed(1500)
    assert run.kinds() == [TurnStarted, TurnEnded]


def test_no_caller_is_cut_off_twice_at_the_same_pause():
    run = Run().speech(600).feed(780).speech(600).feed(2000)
    run.speech(600).feed(780).speech(600).feed(2000)
    assert run.kinds().count(TurnEnded) == 3


def test_a_turn_without_end_is_ended():
    run = Run(max_turn_s=5).speech(6000)
    assert run.ended.evidence == "too_long"


def test_the_engine_ends_a_turn_sooner():
    run = Run().speech(800).feed(300)
    run.taker.end_turn()
    run.feed(20)
    assert run.ended.evidence == "engine"
    assert milliseconds(run.now - run.ended.speech_end) == pytest.approx(320, abs=64)
    run.feed(2000)
    assert run.kinds() == [TurnStarted, TurnEnded]


def test_the_engine_ends_a_turn_amid_speech():
    run = Run().speech(800)
    run.taker.end_turn()
    run.speech(20)
    assert run.ended.speech_end == run.ended.now


def test_the_engine_ends_no_turn_that_is_not_there():
    run = Run().feed(200)
    run.taker.end_turn()
    assert run.feed(200).kinds() == []
    assert run.speech(600).feed(2000).ended.evidence == "silence"


def test_speech_over_the_bot_interrupts_it_by_its_sound():
    run = Run().feed(500).bot_talks().feed(500).speech(1500)
    assert run.kinds() == [BargeInSuspected, BargeInConfirmed, TurnStarted]
    suspected, confirmed, started = run.events
    assert milliseconds(suspected.now - suspected.onset) <= 60
    assert milliseconds(confirmed.now - suspected.now) <= TurnConfig().barge_in.verdict_ms
    assert isinstance(started, TurnStarted)
    assert started.is_barge_in
    run.taker.bot_busy(run.now, busy=False)
    assert run.feed(2000).ended.evidence == "silence"


def test_a_sound_over_the_bot_is_forgotten():
    run = Run().feed(500).bot_talks().feed(500).speech(100).feed(3000)
    assert run.kinds() == [BargeInSuspected, BargeInRejected, TurnDiscarded]
    assert TranscriptWanted not in run.kinds()


def test_words_may_come_again():
    run = Run()
    run.taker.know_words(known=True)
    assert TranscriptWanted in run.speech(1000).feed(600).kinds()
