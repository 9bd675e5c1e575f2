"""CallArchive: the calls of this gateway, and of all that share its database, as one collection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import structlog

from gateway.config.models import RecordsConfig
from gateway.errors import CallNotFound, CommandError, DatabaseTrouble
from gateway.records import call_table
from gateway.records.bundle_files import AUDIO_FILE, CALL_FILE
from gateway.records.call_indexer import CallIndexer, queue_all
from gateway.records.call_table import Found
from gateway.records.clock import ClockWatch
from gateway.records.database import Database
from gateway.records.deletion import Deletion
from gateway.records.ids import host_name, is_call_id
from gateway.records.local_bundles import Bundles
from gateway.records.model import CallRecord, CallSummary
from gateway.records.object_store import BundleStore
from gateway.records.peers import Peers
from gateway.records.query import CallQuery, StoredAudio
from gateway.records.retention import Retention
from gateway.records.tables import row_of
from gateway.records.uploader import Uploader
from gateway.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


class CallArchive:
    """Finds, reads and deletes calls.  Made by `open_archive`; loop thread only."""

    def __init__(
        self, database: Database, bundles: Bundles, store: BundleStore | None, metrics: Metrics
    ) -> None:
        self._database = database
        self._bundles = bundles
        self._store = store
        self._indexer = CallIndexer(
            database,
            bundles,
            metrics.database_errors.inc,
            lambda count: metrics.records_waiting.labels("index").set(count),
        )
        self._uploader: Uploader | None = None
        if store is not None:
            self._uploader = Uploader(
                store,
                bundles,
                metrics.store_errors.inc,
                lambda count: metrics.records_waiting.labels("store").set(count),
            )
        self._deletion = Deletion(database, bundles, store, self._indexer)
        self._peers = Peers(database, bundles, self._forget)
        self._clocks = ClockWatch(
            database,
            bundles.local.directory,
            lambda state: metrics.clocks_disagree.set(bool(state.doubt)),
        )
        self._retention = Retention(
            database,
            bundles.local.directory,
            self._hosts_to_clean,
            self._deletion,
            lambda count: metrics.records_waiting.labels("delete").set(count),
        )

    @property
    def host(self) -> str:
        """Name of this gateway."""
        return self._bundles.host

    async def run(self, config: RecordsConfig) -> None:
        """Keep database, store and disk in order until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._indexer.run())
            if self._uploader is not None:
                group.create_task(self._uploader.run())
            if self._database.is_shared:
                group.create_task(self._peers.run())
            keep_days = [days for days in (config.keep_days, config.keep_audio_days) if days]
            check = partial(self._clocks.check, min(keep_days, default=0.0))
            group.create_task(self._clocks.run(min(keep_days, default=0.0)))
            if keep_days:
                group.create_task(
                    self._retention.run(
                        check, config.keep_days, config.keep_audio_days, config.deletion_grace_h
                    )
                )

    async def catch_up(self) -> None:
        """Notify the database what it does not know yet.  Raises DatabaseTrouble, OSError."""
        await self._indexer.catch_up()

    async def leave(self) -> None:
        """Notify the others that this gateway ends in order.  Raises DatabaseTrouble."""
        if self._database.is_shared:
            await self._peers.leave()

    # --- reading ---

    async def list_calls(
        self, query: CallQuery, live: Iterable[CallSummary] = ()
    ) -> Sequence[CallSummary]:
        """List calls of every gateway, newest first.

        Args:
            query: which ones.
            live: calls in progress here; what they say is newer than the database.

        Raises:
            CommandError: 422 for a bad cursor, 503 when the database cannot be used.
        """
        if query.has_bad_cursor:
            raise CommandError(422, "cursor: must be the `next` of the page before")
        with suppress(DatabaseTrouble, OSError):  # a full disk can still be read
            await self._indexer.catch_up()
        found = await self._database.read(partial(call_table.search, query=query))
        calls = {call.call_id: call for call in found}
        for call in live:
            calls.pop(call.call_id, None)
            if query.matches(call):
                calls[call.call_id] = call
        return [calls[call_id] for call_id in sorted(calls, reverse=True)][: query.limit]

    async def get(self, call_id: str) -> CallRecord:
        """Return one call: from this disk, whatever the database does, else from the database.

        Raises:
            CallNotFound: there is none.
            DatabaseTrouble: it is not here, and the database cannot be used.
        """
        _check_id(call_id)
        record = await self._database.disk(partial(self._bundles.local.read, call_id))
        return record if record is not None else (await self._found(call_id)).record

    async def audio(self, call_id: str) -> Path | StoredAudio:
        """Return a call's `audio.wav`, from disk or store.

        Raises:
            CallNotFound: there is none, or it is on another machine's disk.
            CommandError: 503 when database or store cannot be used.
        """
        _check_id(call_id)
        path = self._bundles.local.audio(call_id)
        if path is not None:
            return path
        if self._bundles.local.read(call_id) is None:
            found = await self._found(call_id)
            if found.has_audio and not found.is_stored:
                raise CallNotFound(404, f"the audio of call {call_id} is on host {found.host}")
            if found.has_audio and self._store is not None:
                return await self._stored_audio(self._store, call_id)
        raise CallNotFound(404, f"no audio of call {call_id}")

    # --- deleting ---

    async def delete(self, call_id: str) -> None:
        """Delete a finished call with every copy (see `deletion`).

        Raises:
            CallNotFound: there is none.
            CommandError: 409 while it is in progress, 503 when database or store cannot be used,
                or a copy is left (it is on the disk of a gateway that does not run, say).
        """
        _check_id(call_id)
        try:
            record = await self.get(call_id)
        except CallNotFound:
            if await self._deletion.resumed(call_id):
                return
            raise
        if record.state == "active":
            raise CommandError(409, f"call {call_id} is still in progress")
        await self._deletion.call(call_id)
        log.info("call_deleted", call_id=call_id, by="request")

    async def delete_party(self, party: str) -> int:
        """Delete every call from or to a party, with every copy; return how many there were.

        Raises:
            CommandError: as `delete`; at 409 nothing was deleted.
        """
        if self._database.is_shared and (unheard := await self._peers.unheard()):
            told = f"{', '.join(unheard)} do not reach the database and may have calls of theirs"
            raise CommandError(503, f"{told}: nothing was deleted, ask again")
        return await self._deletion.party(party)

    # --- rebuilding ---

    async def reindex(self) -> int:
        """Write every bundle of disk and store into the database anew; return how many.

        Raises:
            CommandError: 503 when database or store cannot be used.
        """
        count = await self._database.disk(partial(queue_all, self._bundles))
        await self._indexer.drain()
        if self._store is not None:
            async for call_id in self._store.call_ids():
                if not self._bundles.local.folder(call_id).exists():
                    await self._index_stored(self._store, call_id)
                    count += 1
        return count

    async def _index_stored(self, store: BundleStore, call_id: str) -> None:
        try:
            record = CallRecord.model_validate_json(await store.read(call_id, CALL_FILE))
        except (FileNotFoundError, ValueError) as error:
            log.warning("stored_call_not_read", call_id=call_id, problem=type(error).__name__)
            return
        has_audio = await store.has(call_id, AUDIO_FILE)
        row = row_of(record, self._bundles.host, has_audio=has_audio, is_stored=True)
        await self._database.write(partial(call_table.write, rows=[row]))

    async def _forget(self, call_id: str) -> None:
        """Delete what another gateway asked for."""
        await self._deletion.files(call_id)
        await self._deletion.traces()

    async def _found(self, call_id: str) -> Found:
        found = await self._database.read(partial(call_table.find, call_id=call_id))
        if found is None:
            raise CallNotFound(404, f"no call {call_id}")
        return found

    async def _stored_audio(self, store: BundleStore, call_id: str) -> StoredAudio:
        try:
            return StoredAudio(*await store.stream(call_id, AUDIO_FILE))
        except FileNotFoundError as error:
            raise CallNotFound(404, f"no audio of call {call_id} in the store") from error

    async def _hosts_to_clean(self) -> list[str] | None:
        return await self._peers.hosts_to_clean() if self._database.is_shared else None


@asynccontextmanager
async def open_archive(config: RecordsConfig, metrics: Metrics) -> AsyncIterator[CallArchive]:
    """Open what `[records]` says; `CallArchive.run` has to run beside.

    Raises:
        ConfigError: a URL is wrong, or the store's credentials are missing.
    """
    store = BundleStore(config.store) if config.store else None
    database = Database(config.database.get_secret_value(), config.directory)
    bundles = Bundles.of(
        config.directory,
        host_name(config.host),
        has_store=store is not None,
        keep_local=config.keep_local,
    )
    archive = CallArchive(database, bundles, store, metrics)
    try:
        yield archive
    finally:
        with suppress(DatabaseTrouble, OSError):  # what ended last; else the next start does it
            await archive.catch_up()
            await archive.leave()
        database.close()


def _check_id(call_id: str) -> None:
    if not is_call_id(call_id):
        raise CallNotFound(404, "not a call id")
