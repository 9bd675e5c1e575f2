"""Lists of words and phrases as they stand in the files, and what is made of them.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

NEVER = re.compile(r"(?!)")
"""Matches nothing: of an empty list."""


class Texts(BaseModel):
    """Base of what a file holds: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _listed(value: object) -> object:
    """Accept words between blanks as a list."""
    return value.split() if isinstance(value, str) else value


WordSet = Annotated[frozenset[str], BeforeValidator(_listed)]
"""Words, in any order: `"yes no yeah"`, or a list."""
Phrases = tuple[str, ...]
"""Phrases: plain words, or a regular expression between slashes (`"/colou?r/"`)."""


def alternatives(phrases: Iterable[str]) -> str:
    """Return a pattern for any of them, the longest first."""
    plain = sorted((p for p in phrases if not _is_pattern(p)), key=len, reverse=True)
    words = [r"\s+".join(map(re.escape, phrase.split())) for phrase in plain]
    return "|".join([*words, *(p[1:-1] for p in phrases if _is_pattern(p))])


def pattern(phrases: Iterable[str]) -> re.Pattern[str]:
    """Compile a list to what finds one of its phrases as whole words, in any case of letters."""
    phrases = tuple(phrases)
    plain = alternatives(p for p in phrases if not _is_pattern(p))
    parts = [rf"(?<!\w)(?:{plain})(?!\w)"] if plain else []
    parts += [p[1:-1] for p in phrases if _is_pattern(p)]
    return re.compile("|".join(parts), re.IGNORECASE) if parts else NEVER


def _is_pattern(phrase: str) -> bool:
    return len(phrase) > 2 and phrase.startswith("/") and phrase.endswith("/")
