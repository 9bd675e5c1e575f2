"""How late the event loop is: the one figure that tells a busy worker from a stuck one."""

from __future__ import annotations

import asyncio
from collections import deque

_STEP_S = 0.1
_STEPS = 25
"""What is remembered: more than the time between two heartbeats."""


class LoopLateness:
    """Sleeps briefly, over and over, and notes how much longer it took."""

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
        """The longest that anybody was held up lately, in seconds."""
        return max(self._late_s, default=0.0)
