"""EngineWatch: notices that a session is silent though it is connected.  Pure.

Time is counted in frames of caller audio, so that holds and transfers do not count.
"""

from __future__ import annotations

from typing import Literal

from gateway.turn.events import TurnEnded, samples

Finding = Literal["owes", "silent"]
"""The engine has heard a turn and gives no sign of its end: the bot takes the floor and waits.
The engine gives no sign at all, or no answer: its session is of no use."""

_FRAME = samples(20)
_SLOW_END = samples(3000)
"""An engine that judges by meaning may wait longer than our turn taker."""
_SIGN_BEFORE = samples(500)
"""An engine's sign of a turn may come before the onset that our detector finds."""
_IGNORED_TURNS = 2
"""One may be a cough that the engine rightly ignores."""


class EngineWatch:
    """Watches the sessions of one call."""

    def __init__(self, limit_s: float) -> None:
        """Prepare.

        Args:
            limit_s: time in which an engine must begin what it owes.
        """
        self._limit = samples(limit_s * 1000)
        self._owed = 0
        self._sign_at = -_SIGN_BEFORE
        self._turn: TurnEnded | None = None
        """That the engine has not answered."""
        self._waited = 0
        self._ignored = 0

    def sign(self, now: int) -> None:
        """The engine reports something of the caller's speech."""
        self._sign_at = now
        self._ignored = 0

    def turn_ended(self, turn: TurnEnded) -> None:
        """By our turn taker, the caller has finished."""
        self._turn, self._waited = turn, 0

    def answers(self) -> None:
        """The engine has begun to answer, or the bot has taken the floor for it."""
        self._turn, self._ignored = None, 0

    def restart(self) -> None:
        """Another session begins."""
        self._turn, self._owed, self._ignored = None, 0, 0

    def advance(self, *, is_free: bool, is_owed: bool) -> Finding | None:
        """Let 20 ms pass.

        Args:
            is_free: neither side has the floor, the caller says nothing.
            is_owed: the bot has the floor, or waits for it, and the engine has still to begin.
        """
        self._owed = self._owed + _FRAME if is_owed else 0
        if self._owed >= self._limit:
            self._owed = 0
            return "silent"
        if self._turn is None or not is_free:
            return None
        self._waited += _FRAME
        if self._waited < _SLOW_END:
            return None
        turn, self._turn = self._turn, None
        if self._sign_at >= turn.onset - _SIGN_BEFORE:
            return "owes"
        self._ignored += 1
        return "silent" if self._ignored >= _IGNORED_TURNS else None
