"""Attempts: requests to several engines at once, each read by a task of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

from gateway.errors import ProviderError

T = TypeVar("T")


class Attempt(Generic[T]):
    """What one engine yields, as far as it has come."""

    def __init__(
        self,
        name: str,
        items: AsyncGenerator[T, None],
        news: asyncio.Event,
        group: asyncio.TaskGroup,
    ) -> None:
        """Begin to read.

        Args:
            name: of the engine.
            items: closed at their end and by `Attempts.drop`.
            news: set whenever there is more, or an end.
            group: owns the task.
        """
        self.name = name
        self.items: deque[T] = deque()
        self.is_over = False
        """It yields nothing more, or has failed."""
        self.error: Exception | None = None
        self._news = news
        self.task = group.create_task(self._read(items))

    async def _read(self, items: AsyncGenerator[T, None]) -> None:
        try:
            async for item in items:
                self.items.append(item)
                self._news.set()
        except Exception as error:  # noqa: BLE001  # handed on to the reader
            self.error = error
        finally:
            self.is_over = True
            self._news.set()
            await items.aclose()


class Attempts(Generic[T]):
    """Owns the attempts of one request: leaving its block ends all of them."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._running: dict[str, Attempt[T]] = {}

    async def __aenter__(self) -> Attempts[T]:
        """Return it."""
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel what still runs and see it end."""
        try:
            for attempt in self._running.values():
                attempt.task.cancel()
        finally:  # a generator that is closed has no error that concerns them
            await self._group.__aexit__(None, None, None)

    def begin(self, name: str, items: AsyncGenerator[T, None]) -> Attempt[T]:
        """Ask one more engine."""
        self._running[name] = attempt = Attempt(name, items, self.news, self._group)
        return attempt

    def __getitem__(self, name: str) -> Attempt[T]:
        """Return the attempt of an engine."""
        return self._running[name]

    def error_of(self, name: str) -> ProviderError | None:
        """Return what ended an attempt, if it has failed.  Raises any other error."""
        error = self._running[name].error
        if error is None or isinstance(error, ProviderError):
            return error
        raise error

    async def drop(self, name: str) -> Attempt[T]:
        """Give one up; return what had come of it."""
        attempt = self._running.pop(name)
        attempt.task.cancel()
        await asyncio.wait([attempt.task])
        return attempt

    async def wait(self, until: float | None) -> bool:
        """Wait for news of any of them; False = there were none until a time of the loop."""
        try:
            async with asyncio.timeout_at(until):
                await self.news.wait()
        except TimeoutError:
            return False
        self.news.clear()
        return True
