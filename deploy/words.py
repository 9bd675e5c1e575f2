"""Check for the phrases that docs/style.md refuses: `python deploy/words.py`.

README and docs are checked whole, programs and configuration in their comments and docstrings: what
the bot speaks is free.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
STYLE = ROOT / "docs" / "style.md"
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \|$", re.MULTILINE)
_WHOLE = ("README.md", "docs/*.md", "docs/reference/*.md", "docs/measurements/*.md")
_COMMENTED = (
    "gateway.example.toml", "dialplans/*.toml", "deploy/**/*.toml", "deploy/**/*.yaml",
    "deploy/**/*.sh", "gateway/edge/kamailio.cfg", "Makefile",
)  # fmt: skip
_PROGRAMS = ("gateway/**/*.py", "deploy/*.py")
Line = tuple[int, str]


def _matching(*patterns: str) -> set[Path]:
    return {path for pattern in patterns for path in ROOT.glob(pattern)}


def phrases() -> dict[str, str]:
    """Return each refused phrase with what to write instead, as the style page lists them."""
    return dict(ROW.findall(STYLE.read_text(encoding="utf-8")))


def found(lines: Iterator[Line], refused: dict[str, str]) -> Iterator[Line]:
    """Yield line number and phrase of each refused phrase.  Pure."""
    for number, line in lines:
        for phrase in refused:
            if re.search(rf"\b{re.escape(phrase)}", line, re.IGNORECASE):
                yield number, phrase


def whole(text: str) -> Iterator[Line]:
    """Yield all lines with their numbers.  Pure."""
    yield from enumerate(text.splitlines(), 1)


def comments(text: str) -> Iterator[Line]:
    """Yield what stands behind a `#`.  Pure."""
    for number, line in whole(text):
        yield number, line.partition("#")[2]


def remarks(text: str) -> Iterator[Line]:
    """Yield the lines of comments and docstrings of a Python program.  Pure."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            value = node.value.value
            if isinstance(value, str):
                yield from enumerate(value.splitlines(), node.lineno)


def main() -> int:
    """Print what is refused, with file and line; return 1 if there is any."""
    refused = phrases()
    faults = []
    for patterns, lines_of in ((_WHOLE, whole), (_COMMENTED, comments), (_PROGRAMS, remarks)):
        for path in _matching(*patterns) - {STYLE}:
            lines = lines_of(path.read_text(encoding="utf-8"))
            faults += [
                f"{path.relative_to(ROOT)}:{number}: {phrase!r}: write {refused[phrase].strip()}"
                for number, phrase in found(lines, refused)
            ]
    sys.stdout.writelines(fault + "\n" for fault in sorted(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
