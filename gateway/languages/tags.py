"""Language tags (BCP 47), as far as the gateway looks at them.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from babel import Locale, UnknownLocaleError


def primary(tag: str) -> str:
    """Return "de" of "de-AT"."""
    return tag.partition("-")[0].lower()


def closest(tag: str, known: Iterable[str]) -> str | None:
    """Return the known tag for a language: the same, else one of another region; None = none."""
    tags = sorted(known)
    for same in (str.lower, primary):
        found = [other for other in tags if same(other) == same(tag)]
        if found:
            return found[0]
    return None


def language_name(tag: str) -> str:
    """Return the English name of a language: "German", "Portuguese (Brazil)"; else the tag."""
    try:
        return Locale.parse(tag, sep="-").get_display_name("en") or tag
    except (UnknownLocaleError, ValueError):
        return tag
