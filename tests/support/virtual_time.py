"""An event loop that never waits: where it would sleep, its clock jumps.

Functions on threads take no time on that clock: it stands still until they return, so that a busy
machine changes nothing.  One that hangs is waited for once.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_HANGS_S = 1.0
"""Real time after which a function on a thread is not waited for any longer."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and goes only as far as the next timer."""

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self.now_s = 0.0
        self._jobs: dict[asyncio.Future[Any], float] = {}
        """On threads, and until when (real time) they are waited for."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        job: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self._jobs[job] = time.monotonic() + _HANGS_S
        job.add_done_callback(lambda _: self._jobs.pop(job, None))
        return job

    def real_wait_s(self) -> float:
        """How long a function on a thread may still keep the clock from jumping."""
        return max(0.0, max(self._jobs.values(), default=0.0) - time.monotonic())

    def time(self) -> float:
        return self.now_s


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0 and (wait_s := self._loop.real_wait_s()):
            ready = super().select(wait_s)
        if not ready and timeout is None:
            raise RuntimeError("nothing will ever happen: every task waits")
        if not ready and timeout:
            self._loop.now_s += timeout
        return ready


def run(main: Coroutine[Any, Any, T], limit_s: float = 600.0) -> T:
    """Run to the end, at most `limit_s` of virtual time; no task may be left over."""

    async def whole() -> T:
        async with asyncio.timeout(limit_s):
            result = await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left over: {left}"
        return result

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(whole())
