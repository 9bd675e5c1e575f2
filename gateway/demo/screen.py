"""Prints the transcript: colours and a settling line on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import TextIO

from gateway.demo.transcript import Entry, Speaker

_LABELS: Mapping[Speaker, str] = {
    "call": "call",
    "says": "caller says",
    "hears": "understood",
    "bot": "bot",
    "tool": "tool",
    "cut": "✂",
}
_COLOURS: Mapping[Speaker, str] = {
    "call": "2",
    "says": "2",
    "hears": "36",
    "bot": "32",
    "tool": "33",
    "cut": "1;31",
}
_TIME_COLUMNS, _LABEL_COLUMNS = 8, 13
_WIDTH_MIN, _WIDTH_MAX = 40, 120


class Screen:
    """Where the demo writes.  Asks the stream what it is; `NO_COLOR` (no-color.org) counts."""

    def __init__(
        self, out: TextIO, environ: Mapping[str, str] | None = None, width: int | None = None
    ) -> None:
        environ = os.environ if environ is None else environ
        self._out = out
        self.is_terminal = out.isatty() and environ.get("TERM") != "dumb"
        self._has_colour = self.is_terminal and not environ.get("NO_COLOR")
        columns = shutil.get_terminal_size((100, 24)).columns if width is None else width
        self.width = min(max(columns, _WIDTH_MIN), _WIDTH_MAX)
        self._has_open_line = False
        self._last_open_text = ""

    def show(self, entry: Entry) -> None:
        """Print an entry; an open one is replaced by the next on a terminal."""
        if entry.is_open and self.is_terminal:
            self._rewrite(self._one_line(entry))
        elif not (entry.is_open and entry.text == self._last_open_text):
            self._clear()
            self._write("\n".join(self._lines(entry)) + "\n")
        self._last_open_text = entry.text if entry.is_open else ""

    def progress(self, text: str) -> None:
        """Show how far something is; on a terminal each call replaces the one before."""
        if self.is_terminal:
            self._rewrite(text)

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line as it is; `style` is an ANSI colour such as "1" (bold)."""
        self._clear()
        self._write(f"{self._coloured(text, style) if style else text}\n")

    def lines(self, texts: Sequence[str]) -> None:
        """Print several."""
        for text in texts:
            self.line(text)

    def _lines(self, entry: Entry) -> list[str]:
        head = self._head(entry)
        text = f"{entry.text} ..." if entry.is_open else entry.text
        room = self.width - _TIME_COLUMNS - _LABEL_COLUMNS
        first, *rest = textwrap.wrap(text, room) or [""]
        colour = _COLOURS[entry.speaker]
        indent = " " * (_TIME_COLUMNS + _LABEL_COLUMNS)
        return [
            head + self._coloured(first, colour),
            *(indent + self._coloured(text, colour) for text in rest),
        ]

    def _one_line(self, entry: Entry) -> str:
        room = self.width - _TIME_COLUMNS - _LABEL_COLUMNS - 5
        text = entry.text if len(entry.text) <= room else f"...{entry.text[-room + 3 :]}"
        return self._head(entry) + self._coloured(f"{text} ...", "2")

    def _head(self, entry: Entry) -> str:
        label = f"{_LABELS[entry.speaker]:{_LABEL_COLUMNS}}"
        return f"{entry.at_s:{_TIME_COLUMNS - 2}.1f}  " + self._coloured(
            label, _COLOURS[entry.speaker]
        )

    def _coloured(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._has_colour else text

    def _rewrite(self, text: str) -> None:
        self._write(f"\r\x1b[K{text}")
        self._has_open_line = True

    def _clear(self) -> None:
        if self._has_open_line:
            self._write("\r\x1b[K")
            self._has_open_line = False

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
