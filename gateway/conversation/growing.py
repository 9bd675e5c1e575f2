"""Growing: a first sentence whose beginning is spoken while the model still writes it."""

from __future__ import annotations

import asyncio
import re

_BEGINNING = re.compile(r"\s*((?:[^\W\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W\d_]+)?\s+){3})")
"""Three plain words: no sentence is cut within them, and figures are read with their neighbors."""


class Growing:
    """Its beginning, and the rest when it is known.  Loop thread only."""

    def __init__(self, text: str) -> None:
        """Begin.

        Args:
            text: what is known of it: whole words.
        """
        self.text = text
        self.rest: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def end(self, rest: str) -> None:
        """Note the rest, empty when nothing more comes.  Idempotent: the first one counts."""
        if not self.rest.done():
            self.rest.set_result(rest)

    @property
    def known_rest(self) -> str | None:
        """The rest; None while it is not known."""
        return self.rest.result() if self.rest.done() and not self.rest.cancelled() else None


def beginning_of(text: str) -> str:
    """Return the words of an unfinished sentence that can be spoken now; empty = none yet."""
    found = _BEGINNING.match(text)
    return " ".join(found[1].split()) if found else ""


def without_words(text: str, count: int) -> str:
    """Return a text without its first words."""
    return " ".join(text.split()[count:])
