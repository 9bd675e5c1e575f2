"""Keys pressed one by one -> one entry.  Pure, on any clock the caller of it uses."""

from __future__ import annotations

from dataclasses import dataclass

_STILL_ENDS_S = 4.0
"""A terminator so soon after a complete number still belongs to it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What was typed in one go."""

    digits: str
    is_ended: bool = True
    """False when the caller only paused: there may be more."""


class DigitCollector:
    """Gathers keys until there are enough, a terminator comes, or the caller pauses."""

    def __init__(self, count: int | None, terminator: str = "#", pause_s: float = 2.0) -> None:
        self._count = count
        self._terminator = terminator
        self._pause_s = pause_s
        self._digits = ""
        self._last_s = 0.0
        self._number_until_s = 0.0
        """A terminator until then ends a number that was taken already."""
        self._is_after_number = False
        """Nothing was typed or said since a number was taken."""

    @property
    def digits(self) -> str:
        """What was gathered so far."""
        return self._digits

    def expect(self, count: int | None) -> None:
        """Set how many keys make an entry complete; those pressed already count."""
        self._count = count

    def is_repeated_end(self, digit: str, now_s: float) -> bool:
        """Return whether a key only ends a number that is complete already: it means nothing.

        However late it comes, unless one key is wanted.
        """
        if digit != self._terminator or self._digits:
            return False
        return now_s < self._number_until_s or (self._is_after_number and self._count != 1)

    def forget_number(self) -> None:
        """Treat the next terminator as a key: something was said since the latest number."""
        self._is_after_number = False

    def press(self, digit: str, now_s: float) -> Entry | None:
        """Accept a key; returns the entry when it is complete.  A terminator alone is a key."""
        self._last_s = now_s
        if digit == self._terminator and self._digits:
            return self._take()
        self._digits += digit
        self._is_after_number = False
        return self._take() if self._count and len(self._digits) >= self._count else None

    def advance(self, now_s: float) -> Entry | None:
        """Let time pass; returns the entry when the caller has paused long enough."""
        if self._digits and now_s - self._last_s >= self._pause_s:
            return self._take(is_ended=False)
        return None

    def _take(self, *, is_ended: bool = True) -> Entry:
        digits, self._digits = self._digits, ""
        if self._count != 1:
            self._is_after_number = digits != self._terminator
            self._number_until_s = self._last_s + _STILL_ENDS_S
        return Entry(digits, is_ended)
