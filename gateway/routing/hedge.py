"""Hedge: when another engine is asked beside a silent one, and which of them has won.  Pure."""

from __future__ import annotations


class Hedge:
    """Some requests for the same thing.  The first to speak wins."""

    def __init__(self, after_s: float, order: tuple[str, ...]) -> None:
        """Start without a request.

        Args:
            after_s: silence after which another engine is asked; 0 = only after a failure.
            order: of the engines.
        """
        self._after_s = after_s
        self._waiting = list(order)
        self._since = 0.0
        self.asked: list[str] = []
        """Engines that work on it, in the order in which they were asked."""
        self.winner = ""

    @property
    def is_won(self) -> bool:
        """True once one of them has spoken."""
        return bool(self.winner)

    @property
    def has_more(self) -> bool:
        """True while there is an engine that was not asked."""
        return bool(self._waiting)

    def ask(self, now: float) -> str:
        """Return the engine that is to be asked now; empty = there is none left."""
        if not self._waiting:
            return ""
        name = self._waiting.pop(0)
        self.asked.append(name)
        self._since = now
        return name

    def due_at(self) -> float | None:
        """Return when another one is to be asked if all are silent until then; None = never."""
        if self.winner or not self._after_s or not self._waiting or len(self.asked) != 1:
            return None
        return self._since + self._after_s

    def failed(self, name: str, now: float) -> str:
        """Note a failure; return the engine to ask instead, empty while others work on it."""
        if name in self.asked:
            self.asked.remove(name)
        self.winner = "" if self.winner == name else self.winner
        return "" if self.asked or self.winner else self.ask(now)

    def spoke(self, name: str) -> tuple[str, ...]:
        """Note the first words; return the engines that are to be cancelled."""
        if self.winner:
            return ()
        self.winner = name
        losers = tuple(other for other in self.asked if other != name)
        self.asked = [name]
        return losers
