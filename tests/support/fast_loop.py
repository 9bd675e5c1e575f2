"""An event loop with real sockets whose waits are short: its clock runs while it waits, and faster.

What a busy machine takes away does not count: between two waits the clock stands still, and a wait
that lasts too long has lasted as long as it was to.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class FastLoop(asyncio.SelectorEventLoop):
    """A second of waiting takes 1 / `speed` seconds; `time()` starts at 0."""

    def __init__(self, speed: float) -> None:
        self.now_s = 0.0
        super().__init__(_ShortSelector(self, speed))

    def time(self) -> float:
        return self.now_s


class _ShortSelector(selectors.DefaultSelector):
    def __init__(self, loop: FastLoop, speed: float) -> None:
        super().__init__()
        self._loop = loop
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not timeout:
            return super().select(timeout)
        began_s = time.monotonic()
        ready = super().select(timeout / self._speed)
        waited_s = (time.monotonic() - began_s) * self._speed
        self._loop.now_s += min(waited_s, timeout) if ready else timeout
        return ready


def run(main: Coroutine[Any, Any, T], speed: float) -> T:
    """Run to the end."""
    with asyncio.Runner(loop_factory=lambda: FastLoop(speed)) as runner:
        return runner.run(main)
