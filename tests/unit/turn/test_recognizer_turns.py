"""Turn taking with a recognizer that detects turns itself: `turn.by` decides which one counts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.voice_chunk import Chunk
from gateway.config.models import TurnBy, TurnConfig
from gateway.turn.events import (
    BargeInConfirmed,
    BargeInSuspected,
    EagerEnd,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnEvent,
    TurnResumed,
    TurnStarted,
    milliseconds,
)
from gateway.turn.input_log import TurnInput
from gateway.turn.recognizer_turns import MarkKind
from gateway.turn.taker import TurnTaker

FRAME, CHUNK = 160, 256
ASKS = "What are your opening hours?"


class Run:
    """Feeds 20 ms frames; a chunk of the voice detector is 32 ms."""

    def __init__(self, by: TurnBy, **config: object) -> None:
        self.taker = TurnTaker(TurnConfig.model_validate({"by": by, **config}), 100.0)
        self.log: list[TurnInput] = []
        self.taker.log_input = self.log.append
        self.now = self.judged = 0
        self.events: list[TurnEvent] = []
        self.answer: str | None = None
        """What a transcript that is asked for says; None = it does not come."""

    def feed(self, ms: int, probability: float = 0.02) -> Run:
        level = -20.0 if probability > 0.3 else -70.0
        for _ in range(ms // 20):
            self.now += FRAME
            chunks = []
            while self.judged + CHUNK <= self.now:
                self.judged += CHUNK
                chunks.append(Chunk(probability, self.judged, level))
            found = self.taker.hear(chunks, self.now)
            self.events += found
            if self.answer is not None and any(isinstance(e, TranscriptWanted) for e in found):
                self.taker.transcript(self.answer, None, self.now, self.now)
        return self

    def speech(self, ms: int) -> Run:
        return self.feed(ms, 0.95)

    def mark(self, kind: MarkKind, text: str = ASKS, at: int | None = None) -> Run:
        self.taker.recognizer_turn(kind, text, self.now if at is None else at)
        return self

    def bot_talks(self) -> Run:
        self.taker.bot_busy(self.now, busy=True)
        self.taker.bot_says("We have tea.", self.now)
        return self

    def kinds(self) -> list[type[TurnEvent]]:
        return [type(event) for event in self.events if not isinstance(event, TranscriptWanted)]

    @property
    def ended(self) -> TurnEnded:
        (only,) = [event for event in self.events if isinstance(event, TurnEnded)]
        return only


def test_the_recognizers_four_events_are_ours():
    run = Run("recognizer").speech(600).mark("start", "What", at=800)
    run.speech(400).feed(200).mark("eager_end", "What are")
    run.feed(100).mark("resumed").speech(300).feed(200).mark("end").feed(40)
    assert run.kinds() == [TurnStarted, EagerEnd, TurnResumed, EagerEnd, TurnEnded]
    assert isinstance(run.events[0], TurnStarted)
    assert run.events[0].onset == 800
    assert (run.ended.text, run.ended.evidence) == (ASKS, "recognizer")
    assert 150 <= run.ended.waited_ms <= 300


def test_an_end_with_the_eager_text_needs_no_other_preparation():
    run = Run("recognizer").speech(300).mark("start").feed(200).mark("eager_end")
    run.feed(100).mark("end").feed(20)
    assert run.kinds() == [TurnStarted, EagerEnd, TurnEnded]


@pytest.mark.parametrize(
    ("by", "silence_ms", "ends_by"),
    [("gateway", 1200, "whole"), ("both", 1200, "whole"), ("recognizer", 1200, None)],
)
def test_without_an_end_from_the_recognizer(by, silence_ms, ends_by):
    run = Run(by)
    run.answer = ASKS
    run.mark("start").speech(800).feed(silence_ms)
    assert (run.ended.evidence if TurnEnded in run.kinds() else None) == ends_by


@pytest.mark.parametrize(
    ("by", "counts"), [("gateway", False), ("both", True), ("recognizer", True)]
)
def test_an_end_from_the_recognizer_before_our_own(by, counts):
    run = Run(by).mark("start").speech(800).feed(160).mark("end").feed(40)
    assert (TurnEnded in run.kinds()) is counts


@pytest.mark.parametrize(("by", "counts"), [("both", False), ("recognizer", True)])
def test_an_end_while_the_caller_is_heard(by, counts):
    run = Run(by).mark("start").speech(800).mark("end").speech(600)
    assert (TurnEnded in run.kinds()) is counts
    assert run.feed(160).kinds().count(TurnEnded) == counts


def test_both_wait_for_the_quiet_that_the_detector_reports_later():
    run = Run("both").mark("start").speech(800).mark("end").speech(100).feed(160)
    assert run.ended.evidence == "recognizer"


@pytest.mark.parametrize("by", ["gateway", "both", "recognizer"])
def test_sound_that_only_we_hear(by):
    run = Run(by).speech(800).feed(100)
    assert (TurnStarted in run.kinds()) is (by != "recognizer")


@pytest.mark.parametrize("by", ["gateway", "both", "recognizer"])
def test_a_turn_that_only_the_recognizer_hears(by):
    run = Run(by).feed(300).mark("start").feed(300).mark("end").feed(40)
    expected = [] if by == "gateway" else [TurnStarted, EagerEnd, TurnEnded]
    assert run.kinds() == expected


def test_its_start_interrupts_the_bot():
    run = Run("recognizer").bot_talks().feed(1000).mark("start", "Stop").feed(40)
    assert run.kinds() == [BargeInSuspected, BargeInConfirmed, TurnStarted]
    confirmed, started = run.events[1:]
    assert isinstance(confirmed, BargeInConfirmed)
    assert confirmed.evidence == "recognizer"
    assert isinstance(started, TurnStarted)
    assert started.is_barge_in


def test_both_judge_an_interruption_by_its_words():
    run = Run("both").bot_talks().feed(1000).speech(100).mark("start", "Uh-huh")
    run.taker.transcript("Uh-huh.", None, run.now, run.now)
    run.speech(200).feed(900)
    assert BargeInConfirmed not in run.kinds()


def test_a_nod_that_has_cut_the_bot_is_no_turn():
    run = Run("recognizer").bot_talks().feed(1000).mark("start", "Uh-huh").feed(200)
    run.mark("end", "Uh-huh.").feed(40)
    assert run.kinds()[-1] is TurnDiscarded


@pytest.mark.parametrize(("text", "ms", "last"), [(ASKS, 8000, "silence"), ("", 4000, "no_words")])
def test_a_turn_that_its_recognizer_forgets_is_over_some_time(text, ms, last):
    run = Run("recognizer").mark("start", text).speech(500)
    run.taker.transcript(text, None, run.now, run.now)
    assert run.feed(ms - 500).kinds() == [TurnStarted]
    over = run.feed(700).events[-1]
    why = over.evidence if isinstance(over, TurnEnded) else getattr(over, "reason", "")
    assert why == last


def test_what_belongs_to_a_turn_that_is_over_changes_nothing():
    run = Run("recognizer").mark("start").speech(300).feed(100).mark("end").feed(40)
    seen = len(run.kinds())
    run.mark("end").mark("resumed").mark("eager_end").feed(400)
    assert len(run.kinds()) == seen
    run.mark("start").mark("end", "No.").mark("start", "Oh").feed(20)
    assert run.kinds()[seen:] == [TurnStarted, EagerEnd, TurnEnded]
    assert run.feed(20).kinds()[-1] is TurnStarted


def test_a_reply_is_prepared_before_the_recognizer_speaks_of_an_end():
    run = Run("recognizer")
    run.answer = ASKS
    run.mark("start").speech(800).feed(200)
    assert run.kinds() == [TurnStarted, EagerEnd]
    run.feed(300).mark("eager_end").feed(200).mark("end").feed(20)
    assert run.kinds() == [TurnStarted, EagerEnd, TurnEnded]
    assert run.ended.evidence == "recognizer"


def test_a_reply_that_was_prepared_is_void_when_the_caller_is_heard_again():
    run = Run("recognizer")
    run.answer = "What are you?"
    run.mark("start").speech(800).feed(200).speech(200)
    assert run.kinds() == [TurnStarted, EagerEnd, TurnResumed]
    run.answer = ASKS
    run.feed(200).mark("end").feed(20)
    assert run.kinds()[3:] == [EagerEnd, TurnEnded]


@pytest.mark.parametrize("by", ["gateway", "both", "recognizer"])
@pytest.mark.parametrize(
    ("is_streamed", "lacks_ms", "is_prepared"),
    [(True, 80, True), (True, 200, False), (False, 80, False)],
)
def test_words_that_come_by_themselves_are_enough_to_prepare_a_reply(
    by, is_streamed, lacks_ms, is_prepared
):
    run = Run(by)
    run.mark("start").speech(800).feed(140)
    covers = 800 * 8 - lacks_ms * 8
    run.taker.transcript(ASKS, None, covers, run.now, is_streamed=is_streamed)
    assert (EagerEnd in run.feed(20).kinds()) is is_prepared
    assert TurnEnded not in run.feed(300).kinds()  # those that were asked for have not come


@pytest.mark.parametrize("by", ["both", "recognizer"])
def test_what_the_recognizer_has_voided_is_not_prepared_again(by):
    run = Run(by)
    run.answer = ASKS
    run.mark("start").speech(800).feed(160).mark("resumed").feed(100)
    assert run.kinds() == [TurnStarted, EagerEnd, TurnResumed]
    run.taker.transcript(f"{ASKS} Today?", None, run.now, run.now)
    assert run.feed(20).kinds()[-1] is EagerEnd


KINDS: Sequence[MarkKind] = ("start", "eager_end", "resumed", "end")


@given(
    by=st.sampled_from(["both", "recognizer"]),
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.02, 0.5, 0.95]),
            st.integers(1, 20),
            st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(["", "Yes.", ASKS]))),
            st.sampled_from(["", "busy", "free", "drop"]),
        ),
        max_size=25,
    ),
)
def test_any_marks_keep_the_order_of_events_and_repeat(by, steps):
    def play() -> Run:
        run = Run(by)
        run.answer = ASKS
        for probability, frames, marks, bot in steps:
            if bot == "drop":
                if run.taker.drop_turn():
                    run.events.append(TurnDiscarded(run.now, 0, "replaced"))
            elif bot:
                run.taker.bot_busy(run.now, busy=bot == "busy")
            for kind, text in marks:
                run.mark(kind, text)
            run.feed(frames * 20, probability)
        return run

    run = play()
    assert play().events == run.events
    _assert_order(run.events)


def _assert_order(events: Sequence[TurnEvent]) -> None:
    is_open = is_suspected = False
    for event in events:
        match event:
            case BargeInSuspected():
                assert not is_open
                is_suspected = True
            case TurnStarted():
                assert not is_open
                is_open, is_suspected = True, False
            case EagerEnd():
                assert is_open
            case TurnResumed():
                assert is_open  # a nod is no turn: its eager end was not told
            case TurnEnded():
                assert is_open
                assert event.text
                assert milliseconds(event.now - event.speech_end) >= 0
                is_open = False
            case TurnDiscarded():
                assert is_open or is_suspected
                is_open = is_suspected = False
            case _:
                pass
