"""Keys pressed one by one -> one answer.  Pure, on any clock the caller of it uses."""

from __future__ import annotations


class DigitCollector:
    """Gathers DTMF digits until there are enough, a terminator comes, or the caller pauses."""

    def __init__(self, count: int | None, terminator: str = "#", pause_s: float = 2.0) -> None:
        self._count = count
        self._terminator = terminator
        self._pause_s = pause_s
        self._digits = ""
        self._last_s = 0.0

    @property
    def digits(self) -> str:
        """What was gathered so far."""
        return self._digits

    def press(self, digit: str, now_s: float) -> str | None:
        """Take a key; returns the answer when it is complete (may be empty after a terminator)."""
        self._last_s = now_s
        if self._terminator and digit == self._terminator:
            return self._take()
        self._digits += digit
        return self._take() if self._count and len(self._digits) >= self._count else None

    def advance(self, now_s: float) -> str | None:
        """Let time pass; returns the answer when the caller has paused long enough."""
        if self._digits and now_s - self._last_s >= self._pause_s:
            return self._take()
        return None

    def _take(self) -> str:
        digits, self._digits = self._digits, ""
        return digits
