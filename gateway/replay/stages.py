"""Stages: the table of a call's turns: where the time to each answer went.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.replay.svg import Drawing, fitted
from gateway.replay.timeline import COLORS_OF, Answering

_ROW, _BAR = 20, 12
_TEXT, _GAP, _SHARE, _STOP, _BARS = 40, 350, 410, 480, 560
_GREY, _FAINT, _CUT = "#777777", "#e4e4e4", "#c81e1e"


def draw_stages(drawing: Drawing, answerings: Sequence[Answering], top: float) -> float:
    """Draw a row per caller turn from `top` on; return the line below the last."""
    rows = [each for each in answerings if each.turn.caller_text]
    if not rows:
        return top
    drawing.text(12, top, "Time to each answer", style="font-size:13px;font-weight:bold")
    y = top + 22
    for x, words in ((_TEXT, "caller"), (_GAP, "gap"), (_SHARE, "ours"), (_STOP, "stop")):
        drawing.text(x, y, words, fill=_GREY)
    longest_s = max(0.5, *map(_length_s, rows))
    scale = (drawing.width - _BARS - 70) / longest_s
    _grid(drawing, longest_s, scale, (y, y + _ROW * len(rows) + 4))
    for number, row in enumerate(rows, 1):
        _row(drawing, row, y + number * _ROW, scale)
    return y + _ROW * (len(rows) + 1) + 8


def _row(drawing: Drawing, row: Answering, y: float, scale: float) -> None:
    turn = row.turn
    drawing.text(12, y, f"{turn.index}", fill=_GREY)
    drawing.text(_TEXT, y, fitted(turn.caller_text or "", _GAP - _TEXT - 6))
    drawing.text(_GAP, y, _ms(turn.response_gap_ms))
    drawing.text(_SHARE, y, _ms(turn.gateway_share_ms))
    if turn.interrupted:
        drawing.text(_STOP, y, f"cut {_ms(turn.barge_in_stop_ms)}".rstrip(), fill=_CUT)
    x = float(_BARS)
    for stage in row.stages:
        width = stage.length_s * scale
        words = f"{stage.length_s * 1000:.0f}"
        hint = f"{stage.name} {words} ms"
        drawing.box(x, y - _BAR + 2, width, _BAR, COLORS_OF[stage.name], hint=hint)
        if width > 26:
            drawing.text(x + 3, y - 1, words, fill="#ffffff", style="font-size:10px")
        x += width


def _grid(drawing: Drawing, longest_s: float, scale: float, lines: tuple[float, float]) -> None:
    top, bottom = lines
    step_ms = 100 if longest_s <= 2 else 500
    for mark_ms in range(0, int(longest_s * 1000) + 1, step_ms):
        x = _BARS + mark_ms / 1000 * scale
        drawing.line((x, top + 4), (x, bottom), _FAINT)
        if mark_ms % (5 * step_ms) == 0:
            drawing.text(x + 2, top, f"{mark_ms} ms", fill="#999999")


def _length_s(row: Answering) -> float:
    return sum(stage.length_s for stage in row.stages)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"
