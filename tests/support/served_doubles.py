"""Doubles of engines that run on a loop of their own, beside the tests of a whole file."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar

from tests.support.engine_double import EngineDouble

_LIMIT_S = 20.0
T = TypeVar("T")


class Served:
    """The thread in which they run."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stack = AsyncExitStack()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on their loop; return what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT_S)

    async def start(self, doubles: Iterable[EngineDouble]) -> None:
        for double in doubles:
            await self._stack.enter_async_context(double.running())

    async def stop(self) -> None:
        await self._stack.aclose()


@contextmanager
def served(doubles: Iterable[EngineDouble]) -> Iterator[Served]:
    """Serve all until the block is left."""
    serving = Served()
    serving._thread.start()
    try:
        serving.run(serving.start(doubles))
        yield serving
        serving.run(serving.stop())
    finally:
        serving._loop.call_soon_threadsafe(serving._loop.stop)
        serving._thread.join(_LIMIT_S)
        serving._loop.close()
