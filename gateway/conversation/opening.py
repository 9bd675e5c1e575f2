"""Opening: when the bot's first words are spoken, and when they are repeated.  Pure.

A called person speaks first ("Hello?", a name, an announcement), over whatever the bot says at
once.  On a call that the gateway has placed, the bot therefore lets the other side finish first,
and repeats a greeting that is interrupted: without it the other side does not know the caller.
"""

from __future__ import annotations

from enum import Enum, auto

_REPETITIONS = 2


class _State(Enum):
    LISTENING = auto()
    DUE = auto()
    SAID = auto()


class Opening:
    """The first words of one call."""

    def __init__(self, *, listens_first: bool) -> None:
        """Begin a talk; the first words are due at once unless it `listens_first`."""
        self._state = _State.LISTENING if listens_first else _State.DUE
        self._is_begun = False
        self._left = _REPETITIONS

    @property
    def listens(self) -> bool:
        """True while the other side has the first word: the bot says nothing."""
        return self._state is _State.LISTENING

    @property
    def is_due(self) -> bool:
        """True when they are to be spoken as soon as neither side speaks."""
        return self._state is _State.DUE

    @property
    def is_unheard(self) -> bool:
        """True before they were begun: nothing was asked yet."""
        return not self._is_begun

    def heard_out(self) -> None:
        """The other side has had its first word, or did not want it."""
        if self.listens:
            self._state = _State.DUE

    def begin(self) -> None:
        """They are being said."""
        self._state, self._is_begun = _State.SAID, True

    def broken_off(self, *, counts: bool) -> None:
        """The other side has cut them before their end.

        Args:
            counts: it has heard enough of them to know that the bot speaks.
        """
        if self._left:
            self._state = _State.DUE
            self._left -= counts

    def go_on(self) -> None:
        """Their rest is said, or not wanted."""
        if self._is_begun:
            self._state = _State.SAID
