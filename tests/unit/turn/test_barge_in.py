"""Speech over the bot's voice: suspicion, verdict, end; tables and invariants."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.voice_chunk import CHUNK_SAMPLES, Chunk
from gateway.config.models import BargeInConfig, TurnConfig
from gateway.languages import language
from gateway.turn.barge_in import BargeIn
from gateway.turn.barge_in_alarm import Alarm, NoiseFloor
from gateway.turn.barge_in_scene import Scene
from gateway.turn.barge_in_words import asides_of, is_echo, may_be_hum, meaning, words_of
from gateway.turn.completeness import Wanted
from gateway.turn.events import (
    BargeInConfirmed,
    BargeInRejected,
    BargeInSuspected,
    CallerSilent,
    EagerEnd,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnResumed,
    TurnStarted,
    milliseconds,
    samples,
)
from gateway.turn.taker import TurnTaker

FRAME = 160
MARKS = {"x": 0.95, "s": 0.7, "o": 0.4, "-": 0.2, ".": 0.02}
"""Speech, weak speech, a sound, next to nothing, nothing: 32 ms each."""
LEVELS = {"x": -20.0, "s": -25.0, "o": -30.0, "-": -50.0, ".": -65.0}
SAYS = "We are open from nine to five."


class Call:
    """A bot that is talking; answers requests for a transcript after a lag."""

    def __init__(self, *texts, lag_ms=60, log_prob=-0.1, says=SAYS, kind="free", **config):
        barge_in = {key: config.pop(key) for key in list(config) if key in KEYS}
        turn = TurnConfig(barge_in=BargeInConfig(**barge_in), **config)
        self.taker = TurnTaker(turn, 1000.0)
        self.texts, self.lag, self.log_prob = list(texts), samples(lag_ms), log_prob
        self.now = 0
        self.events = []
        self.due = []
        self.taker.expect(Wanted(kind))
        self.taker.bot_busy(0, busy=True)
        if says:
            self.taker.bot_says(says, 0)

    def feed(self, pattern):
        """Let the marks pass, on whole frames as a call does."""
        begun = -(-self.now // CHUNK_SAMPLES)
        ends = {(begun + n + 1) * CHUNK_SAMPLES: mark for n, mark in enumerate(pattern)}
        for end, mark in ends.items():
            while self.now < end:
                self.now += FRAME
                due = [end, mark] if self.now >= end else None
                self._frame([Chunk(MARKS[mark], end, LEVELS[mark])] if due else [])
        return self

    def _frame(self, chunks):
        for item in [each for each in self.due if each[0] <= self.now]:
            self.due.remove(item)
            _, covers, text = item
            self.taker.transcript(text, None, covers, self.now, None, self.log_prob)
        for event in self.taker.hear(chunks, self.now):
            self.events.append(event)
            if isinstance(event, TranscriptWanted):
                text = self.texts.pop(0) if len(self.texts) > 1 else (self.texts or [None])[0]
                if text is not None:
                    self.due.append((self.now + self.lag, self.now, text))
            elif isinstance(event, TurnEnded | TurnDiscarded):
                self.due.clear()

    @property
    def kinds(self):
        return [type(e) for e in self.events if not isinstance(e, TranscriptWanted)]

    @property
    def verdicts(self):
        kinds = BargeInConfirmed | BargeInRejected
        return [event.evidence for event in self.events if isinstance(event, kinds)]


KEYS = frozenset(BargeInConfig.model_fields)
TAKEN = [BargeInSuspected, BargeInConfirmed, TurnStarted, EagerEnd, TurnEnded]
LEFT = [BargeInSuspected, BargeInRejected, TurnDiscarded]
QUIET = "." * 20
REST = "." * 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "nothing"),
        ("You", "nothing"),
        ("Uh-huh.", "backchannel"),
        ("Mm-hmm. Okay.", "backchannel"),
        ("Oh, I see.", "backchannel"),
        ("Thank you.", "backchannel"),
        ("Um", "filler"),
        ("And, uh", "filler"),
        ("Um, okay", "backchannel"),
        ("Wait.", "command"),
        ("No, listen.", "command"),
        ("Okay, hold on", "command"),
        ("Uh-huh, but wait", "command"),
        ("Excuse me", "command"),
        ("Hello?", "command"),
        ("Yes but I want tea", "words"),
        ("A large tea", "words"),
        ("I see a problem", "words"),
    ],
)
def test_what_words_mean(text, expected):
    assert meaning(words_of(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Open from nine", True),
        ("open from mine to five", True),
        ("nine", True),
        ("from nine", True),
        ("nine from", False),
        ("nine people want to come", False),
        ("I want a large tea", False),
        ("", False),
    ],
)
def test_what_the_bot_has_just_said_is_an_echo(text, expected):
    assert is_echo(words_of(text), words_of(SAYS)) is expected


def test_a_lone_command_is_never_an_echo():
    assert not is_echo(["stop"], words_of("Say stop when you have enough"))
    assert is_echo(["hold", "on"], words_of("Please hold on"))


def test_the_floor_follows_the_noise_and_not_the_speech():
    floor = NoiseFloor()
    for n in range(100):
        floor.hear(Chunk(0.05, n * CHUNK_SAMPLES, -50.0))
        floor.hear(Chunk(0.9, n * CHUNK_SAMPLES, -20.0))
    assert floor.dbfs == pytest.approx(-50)
    for n in range(150):
        floor.hear(Chunk(0.05, n * CHUNK_SAMPLES, -40.0))
    assert floor.dbfs == pytest.approx(-40, abs=1)


@pytest.mark.parametrize(
    ("probability", "level_dbfs", "expected"),
    [
        (0.25, -20.0, False),
        (0.35, -20.0, True),
        (0.35, -49.0, False),
        (0.35, -46.0, True),
        (0.9, -49.0, True),
        (0.35, -100.0, True),
    ],
)
def test_only_what_stands_out_is_an_alarm(probability, level_dbfs, expected):
    alarm = Alarm(0.3)
    for n in range(20):
        assert not alarm.hear(Chunk(0.02, n * CHUNK_SAMPLES, -50.0))
    assert alarm.hear(Chunk(probability, 21 * CHUNK_SAMPLES, level_dbfs)) is expected


def test_noise_that_fools_it_raises_the_bar_for_a_while():
    alarm = Alarm(0.3)
    assert alarm.needed(0) == 0.3
    alarm.was_false(100)
    assert alarm.needed(200) == pytest.approx(0.5)
    for at in range(300, 1000, 100):
        alarm.was_false(at)
    assert alarm.needed(1000) == pytest.approx(0.7)
    assert alarm.needed(samples(20_000)) == 0.3
    bold = Alarm(0.9)
    bold.was_false(0)
    assert bold.needed(1) == 0.9


@pytest.mark.parametrize(
    ("pattern", "texts", "kinds", "evidence"),
    [
        ("o", [], LEFT, ["noise"]),
        ("ooo", [], LEFT, ["noise"]),
        ("xxxxx", ["Uh-huh."], LEFT, ["backchannel"]),
        ("xxxxx", ["Um."], LEFT, ["backchannel"]),
        ("xxxxx", [""], LEFT, ["no_words"]),
        ("xxxxx", [None], LEFT, ["no_words"]),
        ("xxxxx", ["From nine."], LEFT, ["echo"]),
        ("xxxxxxxx", ["Stop."], TAKEN, ["command"]),
        ("xxxxx", ["Large."], TAKEN, ["words"]),
        ("x" * 20, [None, None, "Tea please."], TAKEN, ["goes_on"]),
        ("x" * 20, ["I want tea."], TAKEN, ["words"]),
        ("x" * 20, ["Well,", "Well,", "Well, tea."], TAKEN, ["goes_on"]),
    ],
)
def test_the_verdict(pattern, texts, kinds, evidence):
    call = Call(*texts).feed(QUIET + pattern + REST)
    assert call.kinds == kinds
    assert call.verdicts == evidence
    if kinds is LEFT:
        assert call.events[-1].reason == evidence[0]


@pytest.mark.parametrize("chunks", [1, 5])
def test_it_is_suspected_with_the_first_chunk(chunks):
    call = Call("Uh-huh.").feed(QUIET + "x" * chunks + REST)
    suspected = call.events[0]
    assert suspected.onset == 20 * CHUNK_SAMPLES
    assert suspected.now - suspected.onset < CHUNK_SAMPLES + FRAME


def test_more_words_after_a_nod_take_the_floor_without_another_suspicion():
    texts = ["Uh-huh.", "Uh-huh.", "Uh-huh, but wait."]
    call = Call(*texts).feed(QUIET + "x" * 30 + REST)
    assert call.kinds == [BargeInSuspected, BargeInRejected, *TAKEN[1:]]
    assert call.verdicts == ["backchannel", "command"]
    suspected, ended = call.events[0], call.events[-1]
    assert ended.onset == suspected.onset
    assert ended.text == "Uh-huh, but wait."


def test_a_late_transcript_with_a_command_still_counts():
    call = Call("Stop.", lag_ms=500).feed(QUIET + "xxxxxx" + REST)
    assert call.kinds == [BargeInSuspected, BargeInRejected, *TAKEN[1:]]
    assert call.verdicts == ["no_words", "command"]


@pytest.mark.parametrize(
    ("texts", "kinds", "evidence"),
    [
        (["No.", "Okay."], LEFT, ["backchannel"]),  # the first half of "okay" sounds like "no"
        (["No.", "No."], TAKEN, ["command"]),
        (["Wait.", "Wait a moment."], TAKEN, ["command"]),
        (["Of the.", "Uh-huh."], LEFT, ["backchannel"]),
    ],
)
def test_words_are_not_believed_before_they_are_over(texts, kinds, evidence):
    call = Call(*texts, lag_ms=20).feed(QUIET + "x" * 8 + REST)
    assert call.kinds == kinds
    assert call.verdicts == evidence
    verdict = next(e for e in call.events if isinstance(e, BargeInConfirmed | BargeInRejected))
    assert milliseconds(verdict.now - call.events[0].now) <= 400


@pytest.mark.parametrize(
    ("text", "evidence"), [("Actually.", "command"), ("Amendment.", "backchannel")]
)
def test_a_command_that_is_understood_is_no_nod_by_its_sound(text, evidence):
    barge_in = BargeIn(BargeInConfig(), 0, 0)
    now = 0
    for _ in range(10):
        now += CHUNK_SAMPLES
        barge_in.hear(Chunk(0.95, now, -20.0), is_speech=True, is_real=True, is_sound=True)
    spoken = now
    for _ in range(4):
        now += CHUNK_SAMPLES
        barge_in.hear(Chunk(0.02, now, -65.0), is_speech=False, is_real=True, is_sound=False)
    barge_in.transcript(text, None, spoken, -0.3, "backchannel")
    verdict = barge_in.decide(now, Scene(), bot_is_done=False)
    assert verdict.evidence == evidence


def test_a_nod_that_is_hardly_understood_is_none():
    assert Call("Yeah.", log_prob=-0.9).feed(QUIET + "xxxxx" + REST).verdicts == ["words"]


def test_words_of_what_is_hardly_speech_are_noise():
    assert Call("It is there.", log_prob=-0.9).feed(QUIET + "ssooso" + REST).verdicts == [
        "no_words"
    ]


@pytest.mark.parametrize(
    ("says", "kind", "verdict"),
    [
        ("Is that right?", "free", "words"),
        (SAYS, "yes_no", "words"),
        (SAYS, "free", "backchannel"),
    ],
)
def test_a_yes_to_a_question_is_an_answer(says, kind, verdict):
    call = Call("Yes.", says=says, kind=kind).feed(QUIET + "xxxxxx" + REST)
    assert call.verdicts == [verdict]


def answered(*texts, says, after=0):
    """A call whose bot answers a turn and has been heard for so many chunks."""
    call = Call("I want tea.", says=SAYS)
    call.taker.bot_busy(call.now, busy=False)
    call.feed(QUIET + "x" * 20 + REST)
    assert call.kinds[-1] is TurnEnded
    call.events.clear()
    call.texts = list(texts)
    call.taker.bot_busy(call.now, busy=True)
    if says:
        call.taker.bot_says(says, call.now)
    return call.feed("." * after)


@pytest.mark.parametrize(
    ("text", "says", "after", "verdict"),
    [
        ("And cake.", "", 5, "resumes"),
        ("Um", "", 5, "resumes"),
        ("Okay.", "", 5, "resumes"),
        ("Um", SAYS, 5, "resumes"),
        ("Okay.", SAYS, 5, "backchannel"),
        ("Um", SAYS, 60, "backchannel"),
        ("And cake.", SAYS, 60, "words"),
    ],
)
def test_a_caller_may_go_on_with_the_turn_that_is_just_being_answered(text, says, after, verdict):
    assert answered(text, says=says, after=after).feed("xxxxxx" + REST).verdicts == [verdict]


def test_noise_does_not_take_up_a_turn():
    assert answered("", says="").feed("ooo" + REST).verdicts == ["noise"]


def test_nobody_interrupts_protected_words():
    call = Call("Stop.", protect_s=3.0).feed(QUIET + "x" * 8 + REST)
    assert call.kinds == [TurnStarted, EagerEnd, TurnEnded]
    assert call.events[0].is_barge_in is False
    assert call.feed(QUIET + "x" * 8 + REST).verdicts == ["command"]


@pytest.mark.parametrize("pause_probability", [0.3, 0.97])
def test_whoever_is_surely_heard_is_suspected_at_the_latest_then(pause_probability):
    call = Call("Stop.", pause_probability=pause_probability).feed(QUIET + "x" * 8 + REST)
    assert call.kinds == TAKEN


def test_speech_that_a_dropped_turn_left_behind_is_heard():
    call = Call("Stop.").feed(QUIET + "xxxx")
    assert call.taker.drop_turn()
    call.events.clear()
    assert call.feed("x" * 8 + REST).kinds == TAKEN


@pytest.mark.parametrize(("pattern", "kinds"), [("xxx", TAKEN), ("o", LEFT)])
def test_a_bot_that_has_done_leaves_the_floor_to_whoever_speaks(pattern, kinds):
    call = Call("Okay.").feed(QUIET + pattern)
    call.taker.bot_busy(call.now, busy=False)
    assert call.feed("xx" * (pattern == "xxx") + REST).kinds == kinds


@pytest.mark.parametrize(
    ("text", "meant", "hums"),
    [
        ("M. M.", "backchannel", True),
        ("Amen.", "backchannel", True),
        ("Amen, amen.", "backchannel", True),
        ("And then", "words", True),
        ("Yeah, man.", "words", True),
        ("I mean", "words", True),
        ("And two teas", "words", False),
        ("Stop.", "command", False),
        ("Yeah.", "backchannel", False),
        ("", "nothing", False),
    ],
)
def test_what_recognition_makes_of_a_hum(text, meant, hums):
    assert meaning(words_of(text)) == meant
    assert may_be_hum(words_of(text)) is hums


def test_amen_is_one_of_the_forms_that_recognition_may_choose_for_a_hum():
    likely = asides_of(language("en").turns)
    hum = next(group for group in likely if "mm-hmm" in group)
    assert likely[hum] == "backchannel"
    assert "amen" in hum.split("|")
    assert all(meaning(words_of(form)) == likely[group] for group in likely
               for form in group.split("|"))  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "kinds", "evidence"),
    [
        (["And then", "And then", "M. M."], LEFT, ["backchannel"]),
        (["And then", "And then", "And then two teas."], TAKEN, ["words"]),
        (["And", "And then", "Um, stop."], TAKEN, ["command"]),
    ],
)
def test_what_may_be_a_hum_is_waited_out(texts, kinds, evidence):
    call = Call(*texts).feed(QUIET + "x" * 20 + REST)
    assert call.kinds == kinds
    assert call.verdicts == evidence
    assert milliseconds(call.events[0].onset) < 700
    verdict = next(e for e in call.events if isinstance(e, BargeInConfirmed | BargeInRejected))
    assert milliseconds(verdict.now - call.events[0].now) < 1300


def test_after_a_question_nobody_waits_for_a_hum():
    call = Call("And then", says="What else?").feed(QUIET + "x" * 20 + REST)
    assert call.verdicts == ["words"]
    verdict = next(e for e in call.events if isinstance(e, BargeInConfirmed))
    assert milliseconds(verdict.now - call.events[0].now) <= 400


def peeked(call, *looks):
    """Let frames pass that complete no chunk; each look is (probability, level)."""
    for probability, level_dbfs in looks:
        call.now += FRAME
        call._frame([Chunk(probability, call.now, level_dbfs, is_provisional=True)])
    return call


@pytest.mark.parametrize(
    ("probability", "level_dbfs", "is_suspected"),
    [
        (0.45, -30.0, True),
        (0.35, -55.0, False),  # a whole chunk may be so unsure, a look ahead may not
        (0.06, -40.0, True),  # a hiss far over the quiet of the call: the "s" of "stop"
        (0.06, -50.0, False),
        (0.02, -20.0, False),  # a door
    ],
)
def test_a_look_ahead_may_start_a_pause(probability, level_dbfs, is_suspected):
    call = peeked(Call("").feed(QUIET), (probability, level_dbfs))
    assert call.kinds == [BargeInSuspected] * is_suspected
    if is_suspected:
        assert call.feed(REST).verdicts == ["noise"]
        assert milliseconds(call.events[1].now - call.events[0].now) <= 400


def test_a_hint_that_was_false_is_not_followed_again_for_seconds():
    hiss = (0.1, -35.0)
    call = peeked(Call("").feed(QUIET), hiss).feed(REST)
    assert peeked(call, hiss).kinds == LEFT
    assert peeked(call.feed("." * 320), hiss).kinds == [*LEFT, BargeInSuspected]


def test_nothing_is_looked_for_while_the_bot_is_silent_or_the_caller_has_the_floor():
    call = Call("").feed(QUIET)
    call.taker.bot_busy(call.now, busy=False)
    assert not peeked(call, (0.9, -20.0)).events
    call = Call("Stop.").feed(QUIET + "xxxxxx")
    before = len(call.events)
    assert len(peeked(call, (0.9, -20.0)).events) == before


@pytest.mark.parametrize("hiss", ["-", "--", "---"])
def test_a_word_with_a_soft_sound_and_a_closure_stops_the_bot_once(hiss, monkeypatch):
    """ "S-top": a hiss that is hardly speech, nothing for 96 ms, then the vowel."""
    monkeypatch.setitem(LEVELS, "-", -40.0)
    call = peeked(Call("Stop.").feed(QUIET), (0.1, -40.0)).feed(hiss + "..." + "x" * 6 + REST)
    assert call.kinds == TAKEN


def test_a_sound_that_is_no_speech_holds_the_bot_no_longer_than_the_verdict(monkeypatch):
    monkeypatch.setitem(LEVELS, "-", -35.0)
    call = peeked(Call("").feed(QUIET), (0.1, -35.0)).feed("-" * 40 + REST)
    assert call.verdicts == ["noise"]
    assert milliseconds(call.events[1].now - call.events[0].now) <= 420


PROBABILITIES = st.text("xso-.", min_size=1, max_size=8)
TEXTS = ["Yes.", "Uh-huh.", "Um", "Stop.", "From nine.", "I want tea", "", None]
STEPS = st.one_of(
    st.tuples(st.just("feed"), st.tuples(PROBABILITIES, st.integers(1, 6))),
    st.tuples(st.just("busy"), st.booleans()),
    st.tuples(st.just("says"), st.sampled_from([SAYS, "Right?"])),
    st.tuples(st.just("expect"), st.sampled_from(["free", "yes_no", "digits"])),
    st.tuples(st.just("drop"), st.none()),
)


def play(steps, texts, lag_ms, config):
    call = Call(*texts, lag_ms=lag_ms, **config)
    for name, value in steps:
        if name == "feed":
            marks, times = value
            call.feed("".join(mark * times for mark in marks))
        elif name == "busy":
            call.taker.bot_busy(call.now, busy=value)
        elif name == "says":
            call.taker.bot_says(value, call.now)
        elif name == "expect":
            call.taker.expect(Wanted(value))
        elif call.taker.drop_turn():
            call.events.append("dropped")
    return call.feed("." * 250)


class Checker:
    """Follows the events of a call and knows what may come next."""

    def __init__(self, verdict_ms):
        self.verdict_ms = verdict_ms
        self.suspected = self.rejected = self.started = self.confirmed = None

    def take(self, event):
        if event == "dropped":
            self.suspected = self.rejected = self.started = None
            return
        assert (self.confirmed is not None) == (
            isinstance(event, TurnStarted) and event.is_barge_in
        )
        getattr(self, f"_{type(event).__name__}")(event)

    def _BargeInSuspected(self, event):  # noqa: N802
        assert self.suspected is self.started is None
        assert event.onset < event.now
        self.suspected = event

    def _BargeInRejected(self, event):  # noqa: N802
        assert self.suspected is not None
        assert self.rejected is None
        assert milliseconds(event.now - self.suspected.now) <= self.verdict_ms
        self.rejected = event

    def _BargeInConfirmed(self, event):  # noqa: N802
        assert self.suspected is not None
        in_time = milliseconds(event.now - self.suspected.now) <= self.verdict_ms
        assert self.rejected is not None or in_time
        self.confirmed = event

    def _TurnStarted(self, event):  # noqa: N802
        assert self.started is None
        if event.is_barge_in:
            assert (event.now, event.onset) == (self.confirmed.now, self.suspected.onset)
        else:
            assert self.suspected is None
        self.started, self.suspected, self.rejected, self.confirmed = event, None, None, None

    def _TurnEnded(self, event):  # noqa: N802
        assert event.onset == self.started.onset
        self.started = None

    def _TurnDiscarded(self, event):  # noqa: N802
        assert (self.started is None) != (self.rejected is None)
        assert event.onset == (self.started or self.suspected).onset
        if self.rejected is not None:
            assert event.reason == self.rejected.evidence
        self.suspected = self.rejected = self.started = None

    def _EagerEnd(self, event):  # noqa: N802
        assert self.started is not None

    def _TurnResumed(self, event):  # noqa: N802
        assert self.started is not None

    def _TranscriptWanted(self, event):  # noqa: N802
        assert self.started is not None or self.suspected is not None
        assert event.speech_end <= event.now

    def _CallerSilent(self, event):  # noqa: N802
        assert self.started is self.suspected is None


def test_the_checker_knows_every_event():
    kinds = (BargeInSuspected, BargeInRejected, BargeInConfirmed, TurnStarted, TurnEnded)
    more = (TurnDiscarded, EagerEnd, TurnResumed, TranscriptWanted, CallerSilent)
    assert all(hasattr(Checker, f"_{kind.__name__}") for kind in kinds + more)


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=25),
    texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6),
    lag_ms=st.sampled_from([20, 60, 300, 900]),
    config=st.fixed_dictionaries(
        {},
        optional={
            "verdict_ms": st.sampled_from([100, 250, 400, 800]),
            "interruptible": st.booleans(),
            "protect_s": st.sampled_from([0.0, 1.0]),
            "pause_probability": st.sampled_from([0.3, 0.8]),
            "max_turn_s": st.sampled_from([0.5, 30.0]),
        },
    ),
)
def test_one_verdict_in_time_and_every_utterance_ends_once(steps, texts, lag_ms, config):
    call = play(steps, texts, lag_ms, config)
    checker = Checker(config.get("verdict_ms", 400))
    for event in call.events:
        checker.take(event)
    assert checker.suspected is checker.started is None
    assert not call.taker.in_turn
    times = [event.now for event in call.events if event != "dropped"]
    assert times == sorted(times)
    if not config.get("interruptible", True):
        assert BargeInSuspected not in call.kinds
    assert play(steps, texts, lag_ms, config).events == call.events
