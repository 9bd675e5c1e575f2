"""Call indexer: tell the database what happens to bundles, from a queue on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Connection

from gateway.errors import DatabaseTrouble
from gateway.records import call_table
from gateway.records.database import Database
from gateway.records.local_bundles import Bundles, Ticket, call_ids
from gateway.records.tables import row_of

log = structlog.get_logger(__name__)

BATCH = 200
_LOOK_S = 0.5
_RETRY_MIN_S, _RETRY_MAX_S = 1.0, 30.0


class CallIndexer:
    """One per gateway.  A database that is gone leaves the queue where it is."""

    def __init__(
        self,
        database: Database,
        bundles: Bundles,
        on_error: Callable[[], None],
        on_waiting: Callable[[int], None],
    ) -> None:
        self._database = database
        self._bundles = bundles
        self._on_error = on_error
        self._on_waiting = on_waiting
        self._delay_s = 0.0
        """Of the next attempt; 0 while all is well."""
        self._looked_at: set[str] = set()
        self._is_reconciled = False

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.drain()
                if not self._is_reconciled:
                    await self._reconcile()
                    await self.drain()
                self._recovered()
            except (DatabaseTrouble, OSError) as error:
                self._failed(error)
            await asyncio.sleep(self._delay_s or _LOOK_S)

    async def catch_up(self) -> None:
        """Notify the database at once what it does not know yet, unless that would take long.

        Raises:
            DatabaseTrouble: it is gone.
        """
        if not self._delay_s and len(self._bundles.to_index.tickets()) <= BATCH:
            await self.drain()

    async def drain(self) -> None:
        """Notify the database all that waits.  Raises DatabaseTrouble, OSError."""
        async with self._bundles.changing:
            tickets = self._bundles.to_index.tickets()
            self._on_waiting(len(tickets))
            await self._database.disk(lambda: self._pass_to_store(tickets))
            for start in range(0, len(tickets), BATCH):
                await self._write(tickets[start : start + BATCH])
                self._on_waiting(max(0, len(tickets) - start - BATCH))
            self._looked_at.clear()

    def _pass_to_store(self, tickets: Sequence[Ticket]) -> None:
        """Queue the finished ones for the object store, whether there is a database or not."""
        bundles = self._bundles
        for ticket in tickets if bundles.has_store else ():
            if ticket.path.name not in self._looked_at:
                record = bundles.local.read(ticket.call_id)
                is_finished = record is not None and record.state == "finished"
                if is_finished and not bundles.local.is_stored(ticket.call_id):
                    bundles.to_store.put(ticket.call_id, once=True)
                self._looked_at.add(ticket.path.name)

    async def _write(self, tickets: Sequence[Ticket]) -> None:
        try:
            gone = await self._database.write(lambda db: self._tell(db, tickets))
        except DatabaseTrouble as error:
            if error.is_outage:
                raise
            await self._write_singly(tickets, error)
            return
        await self._database.disk(lambda: self._tidy(tickets, gone))

    async def _write_singly(self, tickets: Sequence[Ticket], error: DatabaseTrouble) -> None:
        """Write one by one: the faulty one must not hold up the others."""
        if len(tickets) > 1:
            for ticket in tickets:
                await self._write([ticket])
            return
        for ticket in tickets:
            self._on_error()
            log.error("call_not_indexed", call_id=ticket.call_id, problem=error.reason)
            ticket.done()

    def _tell(self, db: Connection, tickets: Sequence[Ticket]) -> set[str]:
        local = self._bundles.local
        wanted = sorted({ticket.call_id for ticket in tickets})
        gone = call_table.is_deleted(db, wanted)
        rows = []
        for call_id in wanted:
            record = None if call_id in gone else local.read(call_id)
            if record is None and not local.folder(call_id).exists():
                call_table.remove_unstored(db, call_id)
            if record is not None:
                has_audio = local.audio(call_id) is not None
                is_stored = local.is_stored(call_id)
                host = self._bundles.host
                rows.append(row_of(record, host, has_audio=has_audio, is_stored=is_stored))
        call_table.write(db, rows)
        return gone

    def _tidy(self, tickets: Sequence[Ticket], gone: set[str]) -> None:
        bundles = self._bundles
        for ticket in tickets:
            is_stored = bundles.local.is_stored(ticket.call_id)
            if ticket.call_id in gone or (is_stored and not bundles.keep_local):
                try:
                    bundles.local.remove(ticket.call_id)
                except OSError as error:  # tried again at the next start; the others go on
                    log.warning("bundle_not_removed", call_id=ticket.call_id, problem=str(error))
            ticket.done()

    async def _reconcile(self) -> None:
        """Queue what the database does not know: it may be new, lost, or an old copy."""
        bundles, missed = self._bundles, 0
        for day in await self._database.disk(bundles.local.days):
            missed += await self._database.write(partial(queue_unknown, day, bundles))
        if not self._database.is_shared:
            await self._database.write(partial(forget_lost, bundles))
        if missed:
            log.info("calls_to_be_indexed", calls=missed)
        self._is_reconciled = True

    def _failed(self, error: DatabaseTrouble | OSError) -> None:
        self._on_error()
        if not self._delay_s:
            log.warning("call_index_behind", problem=str(error))
            # Other gateways may act for one that does not reach the database.
            self._is_reconciled = self._is_reconciled and not self._database.is_shared
        self._delay_s = min(max(self._delay_s * 2, _RETRY_MIN_S), _RETRY_MAX_S)

    def _recovered(self) -> None:
        if self._delay_s:
            log.info("call_index_up_to_date")
        self._delay_s = 0.0


_AFTER_ANY_ID = "~"


def queue_unknown(day: Path, bundles: Bundles, db: Connection) -> int:
    """Queue the bundles of a day of which the database says less than this disk.

    It has them not, not as finished, or without the audio that is here (another gateway deleted
    that from the store while this one was away).  Also those that an object store is to get and
    has not, or has while they should no longer be here.

    Returns:
        How many the database did not know.  Raises OSError.
    """
    prefix = day.name.replace("-", "")
    known = call_table.ids(db, prefix, prefix + _AFTER_ANY_ID)
    unknown = 0
    for call_id in call_ids(day):
        found = known.get(call_id)
        unknown += found is None
        is_known = found is not None and found.state == "finished"
        has_more = found is not None and not found.has_audio and bundles.local.audio(call_id)
        is_misplaced = bundles.has_store and not (
            bundles.keep_local and bundles.local.is_stored(call_id)
        )
        if not is_known or has_more or is_misplaced:
            bundles.to_index.put(call_id)
    return unknown


def queue_all(bundles: Bundles) -> int:
    """Queue every bundle on disk; return how many.  Raises OSError."""
    count = 0
    for day in bundles.local.days():
        for call_id in call_ids(day):
            bundles.to_index.put(call_id, once=True)
            count += 1
    return count


def forget_lost(bundles: Bundles, db: Connection) -> None:
    """Delete the rows of calls whose bundle is neither here nor in a store.

    For SQLite only, whose file lies beside the bundles: a copy of it that was put back must not
    bring back what was deleted since.
    """
    for call_id in call_table.unstored_ids(db):
        if not bundles.local.folder(call_id).exists():
            call_table.remove(db, call_id)
