"""TurnTaker: speech probabilities, transcripts and the bot's own state in, turn events out.

Deterministic: the same inputs at the same audio times give the same events, so a recorded call can
be replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.audio.format import ANALYSIS
from gateway.audio.voice_chunk import CHUNK_SAMPLES, Chunk
from gateway.config.models import Eagerness, TurnBy, TurnConfig
from gateway.languages import language
from gateway.turn.barge_in import BargeIn
from gateway.turn.barge_in_alarm import Alarm
from gateway.turn.barge_in_scene import BotSide
from gateway.turn.barge_in_words import Aside, unless_nod
from gateway.turn.completeness import Wanted
from gateway.turn.endpointing import Endpointer, Phase
from gateway.turn.events import (
    BargeInConfirmed,
    BargeInSuspected,
    CallerSilent,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnEvent,
    TurnStarted,
    samples,
)
from gateway.turn.input_log import InputLog, TurnInput, no_log, turn_input
from gateway.turn.recognizer_turns import Mark, MarkKind, Marks
from gateway.turn.vad import SpeechDetector, SpeechStarted

_ASIDE = samples(1500)
"""Longer utterances are more than a nod."""
_FALSE_ALARMS = frozenset({"noise", "no_words"})
_REST_IS_OVER = samples(400)
"""Silence that ends the rest of a sentence: gaps between its words are shorter."""
_LONGEST_REST = samples(5000)
"""Speech beyond this counts again: it may be another voice, or noise before."""


class TurnTaker:
    """Turn-taking of one conversation."""

    def __init__(self, config: TurnConfig, silence_s: float) -> None:
        self._config = config
        self._silence = samples(silence_s * 1000)
        self._detector = SpeechDetector(
            config.start_probability,
            config.start_chunks,
            config.stop_probability,
            config.hangover_ms,
        )
        self._words = language(config.language).turns
        self._endpointer = Endpointer(config)
        self._alarm = Alarm(config.barge_in.pause_probability)
        self._bot = BotSide(config)
        self._barge_in: BargeIn | None = None
        """The utterance over the bot's voice that is not yet known to be an interruption."""
        self._marks = Marks()
        self._silent_since = 0
        self._silences = 0
        self.log_input: InputLog = no_log
        """Called with every input except audio; set it before the first."""
        self._aside: Aside | None = None
        self._begins_at: int | None = None
        """Where the turn begins that a client of the call has begun."""
        self._was_cut_by_speech = False
        """The turn in progress has cut a bot that asked nothing: a nod is no answer to it."""
        self._rest: tuple[int, int] | None = None
        """(since when, when last heard): the rest of a sentence that does not count any more."""
        self.heard = 0
        """Audio time up to which the caller was heard."""

    @property
    def by(self) -> TurnBy:
        """Which of the two decides about turns: `recognizer_turn` counts unless "gateway"."""
        return self._config.by

    @property
    def is_caller_speaking(self) -> bool:
        """True between the edges of speech, whatever becomes of it."""
        return self._detector.is_speaking

    @property
    def in_turn(self) -> bool:
        """True while the caller's turn is open."""
        return self._endpointer.phase is not Phase.IDLE

    @property
    def in_doubt(self) -> bool:
        """True while an utterance over the bot's voice is not known to be an interruption."""
        return self._barge_in is not None

    @property
    def is_idle(self) -> bool:
        """True while no utterance is open and the caller does not speak: only time passes."""
        return self.looks_ahead and not self._detector.is_speaking

    @property
    def looks_ahead(self) -> bool:
        """True while a provisional chunk may start anything: no utterance is open."""
        return not (self.in_turn or self._barge_in is not None or self._rest is not None)

    @property
    def unanswered_since(self) -> int | None:
        """Since when the caller, whose turn it is, waits for recognition; None = not at all."""
        return None if self._barge_in is not None else self._endpointer.unanswered_since

    @property
    def awaits_end(self) -> bool:
        """True while a transcript was requested and the caller is silent: the turn may be over."""
        return self._barge_in is None and self._endpointer.awaits_end

    @property
    def may_be_aside(self) -> bool:
        """True while a short utterance over the bot's voice may be "uh-huh" or "wait"."""
        is_over_bot = self._barge_in is not None or self._was_cut_by_speech
        return is_over_bot and self.in_turn and self.heard - self._endpointer.onset < _ASIDE

    @turn_input
    def expect(self, wanted: Wanted) -> None:
        """Set what the dialogue expects from the next turn."""
        self._endpointer.wanted = wanted

    @turn_input
    def bot_busy(self, now: int, *, busy: bool) -> None:
        """The bot took or gave back the floor (thinking counts)."""
        if busy:
            self._bot.takes_floor()
        else:
            self._bot.gives_floor()
        self._silent_since = now

    @turn_input
    def bot_says(self, text: str, now: int) -> None:
        """The bot begins to be heard with these words; the first of a reply make it audible."""
        self._bot.says(text, now)

    @turn_input
    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Answer sooner or later from now on."""
        self._endpointer.set_eagerness(eagerness)

    @turn_input
    def change(self, turn: Mapping[str, Any], silence_s: float | None = None) -> None:
        """Go by other settings from now on.

        Args:
            turn: those of `[agents.NAME.turn]` that are to be others; tables as mappings.
            silence_s: `silence.reprompt_after_s`; None = it stays.
        """
        self._config = config = self._config.changed(turn)
        self._detector.set_limits(
            config.start_probability,
            config.start_chunks,
            config.stop_probability,
            config.hangover_ms,
        )
        self._endpointer.change(config)
        self._alarm.probability = config.barge_in.pause_probability
        self._bot.change(config)
        if silence_s is not None:
            self._silence = samples(silence_s * 1000)

    @turn_input
    def know_words(self, *, known: bool) -> None:
        """Set whether transcripts come; without them sound alone decides."""
        self._endpointer.knows_words = known

    @turn_input
    def set_interruptible(self, *, interruptible: bool) -> None:
        """Set whether the caller may take the floor from the bot by speaking, from now on."""
        self._bot.is_interruptible = interruptible

    @property
    def is_committed(self) -> bool:
        """True while only the words are awaited of a turn that a client has ended."""
        return self._endpointer.is_committed

    @turn_input
    def let_client_decide(self, *, by_client: bool) -> None:
        """Let a client of the call begin and end the turns, or the caller's voice again."""
        self._endpointer.by_client = by_client

    @turn_input
    def set_silence(self, silence_ms: int | None, threshold: float | None) -> None:
        """Set the silence that ends a turn whatever was said, and what counts as speech.

        Args:
            silence_ms: None = as configured, by what was said.
            threshold: probability from which a sound is speech; None = as configured.
        """
        self._endpointer.set_silence(silence_ms)
        config = self._config
        self._detector.set_start(config.start_probability if threshold is None else threshold)

    @turn_input
    def begin_turn(self, onset: int) -> None:
        """Begin a turn with the next frame, unless there is one: a client has sent audio."""
        self._begins_at = onset

    @turn_input
    def commit_turn(self) -> None:
        """End the turn in progress as soon as its words are known: a client wants it so."""
        if self._barge_in is None:
            self._endpointer.commit()

    @turn_input
    def end_turn(self) -> None:
        """End the turn in progress with the next frame: the engine has taken it for over."""
        self._endpointer.end_by_engine()

    @turn_input
    def transcript(
        self,
        text: str,
        choice: str | None,
        covers: int,
        now: int,
        end_of_turn: float | None = None,
        log_prob: float | None = None,
        aside: Aside | None = None,
        *,
        is_streamed: bool = False,
    ) -> None:
        """Accept a transcript.

        Args:
            text: all of the utterance so far.
            choice: the expected phrase that it surely is.
            covers: audio time of the call up to which it holds.
            now: audio time.
            end_of_turn: probability that the turn is over, where the recognizer estimates it.
            log_prob: mean log-probability per token, where known.
            aside: what a short utterance over the bot's voice is by its sound, where that is clear.
            is_streamed: the recognizer hears all the time, so that it counts without a request.
        """
        self._aside = aside
        if self._barge_in is not None:
            self._barge_in.transcript(text, choice, covers, log_prob, aside)
        self._endpointer.transcript(text, choice, covers, now, end_of_turn, is_streamed=is_streamed)

    @turn_input
    def recognizer_turn(self, kind: MarkKind, text: str, at: int) -> None:
        """Accept what a recognizer with turn detection has found; it counts with the next frame.

        Args:
            kind: of the mark.
            text: all of the turn so far; may be empty.
            at: audio time at which the turn started, or up to which it was heard.
        """
        if self._config.by != "gateway":
            self._marks.add(Mark(kind, text, at))

    @turn_input
    def drop_turn(self, *, with_rest: bool = False) -> bool:
        """Forget the turn in progress; True when there was one.

        Args:
            with_rest: what the caller goes on to say of the same sentence does not count either.
        """
        was_open = self.in_turn
        if with_rest and (was_open or self._detector.is_speaking):
            self._rest = (self.heard, self.heard)
        self._barge_in = None
        self._marks.clear()
        self._endpointer.reset()
        return was_open

    @turn_input
    def caller_is_there(self, now: int) -> None:
        """The caller gave a sign of life other than speech: a key, the end of a hold."""
        self._silent_since = now
        self._silences = 0

    @turn_input
    def forget_speech(self) -> None:
        """Forget speech in progress: the call is on hold."""
        self._detector.reset()

    def hear(self, chunks: Sequence[Chunk], now: int) -> list[TurnEvent]:
        """Let one frame of audio time pass.

        Args:
            chunks: the VAD chunks that this frame completed.
            now: audio time at the end of the frame, in samples.
        """
        if now - self.heard != ANALYSIS.frame_samples:
            self.log_input(TurnInput("hear", self.heard, {"now": now}))
        self.heard = now
        events: list[TurnEvent] = []
        onset, self._begins_at = self._begins_at, None
        if onset is not None and not self.in_turn:
            events += self._start(onset, now)
        for chunk in chunks:
            events += self._hear_chunk(chunk, now)
        for mark in self._marks.take():
            events += self._obey(mark, now)
        if self._barge_in is not None:
            events += self._judge(self._barge_in, now)
        if self._barge_in is None:
            events += self._advance(now)
        if any(isinstance(event, TurnEnded) for event in events):
            self._bot.hears_turn()
        return [*events, *self._mind_silence(now)]

    def _obey(self, mark: Mark, now: int) -> list[TurnEvent]:
        if self._rest is not None:
            return []
        if mark.kind != "start":
            if self._barge_in is None:  # else its words are judged with the voice
                self._endpointer.follow_recognizer(mark, now)
            return []
        onset, events = min(mark.at, now), list[TurnEvent]()
        if not self.in_turn and self._bot.may_be_interrupted(now):
            events += self._suspect(onset, now)
        elif not self.in_turn:
            return self._start(onset, now)
        if self._barge_in is not None and self._config.by == "recognizer":
            events += self._confirm(
                BargeInConfirmed(now, self._barge_in.onset, "recognizer", mark.text), now
            )
        return events

    def _advance(self, now: int) -> list[TurnEvent]:
        was_open = self.in_turn
        events = self._endpointer.advance(now)
        if self._was_cut_by_speech:
            kept = (unless_nod(event, self._aside, self._words) for event in events)
            events = [event for event in kept if event is not None]
        if was_open and not self.in_turn:
            self._detector.reset()  # further speech begins a new turn
        return events

    def _hear_chunk(self, chunk: Chunk, now: int) -> list[TurnEvent]:
        if chunk.is_provisional:
            is_deaf = self._rest is not None or self._endpointer.by_client
            return [] if is_deaf else self._look_ahead(chunk, now)
        edge = self._detector.update(chunk.probability, chunk.end)
        if self._is_rest(chunk):
            self._alarm.hear(chunk)
            return []
        self._endpointer.hear(chunk)
        is_alarming = self._alarm.hear(chunk)
        if self._endpointer.by_client:
            return []
        events: list[TurnEvent] = []
        begins = isinstance(edge, SpeechStarted)
        if (is_alarming or begins) and not self.in_turn and self._bot.may_be_interrupted(now):
            begun = edge.at_sample if isinstance(edge, SpeechStarted) else chunk.end - CHUNK_SAMPLES
            events += self._suspect(max(0, begun), now)
        if self._barge_in is not None:
            is_speech = chunk.probability >= self._config.stop_probability
            is_sound = self._alarm.is_sound(chunk)
            is_real = self._detector.is_speaking
            self._barge_in.hear(chunk, is_speech=is_speech, is_real=is_real, is_sound=is_sound)
        if isinstance(edge, SpeechStarted):
            events += self._speech_started(edge.at_sample, now)
        return events

    def _is_rest(self, chunk: Chunk) -> bool:
        """Return whether a chunk belongs to a sentence that no longer counts."""
        if self._rest is None:
            return False
        since, latest = self._rest
        if chunk.probability >= self._config.stop_probability:
            latest = chunk.end
        self._rest = (since, latest)
        if chunk.end - latest < _REST_IS_OVER and chunk.end - since < _LONGEST_REST:
            return True
        self._rest = None
        self._detector.reset()
        return False

    def _look_ahead(self, chunk: Chunk, now: int) -> list[TurnEvent]:
        """Look ahead: it may start a pause, which can be taken back, and nothing else."""
        is_open = self._barge_in is not None or self.in_turn
        if is_open or not self._bot.may_be_interrupted(now) or not self._alarm.peek(chunk):
            return []
        return self._suspect(max(0, chunk.end - CHUNK_SAMPLES), now)

    def _speech_started(self, onset: int, now: int) -> list[TurnEvent]:
        if self.in_turn or self._config.by == "recognizer":
            return []
        return self._start(onset, now)

    def _start(self, onset: int, now: int) -> list[TurnEvent]:
        self._endpointer.speech_started(onset)
        self._was_cut_by_speech = False
        return [TurnStarted(now, onset, is_barge_in=False)]

    def _suspect(self, onset: int, now: int) -> list[TurnEvent]:
        """Track the utterance from here on, so that a confirmed one has lost nothing."""
        self._barge_in = BargeIn(self._config.barge_in, onset, now, self._words)
        self._endpointer.speech_started(onset)
        return [BargeInSuspected(now, onset)]

    def _judge(self, barge_in: BargeIn, now: int) -> list[TurnEvent]:
        scene = self._bot.scene(now, self._endpointer.wanted.kind)
        verdict = barge_in.decide(now, scene, bot_is_done=not self._bot.is_busy)
        if isinstance(verdict, BargeInConfirmed):
            return self._confirm(verdict, now)
        events: list[TurnEvent] = [] if verdict is None else [verdict]
        if verdict is not None and verdict.evidence in _FALSE_ALARMS:
            self._alarm.was_false(now)
        if barge_in.rejected is not None and barge_in.is_over(now):
            self._barge_in = None
            self._endpointer.reset()
            reason = barge_in.rejected.evidence
            return [*events, TurnDiscarded(now, barge_in.onset, reason)]
        if self._endpointer.knows_words and barge_in.wants_transcript(now):
            events.append(TranscriptWanted(now, barge_in.speech_end))
        return events

    def _confirm(self, verdict: BargeInConfirmed, now: int) -> list[TurnEvent]:
        scene = self._bot.scene(now, self._endpointer.wanted.kind)
        self._barge_in = None
        self._was_cut_by_speech = self._bot.is_busy and not (scene.asks or scene.is_fresh)
        return [verdict, TurnStarted(now, verdict.onset, is_barge_in=True)]

    def _mind_silence(self, now: int) -> list[TurnEvent]:
        if self.in_turn or self._bot.is_busy:
            self._silent_since = now
            self._silences = 0 if self.in_turn else self._silences
        elif now - self._silent_since >= self._silence:
            self._silent_since = now
            self._silences += 1
            return [CallerSilent(now, self._silences)]
        return []
