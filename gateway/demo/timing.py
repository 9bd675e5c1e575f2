"""The timing table: each sentence of the caller as measured on the wire and by the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.records.model import TurnRecord

_EARLY_S = 0.4
"""How much earlier than the caller's end the gateway may date a sentence's start."""
_COLUMNS = (
    ("response gap", ("wire", "gateway")),
    ("of it", ("share", "wait", "llm", "tts")),
    ("cut", ("wire", "gateway")),
)
_CELL = 8
_TEXT_MIN = 12


@dataclass(frozen=True, slots=True)
class Spoken:
    """One sentence of the caller as the caller's own end measured it."""

    text: str
    at_s: float
    """Seconds from the answer to its first sample."""
    response_gap_ms: float | None = None
    barge_in_stop_ms: float | None = None


@dataclass(frozen=True, slots=True)
class TimedTurn:
    """One sentence beside what the gateway reported about it."""

    spoken: Spoken
    turn: TurnRecord | None = None
    """The gateway's turn that answered it: the last that began within the sentence."""
    cut: TurnRecord | None = None
    """The bot turn that this sentence interrupted."""


def spoken_lines(
    said: Sequence[tuple[str, float]], measured: Sequence[Mapping[str, Any]]
) -> list[Spoken]:
    """Join what the caller began to say, and when, with the turns of the caller's report."""
    lines: list[Spoken] = []
    rest = list(measured)
    for text, at_s in said:
        found = rest.pop(0) if rest and rest[0].get("text") == text else {}
        gap_ms, stop_ms = found.get("response_gap_ms"), found.get("barge_in_stop_ms")
        lines.append(Spoken(text, at_s, gap_ms, stop_ms))
    return lines


def match_turns(spoken: Sequence[Spoken], turns: Sequence[TurnRecord]) -> list[TimedTurn]:
    """Find the gateway's turns of each sentence by the time they began at.

    A sentence with a pause in it may have become two turns: the last one holds the answer.
    """
    starts = [line.at_s for line in spoken] + [float("inf")]
    return [_match(line, starts[i + 1], turns) for i, line in enumerate(spoken)]


def table(rows: Sequence[TimedTurn], width: int = 80) -> list[str]:
    """Lay the table out, all times in milliseconds."""
    groups = [(title, len(names) * _CELL) for title, names in _COLUMNS]
    names = [name for _, group in _COLUMNS for name in group]
    room = max(_TEXT_MIN, min(48, width - 2 - len(names) * _CELL))
    head = " " * room + "".join(_centred(title, size) for title, size in groups)
    names_line = f"{'the caller said':{room}.{room}}" + "".join(f"{n:>{_CELL}}" for n in names)
    lines = [head.rstrip(), names_line, "-" * len(names_line)]
    return lines + [_row(row, room) for row in rows]


LEGEND = (
    "milliseconds; response gap: the caller's last sound to the bot's first, on the wire as the",
    "caller measured it, and as the gateway did; share: the gap without the engines' time;",
    "wait: until the sentence was known to be over; llm: until there was something to speak;",
    "tts: until its first sound; cut: the interrupting caller's first sound to the bot's last.",
)


def _match(line: Spoken, next_at_s: float, turns: Sequence[TurnRecord]) -> TimedTurn:
    own = [
        index
        for index, turn in enumerate(turns)
        if turn.caller_text is not None
        and turn.started_s is not None
        and line.at_s - _EARLY_S <= turn.started_s < next_at_s - _EARLY_S
    ]
    if not own:
        return TimedTurn(line)
    before = turns[own[0] - 1] if own[0] else None
    was_cut = before is not None and before.barge_in_stop_ms is not None
    return TimedTurn(line, turns[own[-1]], before if was_cut else None)


def _row(row: TimedTurn, room: int) -> str:
    turn, cut = row.turn, row.cut
    values: tuple[float | None, ...] = (
        row.spoken.response_gap_ms,
        turn.response_gap_ms if turn else None,
        turn.gateway_share_ms if turn else None,
        turn.endpointing_ms if turn else None,
        turn.llm_first_sentence_ms if turn else None,
        turn.tts_first_audio_ms if turn else None,
        row.spoken.barge_in_stop_ms,
        cut.barge_in_stop_ms if cut else None,
    )
    text = row.spoken.text
    short = text if len(text) < room else f"{text[: room - 4].rstrip()}..."
    return f"{short:{room}}{''.join(map(_cell, values))}".rstrip()


def _cell(value: float | None) -> str:
    return f"{'-' if value is None else round(value):>{_CELL}}"


def _centred(title: str, size: int) -> str:
    return f"  {f' {title} ':-^{size - 2}}"
