"""Whether a worker that is alive is well, judged by its heartbeats.  Pure.

Time is counted in heartbeats, not read from a clock: when the whole machine stood still nobody is
to blame, and one heartbeat was missed, not many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BEAT_S = 1.0
"""Between two heartbeats, and how long an answer may take."""
LOST_FACTOR = 4
"""So many times `workers.stuck_after_s` is too long to hope."""

Condition = Literal["well", "stuck", "lost"]
"""stuck: give it no calls; lost: end it."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What came back of one heartbeat."""

    answered: bool
    loop_late_s: float = 0.0
    """The longest that the worker's event loop held anybody up lately."""
    clock_late_s: float = 0.0
    """How long ago the media clock last ticked, beyond one tick."""


class Pulse:
    """The heartbeats of one worker."""

    def __init__(self, stuck_after_s: float) -> None:
        """Begin.

        Args:
            stuck_after_s: `workers.stuck_after_s`.
        """
        self._stuck_after_s = stuck_after_s
        self._silent_s = 0.0
        self._ill_s = 0.0

    def feel(self, beat: Beat) -> Condition:
        """Take one heartbeat and judge."""
        self._silent_s = 0.0 if beat.answered else self._silent_s + BEAT_S
        late_s = max(self._silent_s, beat.loop_late_s, beat.clock_late_s)
        if beat.answered and late_s < self._stuck_after_s:
            self._ill_s = 0.0
            return "well"
        self._ill_s += BEAT_S
        if self._ill_s >= LOST_FACTOR * self._stuck_after_s:
            return "lost"
        return "stuck" if late_s >= self._stuck_after_s else "well"
