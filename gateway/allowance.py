"""Rate limits: for all, per source, and for log lines.  Pure.

Nothing here reads a clock: `now_s` is the caller's, monotonic.
"""

from __future__ import annotations

from collections import OrderedDict

SOURCES = 4096
"""Number of sources remembered one by one; the one silent for longest is forgotten first."""


class Allowance:
    """A token bucket: `count` at once, refilled evenly over `period_s`."""

    def __init__(self, count: int, period_s: float) -> None:
        self._count = count
        self._period_s = period_s
        self._left = float(count)
        self._at_s = 0.0

    def has_one(self, now_s: float) -> bool:
        """Return whether one may be taken."""
        gained = max(0.0, now_s - self._at_s) * self._count / self._period_s
        self._left = min(float(self._count), self._left + gained)
        self._at_s = now_s
        return self._left >= 1.0

    def take(self) -> None:
        """Take one; ask `has_one` first."""
        self._left -= 1.0

    def spend(self, now_s: float) -> bool:
        """Take one if there is one."""
        if not self.has_one(now_s):
            return False
        self.take()
        return True


class SourceAllowances:
    """One allowance for each source, in bounded memory.

    A sender with thousands of addresses is forgotten and starts anew: what all of them do
    together needs a separate `Allowance`.
    """

    def __init__(self, count: int, period_s: float, sources: int = SOURCES) -> None:
        self._count = count
        self._period_s = period_s
        self._limit = sources
        self._known: OrderedDict[str, Allowance] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def has_one(self, source: str, now_s: float) -> bool:
        """Return whether this source may take one; asking leaves no trace."""
        known = self._known.get(source)
        return known is None or known.has_one(now_s)

    def spend(self, source: str, now_s: float) -> bool:
        """Take one of this source's if there is one."""
        known = self._known.get(source)
        if known is None:
            known = self._known[source] = Allowance(self._count, self._period_s)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
        self._known.move_to_end(source)
        return known.spend(now_s)


class LogLimiter:
    """Lets `count` log lines of each kind through per period and counts the rest.

    Kinds must be a bounded set (rules, codes), never what a remote party chose.
    """

    def __init__(self, count: int = 30, period_s: float = 60.0) -> None:
        self._allowed = SourceAllowances(count, period_s)
        self._held_back: dict[str, int] = {}

    def passes(self, kind: str, now_s: float) -> bool:
        """Return whether a line of this kind may be logged."""
        if self._allowed.spend(kind, now_s):
            return True
        self._held_back[kind] = self._held_back.get(kind, 0) + 1
        return False

    def held_back(self, kind: str) -> int:
        """Return how many lines of this kind were not logged since the last question."""
        return self._held_back.pop(kind, 0)
