"""Bundles in an S3-compatible object store, by one URL."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import S3Config

from gateway.config.store_url import StoreUrl
from gateway.errors import ConfigError, Problem, StoreTrouble
from gateway.records.bundle_files import AUDIO_FILE, CALL_FILE, EVENTS_FILE
from gateway.records.ids import is_call_id, started_at

FILES = (AUDIO_FILE, EVENTS_FILE, CALL_FILE)
"""In the order of their upload: a `call.json` in the store says that the bundle is whole."""
_CONNECT_TIMEOUT = timedelta(seconds=5)
_REQUEST_TIMEOUT = timedelta(seconds=120)
_CHUNK_BYTES = 64 * 1024


class BundleStore:
    """Puts, gets and deletes bundles.  Credentials come from `AWS_ACCESS_KEY_ID` and the like."""

    def __init__(self, url: str) -> None:
        """Parse `records.store`; the store is not contacted yet.

        Raises:
            ConfigError: the URL is wrong, or its credentials are missing.
        """
        try:
            where = StoreUrl.parse(url)
            _check_credentials(where)
        except ValueError as error:
            problem = Problem("[records]", 0, "records.store", str(error))
            raise ConfigError([problem]) from error
        self._store = S3Store(
            where.bucket,
            prefix=where.prefix or None,
            config=_s3_config(where),
            client_options={
                "timeout": _REQUEST_TIMEOUT,
                "connect_timeout": _CONNECT_TIMEOUT,
                "allow_http": where.endpoint.startswith("http://"),
            },
            retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=20)},
        )

    async def put(self, call_id: str, folder: Path) -> None:
        """Upload a bundle; files that are not there are left out.

        Raises:
            StoreTrouble: the store refused or cannot be reached.
            OSError: a file cannot be read.
        """
        for name in FILES:
            path = folder / name
            if path.is_file():
                with _translated():
                    await self._store.put_async(_key(call_id, name), path)

    async def read(self, call_id: str, name: str) -> bytes:
        """Return a small file.  Raises StoreTrouble, FileNotFoundError."""
        with _translated():
            found = await self._store.get_async(_key(call_id, name))
            return bytes(await found.bytes_async())

    async def stream(self, call_id: str, name: str) -> tuple[int, AsyncIterator[bytes]]:
        """Return the size of a file and its chunks.  Raises StoreTrouble, FileNotFoundError."""
        with _translated():
            found = await self._store.get_async(_key(call_id, name))
        return found.meta["size"], _chunks(found.stream(min_chunk_size=_CHUNK_BYTES))

    async def fetch(self, call_id: str, folder: Path) -> bool:
        """Bring a bundle into a folder; False when the store has none.

        Raises:
            StoreTrouble: the store cannot be used.
            OSError: the folder cannot be written.
        """
        is_there = False
        for name in FILES:
            try:
                _, chunks = await self.stream(call_id, name)
            except FileNotFoundError:
                continue
            is_there = True
            with _new_file(folder / name) as file:
                async for chunk in chunks:
                    file.write(chunk)
        return is_there

    async def has(self, call_id: str, name: str) -> bool:
        """Return whether there is such a file.  Raises StoreTrouble."""
        try:
            with _translated():
                await self._store.head_async(_key(call_id, name))
        except FileNotFoundError:
            return False
        return True

    async def delete(self, call_id: str, names: tuple[str, ...] = FILES) -> None:
        """Delete files of a bundle, those that are there.  Raises StoreTrouble."""
        for name in names:
            try:
                with _translated():
                    await self._store.delete_async(_key(call_id, name))
            except FileNotFoundError:
                continue

    async def call_ids(self) -> AsyncIterator[str]:
        """Yield the id of every whole bundle.  Raises StoreTrouble."""
        with _translated():
            async for batch in self._store.list():
                for found in batch:
                    parts = found["path"].split("/")
                    if parts[-1] == CALL_FILE and len(parts) > 1 and is_call_id(parts[-2]):
                        yield parts[-2]


def _check_credentials(where: StoreUrl) -> None:
    """Elsewhere than at Amazon, where a machine may have a role, they must be given."""
    if where.endpoint and not os.environ.get("AWS_ACCESS_KEY_ID"):
        raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")


def _s3_config(where: StoreUrl) -> S3Config:
    config: S3Config = {"disable_bulk_delete": True}  # not all stores know it
    if where.endpoint:
        config["endpoint"] = where.endpoint
        config["region"] = where.region or os.environ.get("AWS_REGION", "us-east-1")
    elif where.region:
        config["region"] = where.region
    return config


def _new_file(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _key(call_id: str, name: str) -> str:
    return f"{started_at(call_id):%Y-%m-%d}/{call_id}/{name}"


async def _chunks(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with _translated():
        async for chunk in stream:
            yield bytes(chunk)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise FileNotFoundError(_first_line(error)) from error
    except BaseError as error:
        raise StoreTrouble(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
