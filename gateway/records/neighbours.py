"""Gateways that share a database: who is alive, and what each has to delete from its disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from gateway.errors import DatabaseTrouble, StoreTrouble
from gateway.records import call_table
from gateway.records.bundles import Bundles
from gateway.records.database import Database
from gateway.records.tables import row_of

log = structlog.get_logger(__name__)

_BEAT_S = 10.0
LOST_AFTER = timedelta(minutes=5)
"""The calls of a gateway that was not heard of for so long are over."""
GONE_AFTER = timedelta(days=1)
"""The others delete what is too old of it."""


class Neighbours:
    """Runs where the database is shared."""

    def __init__(
        self, database: Database, bundles: Bundles, forget: Callable[[str], Awaitable[None]]
    ) -> None:
        self._database = database
        self._bundles = bundles
        self._forget = forget

    async def run(self) -> None:
        """Work until cancelled; trouble with the database is the clerk's to tell."""
        while True:
            try:
                await self.advance(datetime.now(UTC))
            except DatabaseTrouble:
                pass
            except (StoreTrouble, OSError) as error:
                log.warning("bundle_not_deleted", problem=str(error))
            await asyncio.sleep(_BEAT_S)

    async def advance(self, now: datetime) -> None:
        """Do it once.  Raises DatabaseTrouble, StoreTrouble, OSError."""
        host = self._bundles.host
        await self._database.write(partial(call_table.beat, host=host, now=now))
        for call_id in await self._database.read(partial(call_table.deletions_of, host=host)):
            await self._forget(call_id)
            await self._database.write(partial(call_table.deletion_done, call_id=call_id))
            log.info("call_deleted", call_id=call_id, by="another gateway")
        ended = await self._database.write(partial(_end_lost_calls, now=now))
        if ended:
            log.warning("calls_of_lost_gateways_ended", calls=ended)

    async def hosts_to_clean(self) -> list[str]:
        """List this gateway and those that are gone for good.  Raises DatabaseTrouble."""
        before = datetime.now(UTC) - GONE_AFTER
        gone = await self._database.read(partial(call_table.hosts_unseen_since, moment=before))
        return [self._bundles.host, *gone]


def _end_lost_calls(db: Connection, now: datetime) -> int:
    hosts = call_table.hosts_unseen_since(db, now - LOST_AFTER)
    lost = call_table.active_of(db, hosts)
    text = "its gateway has not been heard of since"
    call_table.write(
        db,
        [
            row_of(
                found.record.ended(now, "worker_lost", text),
                found.host,
                has_audio=found.has_audio,
                is_stored=found.is_stored,
            )
            for found in lost
        ],
    )
    return len(lost)
