"""ModelStream: what a model writes, read by a task of its own, so that it outlasts a cut reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from gateway.providers.contracts import ReplyEvent

_AHEAD = 256
"""Events that may wait to be taken: some kilobytes of text."""


class ModelStream:
    """The events of one request.  A cancelled reader has lost none: another goes on with them."""

    def __init__(self, group: asyncio.TaskGroup, events: AsyncGenerator[ReplyEvent, None]) -> None:
        """Begin to read.

        Args:
            group: owns the task.
            events: closed at their end and by `close`.
        """
        self._queue: asyncio.Queue[ReplyEvent | Exception | None] = asyncio.Queue(_AHEAD)
        self._task = group.create_task(self._read(events))

    async def __aiter__(self) -> AsyncIterator[ReplyEvent]:
        """Yield what comes, to one reader at a time.  Raises what the model raised."""
        while (event := await self._queue.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def close(self) -> None:
        """Ask the model for no more.  Idempotent."""
        self._task.cancel()

    async def _read(self, events: AsyncGenerator[ReplyEvent, None]) -> None:
        try:
            async for event in events:
                await self._queue.put(event)
        except Exception as error:  # noqa: BLE001  # handed on to the reader
            await self._queue.put(error)
        finally:
            await events.aclose()
        await self._queue.put(None)
