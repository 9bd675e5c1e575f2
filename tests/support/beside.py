"""Runs an asynchronous server on a loop and thread of its own: it is there before the test's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

S = TypeVar("S")


@contextmanager
def beside(server: AbstractAsyncContextManager[S]) -> Iterator[S]:
    """Enter and leave it there; what it holds may be read and set from here."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(make: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(_called(make), loop).result(20)

    try:
        entered = run(server.__aenter__)
        try:
            yield entered
        finally:
            run(lambda: server.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _called(make: Callable[[], Any]) -> Any:
    return await make()
