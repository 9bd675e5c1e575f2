"""Comparison: what other decisions would have meant for the caller, turn by turn.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.audio.format import ANALYSIS
from gateway.replay.recording import Decision
from gateway.replay.what_if import Stretch
from gateway.turn.events import (
    BargeInRejected,
    BargeInSuspected,
    CallerSilent,
    TurnDiscarded,
    TurnEnded,
    TurnStarted,
    milliseconds,
    samples,
)

_BEYOND = 1 << 60
_SAME_SOUND = samples(300)
"""Onsets so near each other are of one sound."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One caller turn as turn taking saw it; positions in samples."""

    onset: int
    started: int
    """When it was noticed: from then on the bot was silent."""
    is_barge_in: bool
    speech_end: int
    over: int
    """When it was decided; far away while it never was."""
    text: str
    """Empty = discarded."""
    why: str


@dataclass(frozen=True, slots=True)
class FalseInterruption:
    """The bot fell silent for a sound that was no interruption; positions in samples."""

    onset: int
    started: int
    over: int
    why: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that would have been different."""

    at: int
    """Audio time in samples."""
    words: str


def turns_of(decisions: Sequence[Decision]) -> list[Turn]:
    """Put decisions together to turns."""
    found: list[Turn] = []
    started: TurnStarted | None = None
    silent_since: int | None = None
    for decision in decisions:
        match decision.event:
            case BargeInSuspected(now=now):
                silent_since = now
            case BargeInRejected():
                silent_since = None
            case TurnStarted() as event:
                if started is not None:  # dropped meanwhile: a key, a hold
                    found.append(_turn(started, None, silent_since))
                started = event
            case TurnEnded() | TurnDiscarded() as over if started is not None:
                found.append(_turn(started, over, silent_since))
                started = silent_since = None
    if started is not None:
        found.append(_turn(started, None, silent_since))
    return found


def false_interruptions_of(decisions: Sequence[Decision]) -> list[FalseInterruption]:
    """Return the pauses of the bot for sounds that were no interruptions."""
    found: list[FalseInterruption] = []
    suspected: BargeInSuspected | None = None
    for decision in decisions:
        match decision.event:
            case BargeInSuspected() as event:
                suspected = event
            case BargeInRejected(now=now, evidence=why) if suspected is not None:
                found.append(FalseInterruption(suspected.onset, suspected.now, now, why))
                suspected = None
    return found


def compare(
    before: Sequence[Decision], after: Sequence[Decision], speech: Sequence[Stretch]
) -> list[Difference]:
    """Return what would have been different.

    Args:
        before: the decisions of the call.
        after: those of other settings.
        speech: the caller's speech.
    """
    old, new = turns_of(before), turns_of(after)
    found = [
        *_turn_differences(
            old, new, speech, false_interruptions_of(before), false_interruptions_of(after)
        ),
        *_false_interruption_differences(before, after),
        *_silence_differences(before, after),
    ]
    return sorted(found, key=lambda difference: difference.at)


def seconds(position: int) -> str:
    """Return a position as it is shown."""
    return f"{position / ANALYSIS.sample_rate_hz:.1f} s"


def _turn(
    started: TurnStarted, over: TurnEnded | TurnDiscarded | None, silent_since: int | None
) -> Turn:
    ended = over if isinstance(over, TurnEnded) else None
    discarded = over if isinstance(over, TurnDiscarded) else None
    noticed = started.now
    if started.is_barge_in and silent_since is not None:
        noticed = silent_since
    return Turn(
        onset=started.onset,
        started=noticed,
        is_barge_in=started.is_barge_in,
        speech_end=ended.speech_end if ended else over.now if over else started.now,
        over=over.now if over else _BEYOND,
        text=ended.text if ended else "",
        why=ended.evidence if ended else discarded.reason if discarded else "",
    )


def _turn_differences(
    old: Sequence[Turn],
    new: Sequence[Turn],
    speech: Sequence[Stretch],
    old_pauses: Sequence[FalseInterruption],
    new_pauses: Sequence[FalseInterruption],
) -> Iterator[Difference]:
    taken: set[int] = set()
    for turn in old:
        mine = [n for n, other in enumerate(new) if n not in taken and _overlap(turn, other)]
        joined = [other for other in new if other.onset < turn.onset and _overlap(turn, other)]
        if not mine and joined:
            yield Difference(
                turn.onset,
                f"would have heard {_quoted(turn)} at {seconds(turn.onset)} as a part of the "
                "turn before",
            )
            continue
        taken.update(mine)
        pause = next((pause for pause in new_pauses if _is_of(pause, turn)), None)
        if not mine and pause is not None and not turn.is_barge_in:
            yield from _unanswered(turn, pause.why)
            continue
        yield from _of_one(turn, [new[n] for n in mine], speech)
    for n, turn in enumerate(new):
        is_known = not turn.text and any(_is_of(pause, turn) for pause in old_pauses)
        if n not in taken and not is_known:
            yield _invented(turn)


def _of_one(turn: Turn, found: Sequence[Turn], speech: Sequence[Stretch]) -> Iterator[Difference]:
    if not found:
        what = "been interrupted" if turn.is_barge_in else "noticed the caller"
        words = f"would not have {what} at {seconds(turn.started)} ({_quoted(turn)})"
        yield Difference(turn.started, words)
        return
    yield from _start(turn, found[0])
    *pieces, last = found
    for piece, following in zip(pieces, found[1:], strict=True):
        yield _piece(piece, following, speech)
    yield from _end(turn, last, is_whole=not pieces, speech=speech)


def _start(turn: Turn, other: Turn) -> Iterator[Difference]:
    if turn.is_barge_in and not other.is_barge_in:
        words = f"would not have been interrupted at {seconds(turn.started)} ({_quoted(turn)})"
        yield Difference(turn.started, words)
    elif other.is_barge_in and not turn.is_barge_in:
        words = f"would have been interrupted at {seconds(other.started)} ({_quoted(turn)})"
        yield Difference(other.started, words)
    elif turn.is_barge_in and turn.started != other.started:
        words = f"would have yielded {_sooner(turn.started, other.started)}"
        yield Difference(turn.started, f"{words} at {seconds(turn.started)}")


def _piece(piece: Turn, following: Turn, speech: Sequence[Stretch]) -> Difference:
    if not piece.text:
        words = f"would have thrown away what was said until {seconds(piece.speech_end)}"
        return Difference(piece.over, f"{words} ({_reason(piece)})")
    return _cut(piece, next((s.start for s in speech if s.start > piece.over), following.onset))


def _cut(piece: Turn, went_on: int) -> Difference:
    later = round(milliseconds(max(0, went_on - piece.over)))
    words = f"would have cut the caller at {seconds(piece.over)}: speech went on {later} ms later"
    return Difference(piece.over, f"{words} (after {_quoted(piece)}, {piece.why})")


def _end(
    turn: Turn, other: Turn, *, is_whole: bool, speech: Sequence[Stretch]
) -> Iterator[Difference]:
    if turn.text and other.text:
        went_on = [s.start for s in speech if other.over < s.start < turn.speech_end]
        if went_on:
            yield _cut(other, went_on[0])
        elif other.over != turn.over:
            words = f"would have answered {_sooner(turn.over, other.over)} at {seconds(turn.over)}"
            yield Difference(turn.over, f"{words} ({_quoted(other)}, {_whys(turn, other)})")
        if is_whole and not went_on and other.text != turn.text:
            words = f"would have understood {_quoted(other)} instead of {_quoted(turn)}"
            yield Difference(turn.over, f"{words} at {seconds(turn.onset)}")
    elif turn.text:
        yield from _unanswered(turn, _reason(other))
    elif other.text:
        words = f"would have answered {_quoted(other)} at {seconds(other.over)}"
        yield Difference(other.over, f"{words}, which was not ({_reason(turn)})")


def _unanswered(turn: Turn, why: str) -> Iterator[Difference]:
    if turn.text:
        words = f"would have left {_quoted(turn)} at {seconds(turn.onset)} unanswered"
        yield Difference(turn.onset, f"{words} ({why})")


def _is_of(pause: FalseInterruption, turn: Turn) -> bool:
    return abs(pause.onset - turn.onset) <= _SAME_SOUND


def _invented(turn: Turn) -> Difference:
    if turn.is_barge_in:
        words = f"would have been interrupted at {seconds(turn.started)} ({_quoted(turn)})"
    elif turn.text:
        words = f"would have answered {_quoted(turn)} at {seconds(turn.over)}"
    else:
        words = f"would have listened to a sound at {seconds(turn.onset)} ({_reason(turn)})"
    return Difference(turn.started, words)


def _false_interruption_differences(
    before: Sequence[Decision], after: Sequence[Decision]
) -> Iterator[Difference]:
    """Yield false interruptions of one side only; interruptions are compared as turns."""
    old, new = false_interruptions_of(before), false_interruptions_of(after)
    told = [turn.onset for turn in (*turns_of(before), *turns_of(after)) if turn.is_barge_in]
    for pauses, others, words in ((old, new, "would not have"), (new, old, "would have")):
        known = [*told, *(pause.onset for pause in others)]
        for pause in pauses:
            if all(abs(pause.onset - onset) > _SAME_SOUND for onset in known):
                held = f"{words} paused at {seconds(pause.started)}"
                for_ms = round(milliseconds(pause.over - pause.started))
                yield Difference(pause.started, f"{held} for {for_ms} ms ({pause.why})")


def _silence_differences(
    before: Sequence[Decision], after: Sequence[Decision]
) -> Iterator[Difference]:
    old = {d.now for d in before if isinstance(d.event, CallerSilent)}
    new = {d.now for d in after if isinstance(d.event, CallerSilent)}
    for now in sorted(old - new):
        yield Difference(now, f"would not have prompted the silent caller at {seconds(now)}")
    for now in sorted(new - old):
        yield Difference(now, f"would have prompted the silent caller at {seconds(now)}")


def _overlap(turn: Turn, other: Turn) -> bool:
    return turn.onset < max(other.speech_end, other.onset + 1) and other.onset < max(
        turn.speech_end, turn.onset + 1
    )


def _sooner(before: int, after: int) -> str:
    delta = round(milliseconds(before - after))
    return f"{delta} ms sooner" if delta > 0 else f"{-delta} ms later"


def _quoted(turn: Turn) -> str:
    text = turn.text if len(turn.text) <= 40 else turn.text[:39].rstrip() + "…"
    return f'"{text}"' if text else "no words"


def _reason(turn: Turn) -> str:
    return turn.why or "it was dropped"


def _whys(turn: Turn, other: Turn) -> str:
    return other.why if turn.why == other.why else f"{other.why} instead of {turn.why}"
