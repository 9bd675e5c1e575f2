"""Waterfall: a picture of a call: speech of both sides, waits and interruptions.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gateway.audio.format import ANALYSIS
from gateway.config.models import TurnConfig
from gateway.replay import timeline
from gateway.replay.hearing import Chunks
from gateway.replay.recording import Recording
from gateway.replay.stages import draw_stages
from gateway.replay.svg import Drawing, fitted, width_of
from gateway.replay.what_if import Stretch, speech_of

WIDTH, LEFT, RIGHT = 1440, 74, 20
STRIP_S = 12.0
"""Length of one strip."""
_PX_PER_S = (WIDTH - LEFT - RIGHT) / STRIP_S
_TOP, _STRIP = 64, 192
_RULER, _CALLER_TEXT, _CALLER, _STAGES, _BOT, _BOT_TEXT, _MARKS = 10, 26, 50, 78, 106, 140, 170
"""Lanes of a strip: the lines from its top on which they are drawn (waves: their middle)."""
_WAVE = 20
_SHORT_S = 0.8
"""Words this close to the end of a strip are written in the next."""
_COLUMN = ANALYSIS.sample_rate_hz // 100
_LOUD = 12_000.0
"""Sample value that fills the lane; louder is cut off."""
CALLER, SPEECH, BOT, CUT, GREY, FAINT = (
    "#1f6fb2",
    "#d8e8f6",
    "#2b8a4b",
    "#c81e1e",
    "#777777",
    "#e4e4e4",
)


def draw(recording: Recording, chunks: Sequence[Chunks]) -> str:
    """Draw a call as SVG.

    Args:
        recording: the call.
        chunks: voice activity of the caller's audio, frame by frame.
    """
    drawing = Drawing(WIDTH)
    _head(drawing, recording)
    config = recording.talks[0].settings.turn if recording.talks else TurnConfig()
    scene = _Scene(drawing, recording, speech_of(config, chunks))
    strips = max(1, int(np.ceil(scene.length_s / STRIP_S)))
    for number in range(strips):
        scene.strip(number)
    height = draw_stages(drawing, scene.answerings, _TOP + strips * _STRIP + 20)
    return drawing.document(height, f"Call {recording.record.call_id}")


def _head(drawing: Drawing, recording: Recording) -> None:
    record = recording.record
    parties = f"{record.caller or '?'} → {record.called or '?'}"
    title = f"Call {record.call_id}   {parties}   {record.agent}   {record.codec}"
    drawing.text(12, 24, title, style="font-size:15px;font-weight:bold")
    reason = f", ended: {record.end_reason}" if record.end_reason else ""
    drawing.text(12, 42, f"{record.started_at:%Y-%m-%d %H:%M:%S %Z}{reason}", fill=GREY)
    x = WIDTH - 640.0
    for color, words in (
        (CALLER, "caller"),
        (SPEECH, "speech (VAD)"),
        (BOT, "bot"),
        (CUT, "cut"),
        *((color, name) for name, color in timeline.COLORS_OF.items()),
    ):
        drawing.box(x, 33, 10, 10, color)
        drawing.text(x + 14, 42, words, fill=GREY)
        x += 26 + width_of(words)


class _Scene:
    def __init__(self, drawing: Drawing, recording: Recording, speech: list[Stretch]) -> None:
        self._drawing = drawing
        self._speech = speech
        self._caller = _envelope(recording.audio.received)
        self._bot = _envelope(recording.audio.sent)
        self._caller_words = timeline.caller_words(recording)
        self._bot_words = timeline.bot_words(recording)
        self._marks = list(timeline.marks(recording))
        self.answerings = timeline.answerings(recording)
        self.length_s = recording.audio.samples / ANALYSIS.sample_rate_hz

    def strip(self, number: int) -> None:
        """Draw one stretch of the call."""
        start_s, top = number * STRIP_S, _TOP + number * _STRIP
        end_s = min(start_s + STRIP_S, self.length_s)
        self._ruler(start_s, end_s, top)
        for name, lane in (("caller", _CALLER), ("waiting", _STAGES), ("bot", _BOT)):
            self._drawing.text(12, top + lane + 4, name, fill=GREY)
        self._speech_boxes(start_s, end_s, top)
        self._wave(self._caller, CALLER, start_s, top + _CALLER)
        self._wave(self._bot, BOT, start_s, top + _BOT)
        self._stage_boxes(start_s, end_s, top)
        self._texts(self._caller_words, start_s, [top + _CALLER_TEXT], CALLER)
        self._texts(self._bot_words, start_s, [top + _BOT_TEXT, top + _BOT_TEXT + 14], BOT)
        self._mark_lines(start_s, end_s, top)

    def _ruler(self, start_s: float, end_s: float, top: float) -> None:
        for second in range(int(start_s), int(np.ceil(end_s)) + 1):
            x = _x(second, start_s)
            if x > WIDTH - RIGHT + 1:
                continue
            self._drawing.line((x, top + _RULER), (x, top + _BOT + _WAVE), FAINT)
            self._drawing.text(x + 2, top + _RULER, f"{second} s", fill="#999999")

    def _speech_boxes(self, start_s: float, end_s: float, top: float) -> None:
        for stretch in self._speech:
            first_s, last_s = (
                stretch.start / ANALYSIS.sample_rate_hz,
                stretch.end / ANALYSIS.sample_rate_hz,
            )
            if last_s > start_s and first_s < end_s:
                x, until = _x(max(first_s, start_s), start_s), _x(min(last_s, end_s), start_s)
                hint = f"speech {first_s:.2f} to {last_s:.2f} s"
                y = top + _CALLER - _WAVE
                self._drawing.box(x, y, until - x, 2 * _WAVE, SPEECH, hint=hint)

    def _wave(self, levels: Sequence[float], color: str, start_s: float, middle: float) -> None:
        columns = ANALYSIS.sample_rate_hz / _COLUMN
        first = int(start_s * columns)
        shown = levels[first : first + int(STRIP_S * columns)]
        heights = [min(level / _LOUD, 1.0) ** 0.6 * (_WAVE - 1) + 0.4 for level in shown]
        xs = [LEFT + n / columns * _PX_PER_S for n in range(len(heights))]
        above = [(x, middle - height) for x, height in zip(xs, heights, strict=True)]
        below = [(x, middle + height) for x, height in zip(xs, heights, strict=True)]
        if above:
            self._drawing.area([*above, *reversed(below)], color)

    def _stage_boxes(self, start_s: float, end_s: float, top: float) -> None:
        for answering in self.answerings:
            for stage in answering.stages:
                last_s = stage.start_s + stage.length_s
                if last_s <= start_s or stage.start_s >= end_s:
                    continue
                x = _x(max(stage.start_s, start_s), start_s)
                until = _x(min(last_s, end_s), start_s)
                hint = f"{stage.name} {stage.length_s * 1000:.0f} ms"
                color = timeline.COLORS_OF[stage.name]
                self._drawing.box(x, top + _STAGES - 6, until - x, 11, color, hint=hint)
            gap_ms = answering.turn.response_gap_ms
            if gap_ms is not None and answering.stages:
                last = answering.stages[-1]
                at_s = last.start_s + last.length_s
                if start_s <= at_s < end_s:
                    x = _x(at_s, start_s) + 5
                    self._drawing.text(x, top + _STAGES + 4, f"{gap_ms:.0f} ms")

    def _texts(
        self,
        words: Sequence[timeline.Words],
        start_s: float,
        rows: Sequence[float],
        color: str,
    ) -> None:
        """Write words where they begin, row by row in turn so that they have more room."""
        has_next = start_s + STRIP_S < self.length_s
        last_s = start_s + STRIP_S - _SHORT_S if has_next else self.length_s + 1
        mine = [each for each in words if start_s - _SHORT_S <= each.start_s < last_s]
        for number, each in enumerate(mine):
            x = max(_x(each.start_s, start_s), LEFT)
            following = mine[number + len(rows) :]
            until = _x(following[0].start_s, start_s) - 6 if following else WIDTH - RIGHT
            y = rows[number % len(rows)]
            self._drawing.text(x, y, fitted(each.text, until - x), fill=color)

    def _mark_lines(self, start_s: float, end_s: float, top: float) -> None:
        free = 0.0
        for mark in self._marks:
            if not start_s <= mark.at_s < end_s + 0.05:
                continue
            x = _x(mark.at_s, start_s)
            color = CUT if mark.is_cut else GREY
            bottom = top + (_MARKS - 10 if mark.is_cut else _BOT + _WAVE)
            width = 2 if mark.is_cut else 0.7
            self._drawing.line((x, top + _CALLER - _WAVE), (x, bottom), color, width)
            at = max(min(x - 2, WIDTH - RIGHT - width_of(mark.words)), free)
            self._drawing.text(at, top + _MARKS, mark.words, fill=color)
            free = at + width_of(mark.words) + 8


def _x(at_s: float, start_s: float) -> float:
    return LEFT + (at_s - start_s) * _PX_PER_S


def _envelope(pcm: bytes) -> list[float]:
    """Return the peak of every 10 ms."""
    samples = np.abs(np.frombuffer(pcm, "<i2").astype(np.int32))
    whole = len(samples) // _COLUMN * _COLUMN
    return [float(peak) for peak in samples[:whole].reshape(-1, _COLUMN).max(axis=1)]
