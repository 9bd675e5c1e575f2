"""What turn-taking says.  Every position is a sample count of the call's audio time at 8 kHz."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audio.format import LINE


def samples(milliseconds: float) -> int:
    """Milliseconds as samples of audio time."""
    return int(milliseconds * LINE.sample_rate_hz / 1000)


def milliseconds(count: int) -> float:
    """Samples of audio time as milliseconds."""
    return count * 1000 / LINE.sample_rate_hz


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The caller began to speak."""

    now: int
    onset: int
    """Where the speech began, as far as the VAD can tell."""
    is_barge_in: bool
    """The bot had the floor (thinking or talking) and must yield."""


@dataclass(frozen=True, slots=True)
class EagerEnd:
    """The caller may be done: time to ask for the transcript."""

    now: int
    speech_end: int


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The caller went on after an eager end."""

    now: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The caller is done."""

    now: int
    onset: int
    speech_end: int
    text: str
    choice: str | None
    evidence: str
    """Why so soon or so late: `whole`, `expected`, `unfinished`, `dictating`, `too_long`."""
    waited_ms: float
    """Silence that was waited for."""
    stt_ms: float
    """Audio time from asking for the transcript to having it."""


@dataclass(frozen=True, slots=True)
class TurnDiscarded:
    """It was no speech, or recognition gave nothing."""

    now: int
    onset: int
    reason: str
    """`no_words`, `no_transcript`, `replaced` (by a key), `failed` (recognition) or `held`."""


@dataclass(frozen=True, slots=True)
class CallerSilent:
    """Nobody has said anything since the bot fell silent."""

    now: int
    times: int
    """How often in a row, from 1."""


TurnEvent = TurnStarted | EagerEnd | TurnResumed | TurnEnded | TurnDiscarded | CallerSilent
