"""Svg: a few shapes and texts as an SVG document, written by hand.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_STYLE = "text{font:11px 'DejaVu Sans',Verdana,sans-serif;fill:#222}"
_LETTER_PX = 6.3
"""Mean width of a letter at 11 px."""


class Drawing:
    """Collects elements; positions in pixels from the upper left corner."""

    def __init__(self, width: float) -> None:
        self.width = width
        self._parts: list[str] = []

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, *, hint: str = ""
    ) -> None:
        """Fill a rectangle; `hint` is shown by a viewer that is pointed at it."""
        size = f'width="{max(width, 0.5):.1f}" height="{height:.1f}"'
        self._shape(f'rect x="{x:.1f}" y="{y:.1f}" {size} fill="{fill}"', "rect", hint)

    def line(
        self, start: tuple[float, float], end: tuple[float, float], color: str, width: float = 1
    ) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, end
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self._parts.append(f'<line {ends} stroke="{color}" stroke-width="{width:g}"/>')

    def area(self, points: Iterable[tuple[float, float]], fill: str) -> None:
        """Fill a polygon."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polygon points="{path}" fill="{fill}"/>')

    def text(self, x: float, y: float, words: str, *, fill: str = "#222", style: str = "") -> None:
        """Write from x on, on the line y; `style` is CSS."""
        look = f"fill:{fill};{style}"
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" style="{look}">{_clean(words)}</text>')

    def document(self, height: float, title: str) -> str:
        """Return the whole file."""
        size = f'width="{self.width:g}" height="{height:g}"'
        view = f'viewBox="0 0 {self.width:g} {height:g}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view}>'
        paper = f'<rect {size} fill="#ffffff"/>'
        names = f"<title>{_clean(title)}</title><style>{_STYLE}</style>"
        return "\n".join([head, names, paper, *self._parts, "</svg>", ""])

    def _shape(self, element: str, name: str, hint: str) -> None:
        inner = f"><title>{_clean(hint)}</title></{name}>" if hint else "/>"
        self._parts.append(f"<{element}{inner}")


def fitted(words: str, width: float) -> str:
    """Cut words to a width in pixels."""
    count = int(width / _LETTER_PX)
    return words if len(words) <= count else words[: max(count - 1, 0)].rstrip() + "…"


def width_of(words: str) -> float:
    """Return how much room words take, roughly, in pixels."""
    return len(words) * _LETTER_PX


def _clean(words: str) -> str:
    """Leave out what XML 1.0 cannot hold at all, escape the rest."""
    return escape("".join(c if c >= " " and c not in "\ufffe\uffff" else " " for c in words))
