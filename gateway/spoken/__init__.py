"""Text as a language model writes it -> text as it is read aloud.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial

from gateway.languages import is_known
from gateway.languages import language as language_of
from gateway.spoken.characters import tidy, typeset
from gateway.spoken.english import read_english
from gateway.spoken.markup import without_markup
from gateway.spoken.other import read_other
from gateway.spoken.reader import read_by

__all__ = ["speakable"]


_LONGEST = 800
_PORTION = re.compile(rf"[\s\S]{{1,{_LONGEST}}}(?=\s|\Z)|\S{{1,{_LONGEST}}}")


@lru_cache(1024)
def speakable(text: str, language: str = "en") -> str:
    """Remove what is not read aloud, spell out what a synthesizer reads wrong.

    Args:
        text: one piece of a reply, with or without mark-up.
        language: BCP 47.  English, and languages that have a `reading.toml`, are spelled out in
            words; voices of others read numbers in their own words, and get the names of
            currencies and months.

    Returns:
        One line; empty where there is nothing to say.
    """
    text = typeset(without_markup(text))
    read = _reader(language)
    said = tidy("".join(map(read, _portions(text))))
    return said if any(map(str.isalnum, said)) else ""


def _reader(language: str) -> Callable[[str], str]:
    if language.lower().startswith("en"):
        return read_english
    if is_known(language) and language_of(language).reading is not None:
        return partial(read_by, language)
    return partial(read_other, language=language)


def _portions(text: str) -> list[str]:
    """Cut what is longer than any sentence, so that time grows with length and not faster."""
    return [text] if len(text) <= _LONGEST else _PORTION.findall(text)
