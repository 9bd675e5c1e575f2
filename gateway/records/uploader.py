"""Uploader: brings finished bundles to the object store, from a queue on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway.errors import StoreTrouble
from gateway.records.local_bundles import Bundles, Ticket
from gateway.records.object_store import BundleStore

log = structlog.get_logger(__name__)

AT_ONCE = 4
_LOOK_S = 1.0
_RETRY_MIN_S, _RETRY_MAX_S = 1.0, 60.0


class Uploader:
    """One per gateway.  What is uploaded is queued for the indexer, which then frees the disk."""

    def __init__(
        self,
        store: BundleStore,
        bundles: Bundles,
        on_error: Callable[[], None],
        on_waiting: Callable[[int], None],
    ) -> None:
        self._store = store
        self._bundles = bundles
        self._on_error = on_error
        self._on_waiting = on_waiting
        self._delay_s = 0.0
        """Of the next attempt; 0 while all is well."""
        self._refused: set[str] = set()
        """Tried after all others: one that cannot be uploaded holds up nothing behind it."""

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.advance()
            await asyncio.sleep(self._delay_s or _LOOK_S)

    async def advance(self) -> None:
        """Upload what waits, until something fails."""
        tickets = self._bundles.to_store.tickets()
        self._refused &= {ticket.call_id for ticket in tickets}
        tickets.sort(key=lambda ticket: ticket.call_id in self._refused)
        self._on_waiting(len(tickets))
        for start in range(0, len(tickets), AT_ONCE):
            async with self._bundles.uploading, asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._upload(ticket))
                    for ticket in tickets[start : start + AT_ONCE]
                ]
            troubles = [trouble for task in tasks if (trouble := task.result()) is not None]
            if troubles:
                self._failed(troubles[0])
                return
            self._on_waiting(max(0, len(tickets) - start - AT_ONCE))
        self._recovered()

    async def _upload(self, ticket: Ticket) -> StoreTrouble | OSError | None:
        """Upload one bundle; return what went wrong, so that the others are not cancelled."""
        local = self._bundles.local
        try:
            if local.read(ticket.call_id) is not None:  # else it was deleted meanwhile
                await self._store.put(ticket.call_id, local.folder(ticket.call_id))
                local.mark_stored(ticket.call_id)
                self._bundles.to_index.put(ticket.call_id)
            ticket.done()
        except (StoreTrouble, OSError) as error:
            self._refused.add(ticket.call_id)
            return error
        return None

    def _failed(self, error: StoreTrouble | OSError) -> None:
        self._on_error()
        if not self._delay_s:
            log.warning("bundles_not_uploaded", problem=str(error))
        self._delay_s = min(max(self._delay_s * 2, _RETRY_MIN_S), _RETRY_MAX_S)

    def _recovered(self) -> None:
        if self._delay_s:
            log.info("bundles_uploaded")
        self._delay_s = 0.0
