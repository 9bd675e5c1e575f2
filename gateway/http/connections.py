"""Connections without a whole request: few, short, and the first to go when room is needed.

A connection costs a descriptor before the client has identified itself.  So each has seconds for a
whole request, and there are bounds for all and per source.  A client that comes when they are
reached is not turned away: the connection that has waited longest without a request is closed
instead, so that silent ones keep no client out, on whichever side of a proxy they are.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.allowance import LogLimiter
from gateway.telemetry.process import read_usage

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

REQUEST_S = 8.0
"""How long a whole request may take, head and body; bytes in between do not make it longer."""
IDLE_S = 5
"""How long a connection is kept for the next request."""
_MOST = 256
_FEWEST = 8
EVENTS_PATH = "/v1/events"
_STALLED_S = 60.0
"""How long a client may leave a full buffer of events unread."""
_UNREAD_S = 5.0
"""How long a client may leave its answer unread when the connection is to be closed."""


class Closable(Protocol):
    """A connection."""

    def drop(self, reason: str) -> None:
        """Close it at once."""


class Connections:
    """Which connections there are and which wait for a request.  Pure bookkeeping."""

    def __init__(self, most: int, most_per_source: int) -> None:
        self._most = most
        self._most_per_source = most_per_source
        self._sources: dict[Closable, str] = {}
        self._waiting: dict[Closable, None] = {}
        """In the order in which they began to wait."""
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._sources)

    def add(self, connection: Closable, source: str) -> Closable | None:
        """Take a new connection; return the one that has to go for it, perhaps itself."""
        self._sources[connection] = source
        self._counts[source] += 1
        self._waiting[connection] = None
        if self._counts[source] > self._most_per_source:
            return self._longest_waiting(source)
        if len(self._sources) > self._most:
            # Of the source that has most: it cannot push out the others.
            return self._longest_waiting(self._counts.most_common(1)[0][0])
        return None

    def has_request(self, connection: Closable) -> None:
        """A whole request came: it is not in the way any more."""
        self._waiting.pop(connection, None)

    def waits(self, connection: Closable) -> None:
        """It was answered and waits for the next request."""
        if connection in self._sources:
            self._waiting.setdefault(connection, None)

    def remove(self, connection: Closable) -> None:
        """It is closed.  Idempotent."""
        source = self._sources.pop(connection, None)
        self._waiting.pop(connection, None)
        if source is not None:
            self._counts[source] -= 1
            if not self._counts[source]:
                del self._counts[source]

    def _longest_waiting(self, source: str) -> Closable:
        """Of a source; the newest of all when none waits: it is the only one without a claim."""
        newest = next(reversed(self._sources))
        return next((c for c in self._waiting if self._sources[c] == source), newest)


def room_for_connections() -> int:
    """Return how many connections may be open: half of the free descriptors, the rest is kept.

    Records, database, store and workers open files, too.  Raises OSError.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(_FEWEST, min(_MOST, (soft - read_usage().open_files) // 2))


def guarded_protocol(most: int) -> type[H11Protocol]:
    """Make uvicorn's HTTP/1.1 protocol with these bounds; one class per server."""
    table = Connections(most, max(_FEWEST, most // 2))
    limiter = LogLimiter()

    class Guarded(_GuardedConnection):
        """One connection of this server."""

        connection_table = table

        def tell(self, reason: str) -> None:
            if limiter.passes(reason, time.monotonic()):
                log.info(
                    "http_connection_closed", reason=reason, open=len(table),
                    peer=self.client[0] if self.client else "",
                    not_logged=limiter.held_back(reason),
                )  # fmt: skip

    return Guarded


class _GuardedConnection(H11Protocol):
    """Adds a deadline for the request and a place in the table."""

    connection_table: Connections
    tell: Callable[[str], None]
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place; the connection that has waited longest may lose its own."""
        super().connection_made(transport)
        victim = self.connection_table.add(self, self.client[0] if self.client else "")
        if victim is not None:
            victim.drop("too_many")
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the place."""
        self._stop_waiting()
        if self._unread is not None:
            self._unread.cancel()
        self.connection_table.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; only a whole request ends the wait."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.transport.get_protocol() is self and not self.transport.is_closing():
            self._settle()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Give up the place: the connection goes to another process, or is closed."""
        self._stop_waiting()
        self.connection_table.remove(self)
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Wait for the next request, or serve what came with the last."""
        super().on_response_complete()
        self._settle()

    def pause_writing(self) -> None:
        """Give a client that does not read its events a while to read on."""
        super().pause_writing()
        scope: Any = self.scope
        if scope and scope["path"] == EVENTS_PATH:  # a download may be as slow as it likes
            self._unread = self.loop.call_later(_STALLED_S, self.drop, "reads_nothing")

    def resume_writing(self) -> None:
        """Go on: it has read."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        """Close it when no other request came; a client that reads nothing cannot keep it."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(_UNREAD_S, self.transport.abort)

    def drop(self, reason: str) -> None:
        """Close it at once."""
        self.tell(reason)
        self.connection_table.remove(self)
        self.transport.abort()

    def _settle(self) -> None:
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            self._stop_waiting()
            self.connection_table.has_request(self)
            return
        self.connection_table.waits(self)
        if self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]:
            self._expect_request()  # what has begun must end; else the idle timer runs
        elif cycle is not None:
            self._stop_waiting()

    def _expect_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self.drop, "no_request")

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
