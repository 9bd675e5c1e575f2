"""Schedule: which event of one receiver is sent next.  Pure; time is an argument in seconds.

Events of a call are sent one after the other, calls beside each other.  A receiver that cannot be
reached or is in trouble gets a pause, then one request that finds out; an event that it refuses
holds up its own call only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

E = TypeVar("E", bound=Hashable)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0


def pause_s(failures: int) -> float:
    """Return the pause after a number of failures in a row: 1, 2, 4, ... seconds, at most 300."""
    return min(FIRST_PAUSE_S * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE_S)


@dataclass(slots=True)
class _Lane(Generic[E]):
    """The events of one call."""

    waiting: deque[E] = field(default_factory=deque)
    is_sending: bool = False
    failures: int = 0
    due_s: float = 0.0


class Schedule(Generic[E]):
    """The order of what one receiver gets."""

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._lanes: dict[str, _Lane[E]] = {}
        self._sending = 0
        self._failures = 0
        """In a row, of the receiver."""
        self._pause_until_s = 0.0

    @property
    def waiting(self) -> int:
        """Return how many events are not delivered."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    @property
    def failures(self) -> int:
        """Return how many times in a row the receiver was not reached or in trouble."""
        return self._failures

    def add(self, call_id: str, event: E) -> None:
        """Put an event behind the others of its call."""
        self._lanes.setdefault(call_id, _Lane()).waiting.append(event)

    def take(self, now_s: float) -> tuple[str, E] | None:
        """Return what is to be sent now; `delivered`, `refused` or `failed` has to follow."""
        allowed = 1 if self._failures else self._parallel
        if self._sending >= allowed or now_s < self._pause_until_s:
            return None
        for call_id, lane in self._lanes.items():
            if not lane.is_sending and lane.due_s <= now_s:
                lane.is_sending = True
                self._sending += 1
                return call_id, lane.waiting[0]
        return None

    def wait_s(self, now_s: float) -> float | None:
        """Return in how many seconds `take` has something more; None = when something changes."""
        if self._sending >= (1 if self._failures else self._parallel):
            return None
        due = [lane.due_s for lane in self._lanes.values() if not lane.is_sending]
        return max(min(due), self._pause_until_s) - now_s if due else None

    def delivered(self, call_id: str) -> None:
        """Remove the event that was sent."""
        self._failures = 0
        self._finish(call_id)

    def dropped(self, call_id: str) -> None:
        """Remove an event that is not sent any more; says nothing about the receiver."""
        self._finish(call_id)

    def refused(self, call_id: str, now_s: float) -> None:
        """Try this event again later; the receiver works."""
        self._failures = 0
        lane = self._end(call_id)
        lane.failures += 1
        lane.due_s = now_s + pause_s(lane.failures)

    def failed(self, call_id: str, now_s: float, retry_after_s: float = 0.0) -> None:
        """Leave the receiver alone for a while; it asked for `retry_after_s`, or could not."""
        self._failures += 1
        self._end(call_id)
        wait = max(pause_s(self._failures), min(retry_after_s, LONGEST_PAUSE_S))
        self._pause_until_s = now_s + wait

    def _end(self, call_id: str) -> _Lane[E]:
        lane = self._lanes[call_id]
        lane.is_sending = False
        self._sending -= 1
        return lane

    def _finish(self, call_id: str) -> None:
        lane = self._end(call_id)
        lane.waiting.popleft()
        lane.failures, lane.due_s = 0, 0.0
        del self._lanes[call_id]
        if lane.waiting:  # behind the other calls: none of them waits for a long call
            self._lanes[call_id] = lane
