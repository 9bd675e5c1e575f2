"""Connections that are opened before they are needed, for vendors where an idle one costs nothing.

A call then waits for the session alone, not for name resolution, TCP, TLS and the handshake.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import structlog

from gateway.errors import ProviderError, ProviderRejected
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.websocket import Socket, opened

log = structlog.get_logger(__name__)

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_SHORT_S = 5.0
"""A connection that is closed so soon is no better than one that was refused."""


class WarmSockets:
    """Keeps connections open that no call has yet.  Loop thread only."""

    def __init__(self, endpoint: Callable[[], Endpoint], longest_s: float) -> None:
        """Start without any.

        Args:
            endpoint: where each is opened to; its `attempts` do not count.
            longest_s: an idle one is replaced after this time.
        """
        self._endpoint = endpoint
        self._longest_s = longest_s
        self._wanted = 0
        self._tasks: dict[asyncio.Task[None], Socket | None] = {}
        """Each opens one and guards it until it is taken."""

    @property
    def ready(self) -> int:
        """Number of connections that can be taken."""
        return sum(socket is not None and socket.is_open for socket in self._tasks.values())

    def keep(self, count: int) -> None:
        """Keep this number of idle connections from now on; those beyond it are cut."""
        self._wanted = count
        for task in list(self._tasks)[count:]:
            task.cancel()
        self._fill()

    def take(self) -> Socket | None:
        """Return an open connection, which is the caller's to end; None where none is ready."""
        for task, socket in self._tasks.items():
            if socket is not None and socket.is_open:
                self._tasks[task] = None
                task.cancel()
                return socket
        return None

    @asynccontextmanager
    async def connected(self, endpoint: Endpoint) -> AsyncGenerator[Socket, None]:
        """Take a connection, or open one, and end it with the block, as `websocket.connected`.

        Raises:
            ProviderError: no connection; or what `Socket` raises inside.
        """
        link = self.take() or await opened(endpoint)
        try:
            yield link
        except BaseException:
            await link.end(at_once=True)
            raise
        else:
            await link.end(at_once=False)

    async def close(self) -> None:
        """Cut those that are idle.  Idempotent."""
        self.keep(0)
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _fill(self) -> None:
        alive = sum(not task.cancelling() for task in self._tasks)
        for _ in range(self._wanted - alive):
            task = asyncio.get_running_loop().create_task(self._hold())
            self._tasks[task] = None
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and task.exception() is not None:
            log.error("warm_session_crashed", exc_info=task.exception())
        self._fill()

    async def _hold(self) -> None:
        """Open connections one after the other until one is taken, or none is wanted."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            if failures:
                await asyncio.sleep(_wait_s(failures))
            began_s = loop.time()
            try:
                await self._guard()
            except ProviderError as error:
                failures += 1
                refused = isinstance(error, ProviderRejected)
                if failures == 1:  # once: a vendor may be gone for hours
                    log.warning("warm_session_failed", problem=str(error), cause=error.kind)
                failures += 3 * refused  # it will not change soon
            else:
                failures = failures + 1 if loop.time() - began_s < _SHORT_S else 0

    async def _guard(self) -> None:
        """Keep one until it is taken, closed by the vendor, or too old."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - `_hold` is one
        socket = await opened(self._endpoint())
        self._tasks[task] = socket
        try:
            async with asyncio.timeout(self._longest_s):
                await socket.closed()
        except TimeoutError:
            pass
        finally:
            if self._tasks[task] is socket:  # else a call has it
                self._tasks[task] = None
                await socket.end(at_once=True)


def _wait_s(failures: int) -> float:
    usual_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures - 1, 8))
    return usual_s * (0.5 + 0.5 * random.random())  # noqa: S311 - not in step with others
