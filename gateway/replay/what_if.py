"""What if: the same call with other settings.  Pure.

Everybody else does as recorded: the caller speaks, types and holds, the bot speaks, the dialogue
expects, each at its own audio time.  Only recognition is asked anew whenever the new settings ask,
and gives what it gave in the call for the same stretch of speech (see `docs/replay.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from gateway.config.models import TurnConfig
from gateway.replay.hearing import Chunks
from gateway.replay.recording import RESAMPLING, Answer, Decision, Talk
from gateway.replay.settings import Settings
from gateway.replay.turn_replay import ReplayedTaker, decision
from gateway.turn.events import (
    BargeInSuspected,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnEvent,
    TurnStarted,
    samples,
)
from gateway.turn.input_log import TurnInput
from gateway.turn.vad import SpeechDetector, SpeechStarted

_USUAL_LAG = samples(100)
_YIELDS_WITHIN = samples(300)
"""A bot that falls silent so soon after a barge-in does so because of it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The new settings want a transcript."""

    onset: int
    speech_end: int
    now: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Caller speech without a pause, in samples."""

    start: int
    end: int


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    decisions: list[Decision] = field(default_factory=list)
    guessed: list[Ask] = field(default_factory=list)
    """Asked where the call has no transcript of just this speech: the next best was taken."""
    unanswered: list[Ask] = field(default_factory=list)
    """Asked where the call has no transcript at all."""


def speech_of(config: TurnConfig, chunks: Sequence[Chunks]) -> list[Stretch]:
    """Return the caller's speech as the voice detector's edges tell it."""
    detector = SpeechDetector(
        config.start_probability, config.start_chunks, config.stop_probability, config.hangover_ms
    )
    found: list[Stretch] = []
    start: int | None = None
    last = 0
    for chunk in (chunk for frame in chunks for chunk in frame):
        last = chunk.end
        edge = detector.update(chunk.probability, chunk.end)
        if isinstance(edge, SpeechStarted):
            start = edge.at_sample
        elif edge is not None and start is not None:
            found.append(Stretch(start, edge.at_sample))
            start = None
    if start is not None:
        found.append(Stretch(start, last))
    return found


def what_if(
    talk: Talk,
    chunks: Sequence[Chunks],
    settings: Settings,
    known: dict[Ask, Answer] | None = None,
) -> Outcome:
    """Run a conversation with other settings.

    Args:
        talk: as recorded.
        chunks: voice activity of the caller's audio, frame by frame.
        settings: the new ones.
        known: transcripts that were made for it; they go before recorded ones.
    """
    return _Run(talk, chunks, settings, known or {}).run()


def usual_lag(talk: Talk) -> int:
    """Return how long recognition took in the call to answer a request, in samples."""
    lags = [answer.lag for answer in talk.answers if answer.was_requested]
    return int(median(lags)) if lags else _USUAL_LAG


class _Run:
    def __init__(
        self,
        talk: Talk,
        chunks: Sequence[Chunks],
        settings: Settings,
        known: dict[Ask, Answer],
    ) -> None:
        self._talk = talk
        self._replayed = ReplayedTaker(settings, chunks)
        self._known = known
        self._speech = speech_of(settings.turn, chunks)
        self._requested = [answer for answer in talk.answers if answer.was_requested]
        self._asked = {d.now for d in talk.decisions if isinstance(d.event, TranscriptWanted)}
        self._lag = usual_lag(talk)
        # Requests for a reopened turn were not made here: their answers come as recorded.
        self._answers_asked = {
            (a.covers, a.arrived) for a in self._requested if a.arrived - a.lag in self._asked
        }
        self._due: list[tuple[int, Answer]] = []
        self._barge_ins = [
            d.now
            for d in talk.decisions
            if isinstance(d.event, TurnStarted) and d.event.is_barge_in
        ]
        self._onset = 0
        self._outcome = Outcome()

    def run(self) -> Outcome:
        for told in self._talk.inputs:
            self._hear_until(told.heard)
            if self._is_consequence(told):
                continue
            if told.name == "drop_turn":
                self._due.clear()
            self._replayed.tell(told)
        self._hear_until(self._talk.heard)
        return self._outcome

    def _is_consequence(self, told: TurnInput) -> bool:
        """Return whether it came of a decision of the call, which now may be another one."""
        said = told.arguments
        if told.name == "transcript":
            return (said["covers"], said["now"]) in self._answers_asked
        if told.name == "bot_busy" and not said["busy"]:
            return any(0 <= said["now"] - now <= _YIELDS_WITHIN for now in self._barge_ins)
        return False

    def _hear_until(self, position: int) -> None:
        for events in self._replayed.hear_until(position):
            for event in events:
                self._outcome.decisions.append(decision(event))
                self._follow(event)
            self._deliver()

    def _follow(self, event: TurnEvent) -> None:
        if isinstance(event, BargeInSuspected):
            self._begin(event.onset)
        elif isinstance(event, TurnStarted):
            if event.is_barge_in:  # suspected before
                self._replayed.taker.bot_busy(event.now, busy=False)
            else:
                self._begin(event.onset)
        elif isinstance(event, TranscriptWanted):
            self._ask(Ask(self._onset, event.speech_end, event.now))
        elif isinstance(event, TurnEnded | TurnDiscarded):
            self._due.clear()

    def _begin(self, onset: int) -> None:
        self._onset = onset
        self._due.clear()

    def _ask(self, ask: Ask) -> None:
        answer = self._known.get(ask) or self._recorded(ask)
        if answer is None:
            self._outcome.unanswered.append(ask)
            return
        for each in self._with_score(answer):
            lag = each.lag if each.was_requested else self._lag
            # To this very request it covers what it covered: less, when a turn was reopened.
            is_its_own = each.was_requested and each.arrived - each.lag == ask.now
            covers = each.covers if is_its_own else ask.now
            self._due.append((ask.now + lag, replace(each, covers=covers)))

    def _with_score(self, answer: Answer) -> list[Answer]:
        """Return the answer, and the same again once its sound was judged."""
        asked_at = answer.arrived - answer.lag
        same = [
            a for a in self._requested if (a.covers, a.arrived - a.lag) == (answer.covers, asked_at)
        ]
        return same if answer in same else [answer]

    def _recorded(self, ask: Ask) -> Answer | None:
        """Return the transcript of the same speech, else the next best of the same turn."""
        if ask.now in self._asked:  # the call asked just then, too
            return next((a for a in self._requested if a.arrived - a.lag == ask.now), None)
        end = next((s.start for s in self._speech if s.start > ask.speech_end), self._talk.heard)
        same_turn = [a for a in self._talk.answers if a.covers > ask.onset]
        fits = [a for a in same_turn if ask.speech_end - RESAMPLING <= a.covers <= end]
        if fits:
            return min(fits, key=lambda answer: abs(answer.covers - ask.now))
        turn_end = self._end_of_turn(ask)
        near = [a for a in same_turn if a.covers <= turn_end]
        if not near:
            return None
        self._outcome.guessed.append(ask)
        return min(near, key=lambda answer: abs(answer.covers - ask.now))

    def _end_of_turn(self, ask: Ask) -> int:
        """Return where the recorded turn that this speech belongs to was over."""
        ends = [d for d in self._talk.decisions if isinstance(d.event, TurnEnded | TurnDiscarded)]
        over = {decision.now for decision in ends}
        over |= {told.heard for told in self._talk.inputs if told.name == "drop_turn"}
        return min((now for now in over if now > ask.speech_end), default=self._talk.heard)

    def _deliver(self) -> None:
        now = self._replayed.now
        ready = [answer for due, answer in self._due if due <= now]
        self._due = [item for item in self._due if item[0] > now]
        for answer in ready:
            taker = self._replayed.taker
            taker.transcript(
                answer.text,
                answer.choice,
                answer.covers,
                now,
                answer.end_of_turn,
                answer.log_prob,
                answer.aside,
            )
