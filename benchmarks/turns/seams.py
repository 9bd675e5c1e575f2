"""Pauses in the bot's speech: how often, how long, do they click, is text lost or repeated.  Pure.

The same text is rendered to the same samples each time, so a call without any caller is the
reference: what was heard is laid against it piece by piece.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from gateway.probe.g711 import Samples

_RATE = 8000
_PIECE = 800  # 100 ms: long enough to be found once
_HOP = 400
_SEARCH_LOUD = 500
_MATCH = 0.97
_RUN = 4
"""So many pieces (250 ms) in a row make sure that it is the story and no other words."""
_BACK, _AHEAD = 24000, 48000
"""How far from where it ought to be a piece is looked for."""
_EDGE = 80  # 10 ms each side of a seam
_OWN = 4000
_LEAST_PAUSE = 480  # 60 ms more silence than the speech itself has at this place
_LEAST_REPEAT = 160


@dataclass(frozen=True, slots=True)
class Seam:
    """A place where what was heard departs from the reference."""

    at_s: float
    silence_ms: float
    """Silence that the reference does not have there."""
    repeated_ms: float
    """Speech that was heard a second time after it."""
    skipped_ms: float
    """Speech that was never heard."""
    step: int
    """Largest sample step at both edges."""
    own_step: int
    """Largest sample step of the speech around, edges left out."""


@dataclass(frozen=True, slots=True)
class _Match:
    at: int
    """Position in what was heard, and in the reference."""
    place: int


def seams(heard: Samples, reference: Samples) -> tuple[list[Seam], float]:
    """Lay what was heard against the reference.

    Returns:
        The seams, and the share of the reference that was reached (1 = to the end).
    """
    matches = _matches(heard, reference)
    if not matches:
        return [], 0.0
    found = [
        seam
        for one, other in itertools.pairwise(matches)
        if (seam := _seam(heard, reference, one, other)) is not None
    ]
    loud = np.flatnonzero(np.abs(reference.astype(np.int32)) > _SEARCH_LOUD)
    reached = (max(match.place for match in matches) + _PIECE) / max(int(loud[-1]), 1)
    return found, min(reached, 1.0)


def _matches(heard: Samples, reference: Samples) -> list[_Match]:
    """Pieces of what was heard that stand in the reference, in the order heard."""
    sound, base = heard.astype(np.float64), reference.astype(np.float64)
    norms = np.sqrt(np.maximum(_moving_energy(base), 1.0))
    matches: list[_Match] = []
    shift: int | None = None
    for at in range(0, len(sound) - _PIECE, _HOP):
        piece = sound[at : at + _PIECE]
        if np.abs(piece).max() < _SEARCH_LOUD:
            continue
        if shift is None or not _fits(piece, base, at + shift):
            last = matches[-1].place if matches else 0
            place = _find(piece, base, norms, slice(max(last - _BACK, 0), last + _AHEAD))
            if place is None:
                continue  # a piece across a seam
            shift = place - at
        matches.append(_Match(at, at + shift))
    return _in_runs(matches)


def _in_runs(matches: list[_Match]) -> list[_Match]:
    runs = [list(run) for _, run in itertools.groupby(matches, lambda one: one.place - one.at)]
    return [match for run in runs if len(run) >= _RUN for match in run]


def _fits(piece: NDArray[np.float64], base: NDArray[np.float64], place: int) -> bool:
    other = base[place : place + _PIECE] if place >= 0 else base[:0]
    return len(other) == _PIECE and _likeness(piece, other) >= _MATCH


def _likeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(one @ other / max(np.sqrt((one @ one) * (other @ other)), 1.0))


def _find(
    piece: NDArray[np.float64], base: NDArray[np.float64], norms: NDArray[np.float64], where: slice
) -> int | None:
    part = base[where.start : where.stop + _PIECE]
    if len(part) < _PIECE:
        return None
    product = signal.correlate(part, piece, "valid", method="fft")
    near = norms[where.start : where.start + len(product)]
    likeness = product / (near * max(np.sqrt(piece @ piece), 1.0))
    best = int(likeness.argmax())
    return where.start + best if likeness[best] >= _MATCH else None


def _moving_energy(base: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.r_[0.0, np.cumsum(base * base)]
    return np.asarray(total[_PIECE:] - total[:-_PIECE])


def _seam(heard: Samples, reference: Samples, one: _Match, other: _Match) -> Seam | None:
    moved = (other.place - other.at) - (one.place - one.at)
    if moved == 0:
        return None
    start, end = one.at, other.at + _PIECE
    quiet = _longest_quiet(heard[start:end])
    if quiet is None:
        left = right = (start + end) // 2
    else:
        left, right = start + quiet[0], start + quiet[1]
    # Where the reference stands at both edges of the silence.
    before, after = left + one.place - one.at, right + other.place - other.at
    inserted = right - left
    own_quiet = max(after - before, 0)
    silence = max(inserted - own_quiet, 0)
    repeated = max(before - after, 0)
    if silence < _LEAST_PAUSE and repeated < _LEAST_REPEAT and abs(moved) < _LEAST_PAUSE:
        return None
    skipped = _loud_ms(reference[before:after]) if after > before else 0.0
    step, own = _steps(heard, left, right)
    return Seam(
        round(left / _RATE, 3),
        silence * 1000 / _RATE,
        _loud_ms(reference[after:before]) if repeated else 0.0,
        skipped,
        step,
        own,
    )


def _longest_quiet(samples: Samples) -> tuple[int, int] | None:
    """The longest stretch of next to nothing."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 60)
    if len(loud) < 2:
        return None
    gaps = np.diff(loud)
    longest = int(gaps.argmax())
    return int(loud[longest]) + 1, int(loud[longest + 1])


def _loud_ms(samples: Samples) -> float:
    """How much of it is speech: from its first to its last loud sample."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _SEARCH_LOUD)
    return float(loud[-1] - loud[0]) * 1000 / _RATE if len(loud) else 0.0


def _steps(heard: Samples, left: int, right: int) -> tuple[int, int]:
    steps = np.abs(np.diff(heard.astype(np.int32)))
    at_seam = np.r_[
        steps[max(left - _EDGE, 0) : left + _EDGE], steps[max(right - _EDGE, 0) : right + _EDGE]
    ]
    own = np.r_[
        steps[max(left - _OWN, 0) : max(left - _EDGE, 0)], steps[right + _EDGE : right + _OWN]
    ]
    return int(at_seam.max(initial=0)), int(own.max(initial=0))
