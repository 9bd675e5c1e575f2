"""Heartbeats of a worker, and how late its event loop is."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Literal

HEARTBEAT_S = 1.0
"""Between two heartbeats, and how long an answer may take."""
LOST_FACTOR = 4
"""Multiple of `workers.stuck_after_s` after which a worker counts as lost."""

Condition = Literal["healthy", "stuck", "lost"]
"""stuck: give it no calls; lost: end it."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The outcome of one heartbeat."""

    answered: bool
    loop_late_s: float = 0.0
    """Longest recent delay of the worker's event loop."""
    clock_late_s: float = 0.0
    """How long ago the media clock last ticked, beyond one tick."""


class HeartbeatMonitor:
    """The heartbeats of one worker."""

    def __init__(self, stuck_after_s: float) -> None:
        """Begin.

        Args:
            stuck_after_s: `workers.stuck_after_s`.
        """
        self._stuck_after_s = stuck_after_s
        self._silent_s = 0.0
        self._unhealthy_s = 0.0

    def judge(self, beat: Heartbeat) -> Condition:
        """Judge the worker by one more heartbeat."""
        self._silent_s = 0.0 if beat.answered else self._silent_s + HEARTBEAT_S
        late_s = max(self._silent_s, beat.loop_late_s, beat.clock_late_s)
        if beat.answered and late_s < self._stuck_after_s:
            self._unhealthy_s = 0.0
            return "healthy"
        self._unhealthy_s += HEARTBEAT_S
        if self._unhealthy_s >= LOST_FACTOR * self._stuck_after_s:
            return "lost"
        return "stuck" if late_s >= self._stuck_after_s else "healthy"


_STEP_S = 0.1
_STEPS = 25
"""What is remembered: more than the time between two heartbeats."""


class LoopLateness:
    """Measures how much later than due short sleeps end."""

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=_STEPS)

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + _STEP_S
            await asyncio.sleep(_STEP_S)
            self._late_s.append(loop.time() - due_s)

    @property
    def worst_s(self) -> float:
        """Longest recent delay of the event loop, in seconds."""
        return max(self._late_s, default=0.0)
