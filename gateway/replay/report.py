"""Report: what a replay found, as lines of text.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.audio.format import ANALYSIS
from gateway.replay.comparison import Difference, seconds
from gateway.replay.recording import Decision, Recording
from gateway.replay.what_if import Ask, Outcome

_POSITIONS = frozenset({"now", "onset", "speech_end"})


def heading(recording: Recording) -> Iterator[str]:
    """Yield the lines that name the call."""
    record = recording.record
    length = seconds(recording.audio.samples)
    yield f"{record.call_id}: {record.caller or '?'} -> {record.called or '?'}, {length}"
    for remark in recording.remarks:
        yield f"  note: {remark}"


def decision_line(decision: Decision) -> str:
    """Return the line of one decision."""
    told = ", ".join(
        f"{key} {_shown(key, value)}" for key, value in decision.fields.items() if key != "now"
    )
    at_s = decision.now / ANALYSIS.sample_rate_hz
    return f"  {at_s:8.3f} s  {decision.kind:18}  {told}".rstrip()


def unchanged(
    count: int, difference: tuple[Decision | None, Decision | None] | None, source: str
) -> Iterator[str]:
    """Yield whether the decisions are the same; `source` is `recorded` or `accepted`."""
    if difference is None:
        yield f"  {count} decisions, all as {source}"
        return
    before, after = difference
    yield f"  the decisions are not as {source}; the first that differs:"
    yield f"    {source}: {decision_line(before).strip() if before else 'none any more'}"
    yield f"    now:      {decision_line(after).strip() if after else 'none any more'}"


def changed(
    settings: Sequence[str], outcome: Outcome, differences: Sequence[Difference]
) -> Iterator[str]:
    """Yield what would have been different."""
    yield f"  with {', '.join(settings)}:"
    if not differences:
        yield "    nothing would have been different"
    for difference in differences:
        yield f"    {difference.words}"
    yield from _reservations(outcome)


def _reservations(outcome: Outcome) -> Iterator[str]:
    if outcome.guessed:
        yield f"    (next best transcript taken at {_places(outcome.guessed)})"
    if outcome.unanswered:
        yield f"    (no transcript at {_places(outcome.unanswered)}: try --recognize)"


def _places(asks: Sequence[Ask]) -> str:
    return ", ".join(seconds(ask.now) for ask in asks)


def _shown(key: str, value: object) -> str:
    if key in _POSITIONS and isinstance(value, int):
        return f"{value / ANALYSIS.sample_rate_hz:.3f} s"
    return f'"{value}"' if key == "text" else f"{value}"
