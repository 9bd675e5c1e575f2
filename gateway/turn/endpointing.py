"""Endpointer: when is the caller's turn over?  Silence, weighed by what was said."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gateway.config.models import TurnConfig
from gateway.turn.completeness import Wanted, look
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
from gateway.turn.patience import Eagerness, Evidence, Patience, patience
from gateway.turn.quiet import Quiet
from gateway.turn.vad import Chunk

_TRANSCRIPT_PATIENCE_MS = 4000
"""Silence after which a turn without any answer from recognition is given up."""
_RESAMPLING = samples(30)
"""What a resampler may hold back of the audio that a transcript covers."""


class Phase(Enum):
    """Where the caller's turn is."""

    IDLE = "idle"
    SPEAKING = "speaking"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Heard:
    """Latest transcript of the turn."""

    text: str
    choice: str | None
    covers: int
    """Audio time up to which it holds."""
    end_of_turn: float | None = None
    """Probability that the turn is over, by its sound."""


class Endpointer:
    """One caller turn after another; fed with chunks, speech edges, transcripts and time."""

    def __init__(self, config: TurnConfig) -> None:
        self._config = config
        self._eagerness: Eagerness = config.eagerness
        self._quiet = Quiet(config.stop_probability)
        self.wanted = Wanted()
        self.reset()

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Answer sooner or later from now on."""
        self._eagerness = eagerness

    def reset(self) -> None:
        """Forget the turn in progress."""
        self.phase = Phase.IDLE
        self._is_too_long = False
        self._onset = 0
        self._speech_end = 0
        self._asked_for = 0
        self._asked_at: int | None = None
        self._answered_at: int | None = None
        self._heard: Heard | None = None
        self._eager_text: str | None = None

    @property
    def onset(self) -> int:
        """Where the turn in progress began."""
        return self._onset

    def hear(self, chunk: Chunk) -> None:
        """Take each chunk before the edge that it makes."""
        self._quiet.hear(chunk)

    def speech_started(self, onset: int, now: int) -> list[TurnEvent]:
        """The VAD's rising edge."""
        if self.phase is Phase.IDLE:
            self._onset = onset
            self.phase = Phase.SPEAKING
            return []
        if self._is_too_long:
            return []  # over already, only its text is awaited
        self.phase = Phase.SPEAKING
        return self._withdraw(now)

    def speech_stopped(self, speech_end: int) -> None:
        """The VAD's falling edge."""
        if self.phase is Phase.SPEAKING:
            self.phase = Phase.PAUSED
            self._speech_end = speech_end

    def transcript(
        self,
        text: str,
        choice: str | None,
        covers: int,
        now: int,
        end_of_turn: float | None = None,
    ) -> None:
        """Take news from recognition; `end_of_turn` is its own opinion, 0..1, where it has one."""
        if self.phase is Phase.IDLE:
            return
        self._heard = Heard(text.strip(), choice, covers, end_of_turn)
        is_first = self._asked_at is not None and self._answered_at is None
        if is_first and covers >= self._asked_for - _RESAMPLING:
            self._answered_at = now

    def advance(self, now: int) -> list[TurnEvent]:
        """Let audio time pass."""
        if self.phase is Phase.SPEAKING:
            return self._listen(now)
        if self.phase is Phase.PAUSED:
            if self._asked_at is None:
                since = self._quiet.since
                quiet = self._speech_end if since is None else min(since, self._speech_end)
                return self._ask_in_time(now, quiet)
            return self._judge(now)
        return []

    def _listen(self, now: int) -> list[TurnEvent]:
        if now - self._onset > samples(self._config.max_turn_s * 1000):
            self._is_too_long = True
            self.phase = Phase.PAUSED
            self._speech_end = now
            return self._ask(now, now)
        since = self._quiet.since
        if since is None:
            return self._withdraw(now) if self._asked_at is not None else []
        if self._asked_at is None:
            return self._ask_in_time(now, since)
        return self._expect_end(now)

    def _withdraw(self, now: int) -> list[TurnEvent]:
        was_eager = self._eager_text is not None
        self._asked_at = self._answered_at = self._eager_text = None
        return [TurnResumed(now)] if was_eager else []

    def _ask_in_time(self, now: int, quiet_since: int) -> list[TurnEvent]:
        if milliseconds(now - quiet_since) < self._config.eager_ms:
            return []
        return self._ask(now, quiet_since)

    def _ask(self, now: int, speech_end: int) -> list[TurnEvent]:
        self._asked_for = speech_end
        self._asked_at, self._answered_at = now, None
        return [TranscriptWanted(now, speech_end)]

    def _judge(self, now: int) -> list[TurnEvent]:
        heard = self._heard
        silence_ms = milliseconds(now - self._speech_end)
        if self._answered_at is None or heard is None:
            if silence_ms < _TRANSCRIPT_PATIENCE_MS:
                return []
            return self._discard(now, "no_transcript")
        if self._is_too_long:
            return self._end(now, "too_long", None)
        if not heard.text:
            return self._discard(now, "no_words") if silence_ms >= self._config.whole_ms else []
        events = self._expect_end(now)
        needed = self._patience(heard)
        if silence_ms >= needed.ms and not self._quiet.may_speak:
            events += self._end(now, needed.evidence.look, needed)
        return events

    def _expect_end(self, now: int) -> list[TurnEvent]:
        """Say what the turn will be if it ends here, once it is known or has changed."""
        heard = self._heard
        if self._answered_at is None or heard is None or heard.text in {"", self._eager_text}:
            return []
        self._eager_text = heard.text
        look_ = self._patience(heard).evidence.look
        end = self._quiet.since or self._speech_end
        return [EagerEnd(now, self._onset, end, heard.text, heard.choice, look_)]

    def _patience(self, heard: Heard) -> Patience:
        looks = look(heard.text, heard.choice, self.wanted)
        return patience(Evidence(looks, heard.end_of_turn), self._config, self._eagerness)

    def _end(self, now: int, evidence: str, needed: Patience | None) -> list[TurnEvent]:
        heard = self._heard or Heard("", None, 0)
        if not heard.text:
            return self._discard(now, "no_words")
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
            patience_ms=needed.ms if needed else 0,
            end_of_turn=heard.end_of_turn,
        )
        self.reset()
        return [ended]

    def _discard(self, now: int, reason: str) -> list[TurnEvent]:
        discarded = TurnDiscarded(now, self._onset, reason)
        self.reset()
        return [discarded]
