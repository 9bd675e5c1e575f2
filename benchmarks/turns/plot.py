"""Pictures of a run: how the response gap is distributed, and what a shorter one costs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.turns.store import Row, Store
from gateway.replay.svg import Drawing

_WIDTH, _HEIGHT = 720.0, 330.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 20.0, 34.0, 48.0
_COLORS = ("#1b6ca8", "#c8553d", "#2e8b57", "#8a4fa3", "#b8860b", "#555555")
Point = tuple[float, float]


class Axes:
    """A frame with ticks; x and y in their own units."""

    def __init__(self, title: str, x: tuple[str, float], y: tuple[str, float]) -> None:
        """Name both axes; they go from 0 to the number given."""
        self.drawing = Drawing(_WIDTH)
        self._x_max, self._y_max = x[1], y[1]
        self.drawing.text(_LEFT, 18, title, style="font-weight:bold")
        self.drawing.text(_WIDTH / 2 - 60, _HEIGHT - 10, x[0])
        self.drawing.text(6, _TOP - 6, y[0])
        for part in np.linspace(0, 1, 6):
            left, right = self.at(0, part * y[1]), self.at(x[1], part * y[1])
            self.drawing.line(left, right, "#dddddd")
            self.drawing.text(20, left[1] + 4, f"{part * y[1]:.3g}")
            foot = self.at(part * x[1], 0)
            self.drawing.text(foot[0] - 10, foot[1] + 16, f"{part * x[1]:.0f}")

    def at(self, x: float, y: float) -> Point:
        """Pixels of a point."""
        across = _LEFT + min(x / self._x_max, 1.0) * (_WIDTH - _LEFT - _RIGHT)
        up = _TOP + (1 - min(y / self._y_max, 1.0)) * (_HEIGHT - _TOP - _BOTTOM)
        return across, up

    def curve(self, points: Sequence[Point], color: str) -> None:
        """Join points."""
        places = [self.at(*point) for point in points]
        for one, other in itertools.pairwise(places):
            self.drawing.line(one, other, color, 2)

    def save(self, path: Path, title: str) -> Path:
        """Write the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.drawing.document(_HEIGHT, title), encoding="utf-8")
        return path


def draw(store: Store) -> Iterator[Path]:
    """Draw what there is."""
    groups = {
        name: [row["gap_ms"] for row in store.rows(name) if row["gap_ms"] is not None]
        for name in ("gap", "llm", "gap_loss")
    }
    groups |= {
        kind: [r["gap_ms"] for r in store.rows("slots") if r["variant"] == kind and r["gap_ms"]]
        for kind in ("yes_no", "menu")
    }
    measured = {name: gaps for name, gaps in groups.items() if gaps}
    if measured:
        yield _distribution(store, measured)
    sweeps = sorted(path for path in (store.folder / "sweep").glob("*") if path.is_dir())
    points = [(path.name, Store(f"{store.label}/sweep/{path.name}").rows("gap")) for path in sweeps]
    points = [(name, rows) for name, rows in points if rows]
    if points:
        yield _trade_off(store, points)


def _distribution(store: Store, measured: dict[str, list[float]]) -> Path:
    longest = max(float(np.percentile(gaps, 97)) for gaps in measured.values())
    axes = Axes(
        f"Response gap, share of turns answered within ({store.label})",
        ("ms after the caller's last sound", max(1000.0, longest)),
        ("share, %", 100.0),
    )
    for number, (name, gaps) in enumerate(measured.items()):
        color = _COLORS[number % len(_COLORS)]
        ordered = sorted(gaps)
        shares = [(gap, 100 * (at + 1) / len(ordered)) for at, gap in enumerate(ordered)]
        axes.curve([(ordered[0], 0.0), *shares], color)
        words = f"{name}: p50 {np.median(gaps):.0f} ms, n {len(gaps)}"
        axes.drawing.text(_WIDTH - 240, _HEIGHT - 70 - 16 * number, words, fill=color)
    return axes.save(store.folder / "response-gap.svg", "Response gap")


def _trade_off(store: Store, points: Sequence[tuple[str, list[Row]]]) -> Path:
    found = [(name, *_point(rows)) for name, rows in points]
    axes = Axes(
        f"False starts and cut-offs against the median response gap ({store.label})",
        ("median response gap, ms", max(1000.0, 1.1 * max(gap for _, gap, _, _ in found))),
        ("% of turns", max(10.0, 1.2 * max(starts + cuts for _, _, starts, cuts in found))),
    )
    ordered = sorted(found, key=lambda point: point[1])
    axes.curve([(gap, starts + cuts) for _, gap, starts, cuts in ordered], _COLORS[0])
    axes.curve([(gap, cuts) for _, gap, _, cuts in ordered], _COLORS[1])
    for name, gap, starts, cuts in ordered:
        x, y = axes.at(gap, starts + cuts)
        axes.drawing.box(x - 3, y - 3, 6, 6, _COLORS[0], hint=name)
        axes.drawing.text(x + 6, y - 6, name)
    axes.drawing.text(_WIDTH - 240, _TOP + 12, "false starts and cut-offs", fill=_COLORS[0])
    axes.drawing.text(_WIDTH - 240, _TOP + 28, "cut-offs", fill=_COLORS[1])
    return axes.save(store.folder / "trade-off.svg", "Trade-off")


def _point(rows: Sequence[Row]) -> tuple[float, float, float]:
    gaps = [row["gap_ms"] for row in rows if row["gap_ms"] is not None]
    starts = sum(row["fate"] == "false_start" for row in rows)
    cuts = sum(row["fate"] == "cut_off" for row in rows)
    median = float(np.median(gaps)) if gaps else 0.0
    return median, 100 * starts / len(rows), 100 * cuts / len(rows)
