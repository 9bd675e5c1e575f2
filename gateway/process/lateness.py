"""How late the event loop is: the one figure that tells a busy worker from a stuck one."""

from __future__ import annotations

import asyncio

_STEP_S = 0.1


class LoopLateness:
    """Sleeps briefly, over and over, and notes how much longer it took."""

    def __init__(self) -> None:
        self._worst_s = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + _STEP_S
            await asyncio.sleep(_STEP_S)
            self._worst_s = max(self._worst_s, loop.time() - due_s)

    def take(self) -> float:
        """Give the worst since the last time this was asked, in seconds."""
        worst_s, self._worst_s = self._worst_s, 0.0
        return worst_s
