"""Events of turn-taking.  Every position is a sample count of the call's audio time at 8 kHz."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gateway.audio.format import ANALYSIS


def samples(milliseconds: float) -> int:
    """Milliseconds as samples of audio time."""
    return int(milliseconds * ANALYSIS.sample_rate_hz / 1000)


def milliseconds(count: int) -> float:
    """Samples of audio time as milliseconds."""
    return count * 1000 / ANALYSIS.sample_rate_hz


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The caller took the floor."""

    kind: ClassVar[str] = "turn_started"
    now: int
    onset: int
    """Where the speech began, as far as the VAD can tell."""
    is_barge_in: bool
    """The bot had the floor (thinking or talking) and must yield."""


@dataclass(frozen=True, slots=True)
class TranscriptWanted:
    """A decision needs to know what was said so far."""

    kind: ClassVar[str] = "transcript_wanted"
    now: int
    speech_end: int
    """End of the latest speech; equal to `now` while the caller speaks."""


@dataclass(frozen=True, slots=True)
class EagerEnd:
    """The caller may be done: a reply to `text` may be prepared, but not be heard.

    Followed by `TurnResumed`, `TurnEnded`, `TurnDiscarded`, or by another of other text.
    """

    kind: ClassVar[str] = "eager_end"
    now: int
    onset: int
    speech_end: int
    text: str
    choice: str | None
    evidence: str
    """What the text looks like, as in `TurnEnded`."""


@dataclass(frozen=True, slots=True)
class BargeInSuspected:
    """The caller probably speaks while the bot has the floor: it must pause.

    A verdict follows within `verdict_ms`: `BargeInConfirmed` or `BargeInRejected`.
    """

    kind: ClassVar[str] = "barge_in_suspected"
    now: int
    onset: int


@dataclass(frozen=True, slots=True)
class BargeInConfirmed:
    """The caller wants the floor: the bot's turn is over.  `TurnStarted` follows at once.

    It may also come after `BargeInRejected`, when the caller went on.
    """

    kind: ClassVar[str] = "barge_in_confirmed"
    now: int
    onset: int
    evidence: str
    """`words`, `command` ("wait", "stop"), `goes_on` (speech without end), `recognizer` (its turn
    detection) or `resumes` (the caller takes up the turn that the bot has just begun to answer)."""
    text: str


@dataclass(frozen=True, slots=True)
class BargeInRejected:
    """The caller does not want the floor: the bot goes on."""

    kind: ClassVar[str] = "barge_in_rejected"
    now: int
    onset: int
    evidence: str
    """`noise`, `backchannel`, `echo` or `no_words`."""
    text: str


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The caller went on after an eager end."""

    kind: ClassVar[str] = "turn_resumed"
    now: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The caller is done."""

    kind: ClassVar[str] = "turn_ended"
    now: int
    onset: int
    speech_end: int
    text: str
    choice: str | None
    evidence: str
    """Why so soon or so late: `whole`, `expected`, `unfinished`, `dictating`, `too_long`;
    `recognizer`: its turn detection has ended it; `committed`: a client of the call has; without a
    text `silence`, or `engine`: one that hears the caller itself has taken the turn for over."""
    waited_ms: float
    """Silence that was waited for."""
    stt_ms: float
    """Audio time from asking for the transcript to having it."""
    endpoint_delay_ms: int = 0
    """Silence that the evidence asked for."""
    end_of_turn: float | None = None
    """Probability that the turn is over by its sound, 0..1, where known."""
    learned_pause_ms: float | None = None
    """How long this caller pauses in mid-turn, where it was learned and counted."""


@dataclass(frozen=True, slots=True)
class TurnDiscarded:
    """It was no speech, or recognition gave nothing."""

    kind: ClassVar[str] = "turn_discarded"
    now: int
    onset: int
    reason: str
    """`no_words`, `no_transcript`, `replaced` (by a key), `failed` (recognition), `held`, or why
    a barge-in was rejected."""


@dataclass(frozen=True, slots=True)
class CallerSilent:
    """Neither side has spoken since the bot fell silent."""

    kind: ClassVar[str] = "caller_silent"
    now: int
    times: int
    """How often in a row, from 1."""


TurnEvent = (
    TurnStarted
    | TranscriptWanted
    | EagerEnd
    | TurnResumed
    | TurnEnded
    | TurnDiscarded
    | BargeInSuspected
    | BargeInConfirmed
    | BargeInRejected
    | CallerSilent
)
