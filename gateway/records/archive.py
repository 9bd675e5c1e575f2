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
from gateway.records.bundles import Bundles
from gateway.records.call_table import Found
from gateway.records.clerk import Clerk
from gateway.records.database import Database
from gateway.records.files import AUDIO_FILE, CALL_FILE
from gateway.records.ids import host_name, is_call_id
from gateway.records.model import CallRecord, CallSummary
from gateway.records.neighbours import Neighbours
from gateway.records.object_store import FILES, BundleStore
from gateway.records.query import CallQuery, StoredAudio
from gateway.records.reconcile import queue_all
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
        self._clerk = Clerk(
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
        self._neighbours = Neighbours(database, bundles, self._remove_files)
        self._retention = Retention(
            database, self._hosts_to_clean, self._delete_old, self._delete_audio
        )

    async def run(self, config: RecordsConfig) -> None:
        """Keep database, store and disk in order until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._clerk.run())
            if self._uploader is not None:
                group.create_task(self._uploader.run())
            if self._database.is_shared:
                group.create_task(self._neighbours.run())
            if config.keep_days or config.keep_audio_days:
                group.create_task(self._retention.run(config.keep_days, config.keep_audio_days))

    async def catch_up(self) -> None:
        """Tell the database what it does not know yet.  Raises DatabaseTrouble, OSError."""
        await self._clerk.catch_up()

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
            await self._clerk.catch_up()
        found = await self._database.read(partial(call_table.search, query=query))
        calls = {call.call_id: call for call in found}
        for call in live:
            calls.pop(call.call_id, None)
            if query.matches(call):
                calls[call.call_id] = call
        return [calls[call_id] for call_id in sorted(calls, reverse=True)][: query.limit]

    async def get(self, call_id: str) -> CallRecord:
        """Give one call: from this disk, whatever the database does, else from the database.

        Raises:
            CallNotFound: there is none.
            DatabaseTrouble: it is not here, and the database cannot be used.
        """
        _check_id(call_id)
        record = await self._database.disk(partial(self._bundles.local.read, call_id))
        return record if record is not None else (await self._found(call_id)).record

    async def audio(self, call_id: str) -> Path | StoredAudio:
        """Give a call's `audio.wav`, from disk or store.

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
        """Delete a finished call from disk, store and database.

        Where the bundle is on another gateway's disk, that one deletes it as soon as it learns of
        it; the database and the store forget it at once.

        Raises:
            CallNotFound: there is none.
            CommandError: 409 while it is in progress, 503 when database or store cannot be used.
        """
        _check_id(call_id)
        record = await self.get(call_id)
        if record.state == "active":
            raise CommandError(409, f"call {call_id} is still in progress")
        await self._delete(call_id)
        log.info("call_deleted", call_id=call_id, by="request")

    async def delete_party(self, party: str) -> int:
        """Delete every call from or to somebody; gives how many there were.

        Raises:
            CommandError: 409 while one of them is in progress (nothing is deleted then), 503 when
                database or store cannot be used.
        """
        await self._clerk.catch_up()
        calls = await self._database.read(partial(call_table.of_party, party=party))
        active = [call_id for call_id, state in calls if state == "active"]
        if active:
            raise CommandError(409, f"still in progress: {', '.join(active)}")
        for call_id, _ in calls:
            await self._delete(call_id)
        log.info("party_deleted", calls=len(calls))  # not who: that would keep what is to go
        return len(calls)

    # --- rebuilding ---

    async def reindex(self) -> int:
        """Write every bundle of disk and store into the database anew; gives how many.

        Raises:
            CommandError: 503 when database or store cannot be used.
        """
        count = await self._database.disk(partial(queue_all, self._bundles))
        await self._clerk.drain()
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

    async def _delete(self, call_id: str) -> None:
        found = await self._database.read(partial(call_table.find, call_id=call_id))
        is_here = self._bundles.local.folder(call_id).exists()
        await self._remove_files(call_id)
        elsewhere = None
        if found is not None and found.host != self._bundles.host and not is_here:
            elsewhere = found.host
        await self._database.write(
            partial(call_table.remove, call_id=call_id, host_to_tell=elsewhere)
        )

    async def _delete_old(self, call_id: str) -> None:
        await self._delete(call_id)

    async def _delete_audio(self, call_id: str) -> None:
        async with self._bundles.uploading, self._bundles.changing:
            if self._store is not None:
                await self._store.delete(call_id, (AUDIO_FILE,))
            await self._database.disk(partial(self._bundles.local.remove_audio, call_id))
        await self._database.write(partial(call_table.audio_is_gone, call_id=call_id))

    async def _remove_files(self, call_id: str) -> None:
        """The store first: when it cannot be reached, nothing is deleted."""
        async with self._bundles.uploading, self._bundles.changing:
            if self._store is not None:
                await self._store.delete(call_id, FILES)
            await self._database.disk(partial(_forget, self._bundles, call_id))

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
        return await self._neighbours.hosts_to_clean() if self._database.is_shared else None


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
        database.close()


def _forget(bundles: Bundles, call_id: str) -> None:
    bundles.local.remove(call_id)
    bundles.to_index.forget(call_id)
    bundles.to_store.forget(call_id)


def _check_id(call_id: str) -> None:
    if not is_call_id(call_id):
        raise CallNotFound(404, "not a call id")
