"""Placeholders that every call has a value for: `{caller}`, `{now}`, `{header.NAME}`.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

NAMES = ("called", "caller", "trunk", "now", "date", "time")
"""Of the call, and of the moment when it was taken."""
PREFIXES = ("header.", "var.")
"""A header of the INVITE in lower case, a variable of the request that placed the call."""

_PLACEHOLDER = re.compile(r"(?<![{$])\{([A-Za-z][\w.-]*)\}(?!\})")
_LITERAL = re.compile(r"\{\{([A-Za-z][\w.-]*)\}\}")


def is_known(name: str) -> bool:
    """Return whether a call has a value for this, if only an empty one."""
    return name in NAMES or any(name.startswith(p) and len(name) > len(p) for p in PREFIXES)


def names_in(text: str) -> list[str]:
    """List the placeholders of a text; `{{caller}}` is none, nor is JSON."""
    return _PLACEHOLDER.findall(text)


def filled(text: str, value_of: Callable[[str], str]) -> str:
    """Put values in; of `{{caller}}` the outer braces go."""
    text = _PLACEHOLDER.sub(lambda match: value_of(match[1]), text)
    return _LITERAL.sub(r"{\1}", text)


class Values(Mapping[str, str]):
    """The values of a call by placeholder; headers and variables that it has not are empty."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def __getitem__(self, name: str) -> str:
        """Return the value.  Raises KeyError for what is no placeholder."""
        if name in self._known:
            return self._known[name]
        if is_known(name):
            return ""
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over those that are set."""
        return iter(self._known)

    def __len__(self) -> int:
        """Count those that are set."""
        return len(self._known)
