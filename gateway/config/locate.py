"""Key path -> line number in a TOML text, which tomllib does not keep.  Checks nothing."""

from __future__ import annotations

import contextlib
import re
import tomllib
from bisect import bisect_right
from functools import lru_cache

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\s#][^,\]}\n#]*")


def locate(text: str, loc: KeyPath) -> int:
    """Find the line where a key is written.

    Args:
        text: a TOML document; of a broken one, the part before the fault counts.
        loc: table names, keys and array indices from the root, as in a pydantic error.

    Returns:
        The 1-based line of the key, else of its nearest parent that is written, else 0.
    """
    lines = _key_lines(text)
    return next((lines[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in lines), 0)


@lru_cache(maxsize=16)
def _key_lines(text: str) -> dict[KeyPath, int]:
    scan = _Scan(text)
    # A fault is the parser's to report; what was seen before it is still right.
    with contextlib.suppress(_NotTomlError, RecursionError):
        scan.document()
    return scan.lines


class _NotTomlError(Exception):
    """The scan met something that TOML does not allow here."""


class _Scan:
    """One pass over a document that notes where every key and array element starts."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._last_index: dict[KeyPath, int] = {}

    def document(self) -> None:
        """Scan everything."""
        table: KeyPath = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._key_value(table)
            self._skip_blank()

    def _header(self) -> KeyPath:
        line = self._line()
        is_array = self._take("[[")
        if not is_array:
            self._expect("[")
        *parents, last = self._dotted_key()
        self._expect("]]" if is_array else "]")
        path: KeyPath = ()
        for part in parents:
            path = self._latest((*path, part))
            self.lines.setdefault(path, line)
        path = (*path, last)
        if is_array:
            self.lines.setdefault(path, line)
            self._last_index[path] = self._last_index.get(path, -1) + 1
            path = self._latest(path)
        self.lines[path] = line  # overrides a mention by an earlier header of a child
        return path

    def _latest(self, path: KeyPath) -> KeyPath:
        """Add the current index when the path names an array of tables."""
        index = self._last_index.get(path)
        return path if index is None else (*path, index)

    def _key_value(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for part in self._dotted_key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self._expect("=")
        self._skip_blank()
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._take("["):
            self._array(path)
        elif self._take("{"):
            self._inline_table(path)
        else:
            self._match(_STRING if self._text[self._at : self._at + 1] in {'"', "'"} else _SCALAR)

    def _array(self, path: KeyPath) -> None:
        index = 0
        self._skip_blank()
        while not self._take("]"):
            self.lines[*path, index] = self._line()
            self._value((*path, index))
            index += 1
            self._skip_blank()
            self._take(",")
            self._skip_blank()

    def _inline_table(self, path: KeyPath) -> None:
        self._skip_blank()
        while not self._take("}"):
            self._key_value(path)
            self._skip_blank()
            self._take(",")
            self._skip_blank()

    def _dotted_key(self) -> list[str]:
        parts = [self._simple_key()]
        while self._take("."):
            parts.append(self._simple_key())
        return parts

    def _simple_key(self) -> str:
        self._skip_blank()
        if self._text[self._at : self._at + 1] in {'"', "'"}:
            quoted = self._match(_STRING)
            try:
                key = str(tomllib.loads(f"key = {quoted}")["key"])
            except tomllib.TOMLDecodeError as exc:
                raise _NotTomlError from exc
        else:
            key = self._match(_BARE_KEY)
        self._skip_blank()
        return key

    def _line(self) -> int:
        return bisect_right(self._newlines, self._at - 1) + 1

    def _skip_blank(self) -> None:
        self._match(_BLANK)

    def _take(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise _NotTomlError

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _NotTomlError
        self._at = match.end()
        return match.group()
