"""How long to wait before something that ended is started again.  Pure."""

from __future__ import annotations

MIN_S, MAX_S = 0.5, 30.0
HEALTHY_S = 60.0
"""What lived so long was well: the next start is tried soon again."""


class BackOff:
    """Doubles the wait with every early end."""

    def __init__(self) -> None:
        self._next_s = MIN_S

    def after(self, lived_s: float) -> float:
        """Give the wait in seconds after an end.

        Args:
            lived_s: from the start to the end.
        """
        wait_s = MIN_S if lived_s >= HEALTHY_S else self._next_s
        self._next_s = min(wait_s * 2, MAX_S)
        return wait_s
