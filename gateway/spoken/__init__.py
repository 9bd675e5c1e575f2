"""Text as a language model writes it -> text as it is read aloud.  Pure."""

from __future__ import annotations

import re
from functools import lru_cache, partial

from gateway.spoken.characters import tidy, typeset
from gateway.spoken.english import read_english
from gateway.spoken.markup import without_markup
from gateway.spoken.other import read_other

__all__ = ["speakable"]


_LONGEST = 800
_PORTION = re.compile(rf"[\s\S]{{1,{_LONGEST}}}(?=\s|\Z)|\S{{1,{_LONGEST}}}")


@lru_cache(1024)
def speakable(text: str, language: str = "en") -> str:
    """Remove what is not read aloud, spell out what a synthesizer reads wrong.

    Args:
        text: one piece of a reply, with or without mark-up.
        language: English is spelled out in words; other voices read numbers in their own words,
            and get the names of currencies, units and months.

    Returns:
        One line; empty where there is nothing to say.
    """
    text = typeset(without_markup(text))
    is_english = language.lower().startswith("en")
    read = read_english if is_english else partial(read_other, language=language)
    said = tidy("".join(map(read, _portions(text))))
    return said if any(map(str.isalnum, said)) else ""


def _portions(text: str) -> list[str]:
    """Cut what is longer than any sentence, so that time grows with length and not faster."""
    return [text] if len(text) <= _LONGEST else _PORTION.findall(text)
