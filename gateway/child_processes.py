"""Child processes: how to end one, and how long to wait before starting it again."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress


async def end_child(process: asyncio.subprocess.Process, timeout_s: float) -> bool:
    """End a child, politely first.

    Returns:
        False when it did not end by itself within `timeout_s` and was killed.
    """
    if process.returncode is not None:
        return True
    with suppress(ProcessLookupError):
        # Not `terminate()`: it collects a child that has just ended, and the loop's own watcher
        # then complains that it never knew it.
        os.kill(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(timeout_s):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return True


MIN_S, MAX_S = 0.5, 30.0
HEALTHY_S = 60.0
"""Lifetime in seconds after which the next start is tried soon again."""


class BackOff:
    """Doubles the waiting time with every early end."""

    def __init__(self) -> None:
        self._next_s = MIN_S

    def after(self, lived_s: float) -> float:
        """Return the wait in seconds after an end.

        Args:
            lived_s: from the start to the end.
        """
        wait_s = MIN_S if lived_s >= HEALTHY_S else self._next_s
        self._next_s = min(wait_s * 2, MAX_S)
        return wait_s
