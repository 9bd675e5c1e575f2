"""When a caller has changed the language, by what the recognizer reports.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.languages import closest, primary

_SURE_WORDS = 3
"""This number of words of a turn in another language is enough, before it is over."""
_FINAL_WORDS = 2
"""Of a whole turn; a single word may be a name, or be taken for another language."""
_TURNS = 2
"""Whole turns in a row that are enough, however short."""


class LanguageWatch:
    """Decides for one agent that speaks several languages."""

    def __init__(self, known: Iterable[str], current: str) -> None:
        """Begin in a language.

        Args:
            known: tags (BCP 47) that the agent may go on in.
            current: the one that is spoken.
        """
        self._known = tuple(known)
        self._current = current
        self._turns: list[str] = []
        """Other languages of the latest whole turns, in a row."""

    def heard(self, language: str, text: str, *, is_final: bool) -> str | None:
        """Judge a transcript; return the language to go on in, None = as it is.

        Args:
            language: as the recognizer reports it; empty = it does not.
            text: of the turn so far.
            is_final: it is all of the turn.
        """
        found = closest(language, self._known) if language else None
        if found is None or primary(found) == primary(self._current):
            if is_final and language:
                self._turns.clear()
            return None
        words = len(text.split())
        if is_final and words:
            self._turns = [*self._turns, found][-_TURNS:]
        is_steady = len(self._turns) == _TURNS and set(self._turns) == {found}
        if words >= _SURE_WORDS or (is_final and words >= _FINAL_WORDS) or is_steady:
            self._current = found
            self._turns.clear()
            return found
        return None
