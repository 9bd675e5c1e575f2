"""Endpointer: when is the caller's turn over?  Silence, weighed by what was said."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gateway.audio.voice_chunk import CHUNK_SAMPLES, Chunk
from gateway.config.models import Eagerness, TurnConfig
from gateway.languages import language
from gateway.turn.completeness import Wanted, look
from gateway.turn.endpoint_delay import NO_WORDS_MS, Evidence, Pauses, Verdict, decide
from gateway.turn.events import (
    EagerEnd,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnEvent,
    TurnResumed,
    milliseconds,
    samples,
)
from gateway.turn.recognizer_turns import NO_END_MS, QUIET_FOLLOWS, Mark
from gateway.turn.recognizer_turns import NO_WORDS_MS as _NO_WORDS_BY_RECOGNIZER_MS
from gateway.turn.silence_tracker import SilenceTracker

_TRANSCRIPT_TIMEOUT_MS = 4000
"""Silence after which a turn without any answer from recognition is given up."""
_RESAMPLING = samples(30)
"""What a resampler may hold back of the audio that a transcript covers."""
_NEARLY_ALL = samples(100)
"""Less than a word: a reply may be prepared to a text that lacks no more of the audio."""
_GOES_ON_MS = 900
"""A caller who speaks again this soon had not finished: understanding an answer takes longer."""
_DICTATED = frozenset({"digits", "phone_number", "spelling"})
"""Kinds whose answers are said bit by bit."""
_WORTH_A_REPLY = frozenset({"expected", "whole", "doubtful"})
"""Looks after which a reply may be prepared: others hardly ever are the end."""


class Phase(Enum):
    """Where the caller's turn is."""

    IDLE = "idle"
    OPEN = "open"
    TOO_LONG = "too_long"
    """Over already, only its text is awaited."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Latest transcript of the turn."""

    text: str
    choice: str | None
    end_of_turn: float | None = None
    """Probability that the turn is over, by its sound."""


class Endpointer:
    """One caller turn after another; fed with chunks, speech onsets, transcripts and time.

    While the caller is quiet it asks for the transcript once, early, says what the turn will be if
    it ends here, and ends it as soon as the silence is as long as the evidence asks for.
    """

    def __init__(self, config: TurnConfig) -> None:
        self._config = self._own = config
        self._words = language(config.language).turns
        self._eagerness: Eagerness = config.eagerness
        self._silence = SilenceTracker(config.stop_probability)
        self._pauses = Pauses()
        self._last_end: int | None = None
        self.wanted = Wanted()
        self.knows_words = True
        """False while no transcript comes: silence alone ends a turn."""
        self.by_client = False
        """A client of the call ends the turns: `commit`."""
        self.reset()

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Answer sooner or later from now on."""
        self._eagerness = eagerness

    def change(self, config: TurnConfig) -> None:
        """Go by other settings; an eagerness that was set stays unless theirs is another."""
        if config.eagerness != self._config.eagerness:
            self._eagerness = config.eagerness
        self._config = config
        self._silence.stop_probability = config.stop_probability

    def went_on_after(self, pause_ms: float) -> None:
        """Learn that a turn was ended too early, after this silence."""
        self._pauses.was_cut(pause_ms)

    def reset(self) -> None:
        """Forget the turn in progress."""
        self.phase = Phase.IDLE
        self._onset = 0
        self._speech_end = 0
        self._asked_at: int | None = None
        self._answered_at: int | None = None
        self._heard: Heard | None = None
        self._covers: int | None = None
        """Audio time up to which `_heard` holds, where words come without a request."""
        self._void_text: str | None = None
        """Of a reply that was prepared until the recognizer heard the caller go on."""
        self._eager_text: str | None = None
        self._is_ended_by_engine = self._is_committed = False
        self._marked: Mark | None = None
        self._marked_at = 0

    @property
    def onset(self) -> int:
        """Where the turn in progress began."""
        return self._onset

    @property
    def unanswered_since(self) -> int | None:
        """Since when the caller is quiet while recognition owes the text; None = it does not."""
        is_owed = self._asked_at is not None and self._answered_at is None
        return self._speech_end if is_owed else None

    @property
    def awaits_end(self) -> bool:
        """True while the caller is quiet and a transcript was asked for, answered or not."""
        return self.phase is not Phase.IDLE and self._asked_at is not None

    def hear(self, chunk: Chunk) -> None:
        """Accept a chunk."""
        was_quiet_since = self._silence.since
        self._silence.hear(chunk, is_dictated=self.wanted.kind in _DICTATED)
        if self.phase is Phase.OPEN and was_quiet_since is not None and self._silence.since is None:
            self._pauses.went_on(milliseconds(chunk.end - CHUNK_SAMPLES - was_quiet_since))

    def speech_started(self, onset: int) -> None:
        """The caller takes the floor; nothing new while a turn is open."""
        if self.phase is Phase.IDLE:
            self._onset = onset
            self._silence.reset()
            self.phase = Phase.OPEN

    def end_by_engine(self) -> None:
        """End the turn in progress: an engine that hears the caller has taken it for over."""
        self._is_ended_by_engine = self.phase is not Phase.IDLE

    def commit(self) -> None:
        """End the turn in progress as soon as its words are known: the client wants it so."""
        self._is_committed = self.phase is not Phase.IDLE

    @property
    def is_committed(self) -> bool:
        """True while only the words of the turn are awaited."""
        return self._is_committed

    def set_silence(self, silence_ms: int | None) -> None:
        """Let silence of this length end a turn, whatever was said; None = as configured."""
        self._config = self._own if silence_ms is None else self._own.model_copy(
            update=dict.fromkeys(("expected_ms", "whole_ms", "doubtful_ms", "unfinished_ms",
                                  "dictation_ms"), silence_ms)
        )  # fmt: skip

    def follow_recognizer(self, mark: Mark, now: int) -> None:
        """Accept what a recognizer with turn detection has found in the turn in progress."""
        if self.phase is not Phase.IDLE and mark.kind != "start":
            self._marked, self._marked_at = mark, now

    def transcript(
        self,
        text: str,
        choice: str | None,
        covers: int,
        now: int,
        end_of_turn: float | None = None,
        *,
        is_streamed: bool = False,
    ) -> None:
        """Accept a transcript; `end_of_turn` is the recognizer's estimate (0..1), if it has one."""
        if self.phase is Phase.IDLE:
            return
        self._heard = Heard(text.strip(), choice, end_of_turn)
        self._covers = covers if is_streamed else None
        is_first = self._asked_at is not None and self._answered_at is None
        if is_first and covers >= self._speech_end - _RESAMPLING:
            self._answered_at = now

    def advance(self, now: int) -> list[TurnEvent]:
        """Let audio time pass."""
        if self.phase is Phase.IDLE:
            return []
        if self.by_client and not self._is_committed:
            return []
        return self._advance(now)

    def _advance(self, now: int) -> list[TurnEvent]:
        if self._is_committed and self.knows_words and self.phase is not Phase.TOO_LONG:
            self.phase = Phase.TOO_LONG
            return self._ask(now, now)
        if self._is_ended_by_engine or not self.knows_words:
            return self._advance_without_words(now)
        marked = [] if self._marked is None else self._obey(self._marked, now)
        if any(isinstance(event, TurnEnded | TurnDiscarded) for event in marked):
            return marked
        if self._config.by == "recognizer" and not self._is_committed:
            return [*marked, *self._look_ahead(now), *self._await_recognizer(now)]
        return [*marked, *self._advance_by_evidence(now)]

    def _advance_by_evidence(self, now: int) -> list[TurnEvent]:
        since, was_asked = self._silence.since, self._asked_at is not None
        if self.phase is Phase.TOO_LONG or (since is not None and was_asked):
            return self._judge(now)
        if since is None:
            return self._hear_out(now)
        if milliseconds(now - since) < self._config.eager_ms:
            return []
        return self._ask(now, since)

    def _obey(self, mark: Mark, now: int) -> list[TurnEvent]:
        """Let a mark count, or keep it until the caller is quiet."""
        since, is_alone = self._silence.since, self._config.by == "recognizer"
        if mark.kind == "end" and since is None and not is_alone:
            if now - self._marked_at >= QUIET_FOLLOWS:
                self._marked = None  # the caller is heard all the same
            return []
        self._marked = None
        if mark.kind == "resumed":
            self._void_text = self._eager_text
            return self._resume(now)
        text = mark.text.strip() or (self._heard.text if self._heard else "")
        if not text or (since is None and not is_alone):
            gives_up = not text and mark.kind == "end" and is_alone
            return self._discard(now, "no_words") if gives_up else []
        is_same = self._heard is not None and self._heard.text == text
        heard = self._heard if self._heard and is_same else Heard(text, None)
        self._speech_end = now if since is None else since
        if mark.kind == "eager_end":
            return self._eager(now, heard, "recognizer")
        verdict = Verdict(0, Evidence("whole"), 0)
        return [
            *self._eager(now, heard, "recognizer"),
            self._end(now, heard, verdict, "recognizer"),
        ]

    def _look_ahead(self, now: int) -> list[TurnEvent]:
        """Prepare a reply before the recognizer says that the turn may be over."""
        since, was_asked = self._silence.since, self._asked_at is not None
        if since is None:
            self._asked_at = self._answered_at = self._void_text = None
            return self._resume(now) if was_asked else []
        if not was_asked:
            is_due = milliseconds(now - since) >= self._config.eager_ms
            return self._ask(now, since) if is_due else []
        if self._answered_at is None or self._heard is None:
            return self._look_early(now)
        return self._expect_end(now, self._heard, self._verdict(self._heard))

    def _await_recognizer(self, now: int) -> list[TurnEvent]:
        """End a turn that its recognizer does not end."""
        since = self._silence.since
        self._speech_end = now if since is None else since
        silence_ms = milliseconds(now - self._speech_end)
        is_too_long = now - self._onset > samples(self._config.max_turn_s * 1000)
        if self._heard is None or not self._heard.text:
            gives_up = is_too_long or silence_ms >= _NO_WORDS_BY_RECOGNIZER_MS
            return self._discard(now, "no_words") if gives_up else []
        if not is_too_long and silence_ms < NO_END_MS:
            return []
        why = "too_long" if is_too_long else "silence"
        return [self._end(now, self._heard, Verdict(NO_END_MS, Evidence("whole"), NO_END_MS), why)]

    def _advance_without_words(self, now: int) -> list[TurnEvent]:
        """Let silence decide, as it does for a text that looks neither open nor complete."""
        learned_ms = self._pauses.learned_ms(self._eagerness)
        evidence = Evidence("doubtful", learned_pause_ms=learned_ms)
        verdict = decide(evidence, self._config, self._pauses.scale(self._eagerness))
        since = self._silence.since
        self._speech_end = now if since is None else since
        is_too_long = now - self._onset > samples(self._config.max_turn_s * 1000)
        is_silent = milliseconds(now - self._speech_end) >= verdict.delay_ms
        why = (
            "engine" if self._is_ended_by_engine
            else "committed" if self._is_committed
            else "silence" if is_silent and not self._silence.may_speak
            else "too_long" if is_too_long
            else ""
        )  # fmt: skip
        return [self._end(now, Heard("", None), verdict, why)] if why else []

    def _hear_out(self, now: int) -> list[TurnEvent]:
        """The caller is heard: whatever was asked is void."""
        if now - self._onset > samples(self._config.max_turn_s * 1000):
            self.phase = Phase.TOO_LONG
            return self._ask(now, now)
        self._asked_at = self._answered_at = self._void_text = None
        return self._resume(now)

    def _resume(self, now: int) -> list[TurnEvent]:
        was_eager = self._eager_text is not None
        self._eager_text = None
        return [TurnResumed(now)] if was_eager else []

    def _ask(self, now: int, speech_end: int) -> list[TurnEvent]:
        self._speech_end = speech_end
        self._asked_at, self._answered_at = now, None
        return [TranscriptWanted(now, speech_end)]

    def _judge(self, now: int) -> list[TurnEvent]:
        silence_ms = milliseconds(now - self._speech_end)
        if self._answered_at is None or self._heard is None:
            if silence_ms < _TRANSCRIPT_TIMEOUT_MS:
                return self._look_early(now)
            return self._discard(now, "no_transcript")
        if not self._heard.text:
            is_over = silence_ms >= NO_WORDS_MS and not self._silence.may_speak
            is_over = is_over or self._is_committed
            return self._discard(now, "no_words") if is_over else []
        verdict = self._verdict(self._heard)
        events = self._expect_end(now, self._heard, verdict)
        if self.phase is Phase.TOO_LONG:
            why = "committed" if self._is_committed else "too_long"
            return [*events, self._end(now, self._heard, verdict, why)]
        if silence_ms >= verdict.delay_ms and not self._silence.may_speak:
            return [*events, self._end(now, self._heard, verdict, verdict.evidence.look)]
        return events

    def _verdict(self, heard: Heard) -> Verdict:
        looks = look(heard.text, heard.choice, self.wanted, self._words)
        evidence = Evidence(looks, heard.end_of_turn, self._pauses.learned_ms(self._eagerness))
        return decide(evidence, self._config, self._pauses.scale(self._eagerness))

    def _expect_end(self, now: int, heard: Heard, verdict: Verdict) -> list[TurnEvent]:
        """Return what the turn will be if it ends here, once it is known or has changed."""
        looks = verdict.evidence.look
        is_worth_it = looks in _WORTH_A_REPLY and heard.text and heard.text != self._void_text
        return self._eager(now, heard, looks) if is_worth_it else []

    def _look_early(self, now: int) -> list[TurnEvent]:
        """Prepare a reply to words that came by themselves, before those that were asked for."""
        if self._heard is None or self._covers is None:
            return []
        if self._covers < self._speech_end - _NEARLY_ALL:
            return []
        return self._expect_end(now, self._heard, self._verdict(self._heard))

    def _eager(self, now: int, heard: Heard, looks: str) -> list[TurnEvent]:
        if heard.text == self._eager_text:
            return []
        self._eager_text = heard.text
        return [EagerEnd(now, self._onset, self._speech_end, heard.text, heard.choice, looks)]

    def _end(self, now: int, heard: Heard, verdict: Verdict, evidence: str) -> TurnEnded:
        asked, answered = self._asked_at or now, self._answered_at or now
        ended = TurnEnded(
            now=now,
            onset=self._onset,
            speech_end=self._speech_end,
            text=heard.text,
            choice=heard.choice,
            evidence=evidence,
            waited_ms=milliseconds(now - self._speech_end),
            stt_ms=milliseconds(answered - asked),
            endpoint_delay_ms=verdict.delay_ms,
            end_of_turn=heard.end_of_turn,
            learned_pause_ms=verdict.evidence.learned_pause_ms,
        )
        self._learn()
        self._last_end = self._speech_end
        self.reset()
        return ended

    def _learn(self) -> None:
        """A turn with words is over: was it the rest of the one before?"""
        if self._last_end is not None:
            pause_ms = milliseconds(self._onset - self._last_end)
            if 0 < pause_ms < _GOES_ON_MS:
                self.went_on_after(pause_ms)
        self._pauses.turn_ended()

    def _discard(self, now: int, reason: str) -> list[TurnEvent]:
        discarded = TurnDiscarded(now, self._onset, reason)
        self.reset()
        return [discarded]
