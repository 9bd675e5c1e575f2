"""ToolLoops: where async tools run, so that one which blocks freezes no call and no other tool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import structlog

from gateway.threads import LoopThread

T = TypeVar("T")
STALLED_S = 1.0
"""A loop that has not turned for this time is blocked; its tools may still end."""
_LOOK_S = 0.25

log = structlog.get_logger(__name__)


class ToolLoops:
    """Loops on threads of their own; all tools share one until it is blocked."""

    def __init__(self) -> None:
        self._open: LoopThread | None = None
        self._running: dict[LoopThread, int] = {}
        self._made = 0

    async def run(self, name: str, make: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run an async tool.  Cancelling cancels it and waits for nothing.

        Args:
            name: of the tool, for the log.
            make: calls it.
        """
        thread = self._free()
        self._running[thread] = self._running.get(thread, 0) + 1
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(thread))
                try:
                    return await thread.run(name, make)
                except Exception as error:  # noqa: BLE001  # the group would wrap it
                    failure = error
                finally:
                    watch.cancel()
            raise failure
        finally:
            self._given_back(thread)

    def close(self) -> None:
        """End the threads; waits for none."""
        for thread in {*self._running, *filter(None, [self._open])}:
            thread.close()
        self._running.clear()
        self._open = None

    def _free(self) -> LoopThread:
        if self._open is None:
            self._made += 1
            self._open = LoopThread(f"tools-{self._made}")
        return self._open

    async def _watch(self, thread: LoopThread) -> None:
        """Report once which tool blocks a loop, and start no other tool there."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if thread is self._open and thread.stalled_s() >= STALLED_S:
                self._open = None
                name, where = thread.culprit()
                log.warning(
                    "tool_blocks", tool=name, at=where, blocked_s=STALLED_S,
                    hint="an async tool must not block: await, or make it a plain function",
                )  # fmt: skip

    def _given_back(self, thread: LoopThread) -> None:
        if thread not in self._running:
            return
        self._running[thread] -= 1
        if not self._running[thread]:
            del self._running[thread]
            if thread is not self._open:
                thread.close()
