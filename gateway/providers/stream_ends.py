"""StreamEnds: what a server sends behind the end of a reply, read while the reply goes on.

It may be what the reply has cost, and it must be read before the connection can be used again; some
servers send nothing of it and hold the connection open.  No text and no tool call waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, suppress

import httpx2

from gateway.providers.contracts import Usage
from gateway.providers.event_stream import EndlessLineError, EventReader
from gateway.providers.reply_parts import ReplyParts

SOON_S = 0.03
"""Most servers send the rest at once: then it belongs to the reply.  No reply waits for longer."""
LONGEST_S = 2.0
"""Time limit for reading the rest; the connection is closed then."""


class StreamEnds:
    """The ends of one provider's streams.  Loop thread only."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.are_slow = False
        """The latest came late, or not at all: the next is not waited for."""

    def read(
        self,
        stack: AsyncExitStack,
        lines: AsyncGenerator[str, None],
        reader: EventReader,
        reply: ReplyParts,
        tell: Callable[[Usage], None] | None,
    ) -> StreamEnd:
        """Begin to read the end of a stream.

        Args:
            stack: holds the response, and is closed with it.
            lines: the rest of the response.
            reader: has read it so far.
            reply: accepts the report of its cost.
            tell: is given the cost that came too late for `StreamEnd.soon`.
        """
        end = StreamEnd(self, reply, tell)
        # It outlives the reply, whose task group would wait for it: `close` ends it at the latest.
        end.task = asyncio.get_running_loop().create_task(end.run(stack, lines, reader))
        self._tasks.add(end.task)
        end.task.add_done_callback(self._tasks.discard)
        return end

    async def close(self) -> None:
        """Read nothing more.  Idempotent."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class StreamEnd:
    """One of them."""

    task: asyncio.Task[None]

    def __init__(
        self, ends: StreamEnds, reply: ReplyParts, tell: Callable[[Usage], None] | None
    ) -> None:
        self._ends = ends
        self._reply = reply
        self._tell = tell
        self._told: Usage | None = None

    async def soon(self) -> Usage | None:
        """Wait for it for at most `SOON_S`; return what is known then of the cost."""
        await asyncio.wait({self.task}, timeout=0 if self._ends.are_slow else SOON_S)
        self._told = self._reply.usage
        return self._told

    async def run(
        self, stack: AsyncExitStack, lines: AsyncGenerator[str, None], reader: EventReader
    ) -> None:
        """Read to the end, but not for ever."""
        time = asyncio.get_running_loop().time
        begun_s = time()
        try:
            async with stack:
                with suppress(TimeoutError, httpx2.HTTPError, EndlessLineError):
                    async with asyncio.timeout(LONGEST_S):
                        async for line in lines:
                            for value in reader.feed(line):
                                self._reply.feed_usage(value)
        finally:
            self._ends.are_slow = time() - begun_s > SOON_S
            usage = self._reply.usage
            if usage is not None and usage != self._told and self._tell is not None:
                self._tell(usage)
