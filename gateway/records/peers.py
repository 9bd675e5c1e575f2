"""Peers: gateways that share a database, which are alive, and what each has to delete."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from gateway.errors import DatabaseTrouble, DiskTrouble, StoreTrouble
from gateway.records import call_table
from gateway.records.database import Database
from gateway.records.local_bundles import Bundles
from gateway.records.tables import row_of


class LivenessTracker:
    """Counts, host by host, since when the last sign of life is the same."""

    def __init__(self, longest_step_s: float) -> None:
        """Limit what one observation may add: what happened between two of them is not known."""
        self._longest_step_s = longest_step_s
        self._looked_s: float | None = None
        self._signs: dict[str, datetime] = {}
        self._silent_s: dict[str, float] = {}

    def observe(self, signs: Mapping[str, datetime], now_s: float) -> None:
        """Note the last sign of life of every host.

        Args:
            signs: host -> time of its last sign, by whatever clock.
            now_s: monotonic.
        """
        step_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        step_s = min(max(step_s, 0.0), self._longest_step_s)
        self._looked_s = now_s
        self._silent_s = {
            host: self._silent_s.get(host, 0.0) + step_s if self._signs.get(host) == sign else 0.0
            for host, sign in signs.items()
        }
        self._signs = dict(signs)

    def silent_for(self, seconds: float) -> list[str]:
        """List the hosts that have been silent for at least `seconds`."""
        return sorted(host for host, silent_s in self._silent_s.items() if silent_s >= seconds)


log = structlog.get_logger(__name__)

BEAT_S = 10.0
LOST_AFTER = timedelta(minutes=5)
"""Without a sign of life for this time, the calls of a gateway are considered ended."""
SILENT_AFTER = timedelta(minutes=1)
"""Such a gateway does not reach the database: what it has to tell waits on its disk."""
GONE_AFTER = timedelta(days=1)
"""The others delete what is too old of it."""


class Peers:
    """Runs where the database is shared.

    Every time is the database's own, and silence is what this gateway has seen itself: no
    machine's wall clock decides which gateway is alive.
    """

    def __init__(
        self, database: Database, bundles: Bundles, forget: Callable[[str], Awaitable[None]]
    ) -> None:
        self._database = database
        self._bundles = bundles
        self._forget = forget
        self._liveness = LivenessTracker(2 * BEAT_S)
        self._refused: set[str] = set()
        """Told of: deletions that others asked for and that could not be done."""

    async def run(self) -> None:
        """Work until cancelled; the indexer reports trouble with the database."""
        while True:
            with suppress(DatabaseTrouble):
                await self.advance(time.monotonic())
            await asyncio.sleep(BEAT_S)

    async def advance(self, now_s: float) -> None:
        """Run one round; `now_s` is monotonic.  Raises DatabaseTrouble."""
        host = self._bundles.host
        await self._database.write(partial(call_table.beat, host=host))
        await self._delete_what_others_asked_for(host)
        signs = await self._database.read(call_table.signs_of_life)
        self._liveness.observe(signs, now_s)
        lost = {name: signs[name] for name in self._silent_for(LOST_AFTER)}
        if lost and (ended := await self._database.write(partial(_end_calls_of, hosts=lost))):
            log.warning("calls_of_lost_gateways_ended", calls=ended, hosts=sorted(lost))

    async def unheard(self) -> list[str]:
        """List peers that may have calls which the database does not know.

        They do not reach it now, and did within a day; a gateway that ended in order is not listed.
        """
        find = partial(call_table.hosts_that_may_know_more, silent=SILENT_AFTER, gone=GONE_AFTER)
        return [host for host in await self._database.read(find) if host != self._bundles.host]

    async def leave(self) -> None:
        """Record that this gateway ends, unless something waits here.  Raises DatabaseTrouble."""
        if not self._bundles.to_index.tickets():
            await self._database.write(partial(call_table.leave, host=self._bundles.host))

    async def hosts_to_clean(self) -> list[str]:
        """List this gateway and those that are gone for good.  Raises DatabaseTrouble."""
        gone = await self._database.read(partial(call_table.hosts_unseen_for, age=GONE_AFTER))
        silent = self._silent_for(LOST_AFTER)
        return [self._bundles.host, *(host for host in gone if host in silent)]

    async def _delete_what_others_asked_for(self, host: str) -> None:
        for call_id in await self._database.read(partial(call_table.deletions_of, host=host)):
            try:
                await self._forget(call_id)
            except (StoreTrouble, DiskTrouble) as error:  # tried again; the others do not wait
                if call_id not in self._refused:
                    log.warning("bundle_not_deleted", call_id=call_id, problem=str(error))
                self._refused.add(call_id)
                continue
            self._refused.discard(call_id)
            await self._database.write(partial(call_table.deletion_done, call_id=call_id))
            log.info("call_deleted", call_id=call_id, by="another gateway")

    def _silent_for(self, time_: timedelta) -> list[str]:
        silent = self._liveness.silent_for(time_.total_seconds())
        return [host for host in silent if host != self._bundles.host]


def _end_calls_of(db: Connection, hosts: dict[str, datetime]) -> int:
    """End the calls of lost gateways, at the last sign that each gave."""
    lost = call_table.active_of(db, list(hosts))
    text = "its gateway has not been heard of since"
    call_table.write(
        db,
        [
            row_of(
                found.record.ended(
                    max(hosts[found.host], found.record.started_at), "worker_lost", text
                ),
                found.host,
                has_audio=found.has_audio,
                is_stored=found.is_stored,
            )
            for found in lost
        ],
    )
    return len(lost)
