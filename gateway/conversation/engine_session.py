"""EngineSession: what an engine keeps for one conversation, warm before it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from gateway.errors import ProviderError

S = TypeVar("S")
Open = Callable[[str], AbstractAsyncContextManager[S]]


class EngineSession(Generic[S]):
    """A session that can be dropped and opened again.  Loop thread only."""

    def __init__(self, opening: Open[S], call_id: str, group: asyncio.TaskGroup) -> None:
        """Begin to open it.

        Args:
            opening: `open_session` of the engine.
            call_id: the gateway's.
            group: owns the session.
        """
        self._opening = opening
        self._call_id = call_id
        self._group = group
        self._holder: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[S] | None = None
        self.begin()

    @classmethod
    def of(cls, engine: object, call_id: str, group: asyncio.TaskGroup) -> EngineSession[S] | None:
        """Begin to open a session at an engine; None where it has no `open_session(call_id)`."""
        opening: Open[S] | None = getattr(engine, "open_session", None)
        return None if opening is None else cls(opening, call_id, group)

    @property
    def current(self) -> S | None:
        """The open session; None while it is being opened, and when that has failed."""
        ready = self._ready
        if ready is None or not ready.done() or ready.cancelled() or ready.exception():
            return None
        return ready.result()

    @property
    def has_failed(self) -> bool:
        """True when it could not be opened, which `get` reports."""
        return self._ready is not None and self._ready.done() and self.current is None

    def begin(self) -> None:
        """Open the session unless that was begun already."""
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._holder = self._group.create_task(self._hold(self._ready))

    async def get(self) -> S:
        """Return the session, once it is open.

        Raises:
            ProviderError: it cannot be opened; `drop` it to have another try.
        """
        self.begin()
        assert self._ready is not None  # noqa: S101 - begin sets it
        return await asyncio.shield(self._ready)

    def drop(self) -> None:
        """End the session; the next `begin` or `get` opens another.  Idempotent."""
        if self._holder is not None:
            self._holder.cancel()
        self._holder = self._ready = None

    async def _hold(self, ready: asyncio.Future[S]) -> None:
        try:
            async with self._opening(self._call_id) as session:
                ready.set_result(session)
                await asyncio.Event().wait()  # until cancelled
        except ProviderError as error:
            if not ready.done():
                ready.set_exception(error)
                ready.exception()  # a call that never needs the session asks for nothing
        finally:
            ready.cancel()
