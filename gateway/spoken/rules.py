"""Rules: a pattern and what a reader says for it, applied in order.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def apply(rules: Iterable[Rule], text: str) -> str:
    """Apply one rule after the other."""
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def alternatives(words: Iterable[str]) -> str:
    """Join literal words to a pattern, longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def link_word(found: re.Match[str]) -> str:
    """Return what joins a range: "between 9 and 11", else "9 to 11"."""
    return "and" if _BETWEEN.search(found.string, 0, found.start()) else "to"


_BETWEEN = re.compile(r"\bbetween\s+\Z", re.IGNORECASE)
