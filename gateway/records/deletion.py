"""Deletion: takes calls away with every copy that this product makes of them.

The list of all copies, in the order in which they go:

1. object store: the bundle's files
2. this disk: the bundle, whole or with leftovers of a writer that was killed
3. this disk: its places in the queues (`.pending`; names of calls only), and its events that wait
   for receivers of webhooks (`.webhooks`)
4. the database's row
5. this disk, SQLite: what pages and the write-ahead file (`-wal`) still hold of the row
6. this disk, SQLite: a database that was set aside as broken, which cannot be searched
7. other gateways' disks: told by the database, done by them
8. this machine: what a caller has spent at language models within a day (`DayLedger`), under a hash
   by a key of this run that is in no file; of other machines it is unlinkable and gone in a day

Final records that wait for a full disk are in the memory of the workers: a deletion is
refused while there are any.  The ledger comes last (`RemoteGateway`).  Logs name calls, but neither
numbers nor words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import structlog

from gateway.errors import CommandError, DiskTrouble
from gateway.records import call_table, outbox
from gateway.records.bundle_files import AUDIO_FILE
from gateway.records.call_indexer import CallIndexer
from gateway.records.call_table import OldCall
from gateway.records.database import Database
from gateway.records.local_bundles import Bundles, call_ids
from gateway.records.object_store import FILES, BundleStore

log = structlog.get_logger(__name__)

T = TypeVar("T")

_OTHERS_S = 15.0
"""Other gateways ask every ten seconds what they are to delete."""
_ASK_S = 0.5


class Deletion:
    """One per gateway; loop thread only.

    A deletion that cannot be complete raises: nothing is reported as gone while a copy is left.
    Asking again goes on where it ended.
    """

    def __init__(
        self, database: Database, bundles: Bundles, store: BundleStore | None, indexer: CallIndexer
    ) -> None:
        self._database = database
        self._bundles = bundles
        self._store = store
        self._indexer = indexer
        self.others_s = _OTHERS_S
        """How long a deletion waits for other gateways."""

    async def call(self, call_id: str) -> None:
        """Delete one call.

        Raises:
            CommandError: 503 when database or store cannot be used, or a copy is left.
        """
        await self._remove(call_id)
        await self._finish([call_id])

    async def resumed(self, call_id: str) -> bool:
        """Wait again for what other gateways have still to delete; False = nothing of this call.

        Raises:
            CommandError: 503 as `call`.
        """
        if call_id not in await self._waiting([call_id]):
            return False
        await self._finish([call_id])
        return True

    async def party(self, party: str) -> int:
        """Delete every call from or to a party; return how many there were.

        Raises:
            CommandError: 409 while one of them is in progress (nothing is deleted then), 503 when
                database or store cannot be used, or a copy is left.
        """
        calls = await self._calls_of(party)
        active = sorted(call_id for call_id, state in calls.items() if state == "active")
        if active:
            raise CommandError(409, f"still in progress: {', '.join(active)}")
        left: list[DiskTrouble] = []
        for call_id in calls:
            try:
                await self._remove(call_id)
            except DiskTrouble as error:  # the others go all the same
                left.append(error)
        await self._finish(None)
        if left:
            told = f"{len(calls) - len(left)} of {len(calls)} calls are gone; {left[0].reason}"
            raise CommandError(503, told)
        log.info("party_deleted", calls=len(calls))  # without the number
        return len(calls)

    async def old(self, call: OldCall) -> bool:
        """Delete a call for its age, without waiting until the last copy is gone."""
        await self._remove(call.call_id)
        return True

    async def audio(self, call: OldCall) -> bool:
        """Delete a call's audio; False when only another gateway can.

        That one does it when it is there again: until then its file exists, and the row says so.
        """
        call_id, local = call.call_id, self._bundles.local
        is_reached = call.host == self._bundles.host or call.is_stored
        if not is_reached and not await self._disk(call_id, local.folder(call_id).exists):
            return False
        async with self._bundles.uploading, self._bundles.changing:
            if self._store is not None:
                await self._store.delete(call_id, (AUDIO_FILE,))
            await self._disk(call_id, partial(local.remove_audio, call_id))
        await self._database.write(partial(call_table.audio_is_gone, call_id=call_id))
        return True

    async def files(self, call_id: str) -> None:
        """Delete a call from store and disk; the store first: nothing goes while it is gone."""
        async with self._bundles.uploading, self._bundles.changing:
            if self._store is not None:
                await self._store.delete(call_id, FILES)
            await self._disk(call_id, partial(_forget, self._bundles, call_id))

    async def traces(self) -> None:
        """Clear what the local database keeps of rows that are gone.  Raises DatabaseTrouble."""
        if await self._database.scrub():
            log.warning("broken_call_index_deleted", reason="a call was deleted that it may hold")

    async def _disk(self, call_id: str, work: Callable[[], T]) -> T:
        try:
            return await self._database.disk(work)
        except OSError as error:
            raise DiskTrouble(call_id, error) from error

    async def _calls_of(self, party: str) -> dict[str, str]:
        """Return call -> state, from the database and, whatever that knows, from this disk."""
        await self._indexer.drain()  # all of it, and an error when it cannot be: not `catch_up`
        calls = dict(await self._database.read(partial(call_table.of_party, party=party)))
        here = await self._database.disk(lambda: dict(_of_party_here(self._bundles, party)))
        return calls | here

    async def _remove(self, call_id: str) -> None:
        found = await self._database.read(partial(call_table.find, call_id=call_id))
        is_here = await self._disk(call_id, self._bundles.local.folder(call_id).exists)
        await self.files(call_id)
        elsewhere = None
        if found is not None and found.host != self._bundles.host and not is_here:
            elsewhere = found.host
        await self._database.write(
            partial(call_table.remove, call_id=call_id, host_to_tell=elsewhere)
        )

    async def _finish(self, call_ids_: list[str] | None) -> None:
        """Clear the traces, then wait for the others; None = for all that they have to delete."""
        await self.traces()
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self.others_s
        while waiting := await self._waiting(call_ids_):
            if loop.time() >= end_s:
                hosts = ", ".join(sorted(set(waiting.values())))
                raise CommandError(
                    503,
                    f"gone from here, from database and store, but {len(waiting)} calls are still"
                    f" on the disks of {hosts}: deleted there once they run; ask again",
                )
            await asyncio.sleep(_ASK_S)

    async def _waiting(self, call_ids_: list[str] | None) -> dict[str, str]:
        if not self._database.is_shared:
            return {}
        waiting = await self._database.read(call_table.deletions)
        return {
            call_id: host
            for call_id, host in waiting.items()
            if call_ids_ is None or call_id in call_ids_
        }


def _forget(bundles: Bundles, call_id: str) -> None:
    bundles.local.remove(call_id)
    bundles.to_index.forget(call_id)
    bundles.to_store.forget(call_id)
    outbox.forget(bundles.local.directory, call_id)


def _of_party_here(bundles: Bundles, party: str) -> Iterator[tuple[str, str]]:
    """Yield (call, state) of a party's bundles on this disk, unreadable ones too."""
    for day in bundles.local.days():
        for call_id in call_ids(day):
            record = bundles.local.read(call_id)
            if record is not None and party in (record.caller, record.called):
                yield call_id, record.state
            elif record is None and bundles.local.mentions(call_id, party):
                yield call_id, "finished"
