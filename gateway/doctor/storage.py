"""Storage: where records go, on this disk and shared with other hosts."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.doctor.deployment import Deployment, plan_of
from gateway.doctor.finding import Finding, fail, ok, warn
from gateway.errors import ConfigError, StoreTrouble
from gateway.records.object_store import BundleStore

BYTES_PER_CALL_S = 33_000
"""Stereo WAV of 16 bit at 8 kHz is 32,000; events and turns are the rest."""
BYTES_PER_CALL_S_TEXT = 1_000
_LOWEST_BYTES = 200_000_000
_LOWEST_HOURS = 24.0
_SLOW_MS = 200.0
_SAMPLE = b"\0" * 1_000_000


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """What is known of `records.directory`."""

    directory: Path
    error: str = ""
    """Why the test file could not be written."""
    write_ms: float = 0.0
    """One megabyte, made safe on disk (fsync)."""
    free_bytes: int = 0
    free_files: int = 0
    slots: int = 4
    keeps_audio: bool = True

    @property
    def hours(self) -> float:
        """Hours of talk on all slots until the disk is full."""
        rate = BYTES_PER_CALL_S if self.keeps_audio else BYTES_PER_CALL_S_TEXT
        return self.free_bytes / (rate * self.slots) / 3600


async def check_storage(deployment: Deployment) -> AsyncIterator[Finding]:
    """Write a megabyte where calls are recorded, and look how much room there is."""
    records = deployment.config.records
    slots = plan_of(deployment.config).slots
    for finding in judge_storage(_facts(records.directory, slots, keeps_audio=records.audio)):
        yield finding


def judge_storage(facts: StorageFacts) -> Iterator[Finding]:
    """Decide over the directory and its disk."""
    if facts.error:
        yield fail(
            "records directory",
            f"{facts.directory} cannot be written: {facts.error}",
            f"create it with the gateway's user as owner: install -d -o USER {facts.directory};"
            " under systemd, name it in ReadWritePaths=",
        )
        return
    if facts.write_ms > _SLOW_MS:
        yield warn(
            "records directory",
            f"writing 1 MB to {facts.directory} took {facts.write_ms:.0f} ms",
            "a slow disk or network folder delays the end of calls: use a local disk",
        )
    else:
        yield ok("records directory", f"{facts.directory} stores 1 MB in {facts.write_ms:.0f} ms")
    free = f"{facts.free_bytes / 1e9:.1f} GB free"
    if facts.free_bytes < _LOWEST_BYTES or facts.free_files < 1000:
        yield fail(
            "disk space",
            f"{free}, {facts.free_files} more files",
            "make room, or move records.directory to another disk",
        )
    elif facts.hours < _LOWEST_HOURS:
        yield warn(
            "disk space",
            f"{free}: full after {facts.hours:.1f} hours of {facts.slots} calls at once",
            "make room, delete old records, or set records.audio = false",
        )
    else:
        yield ok("disk space", f"{free}, {facts.hours:.0f} hours of {facts.slots} calls at once")


def _facts(directory: Path, slots: int, *, keeps_audio: bool) -> StorageFacts:
    try:
        write_ms = _write(_nearest(directory))
    except OSError as error:
        return StorageFacts(directory, error=error.strerror or str(error))
    where = _nearest(directory)
    files = os.statvfs(where)
    # Some file systems (btrfs) do not count files and say 0 of 0.
    free_files = files.f_favail if files.f_files else 2**31
    free = shutil.disk_usage(where).free
    return StorageFacts(directory, "", write_ms, free, free_files, slots, keeps_audio)


def _nearest(directory: Path) -> Path:
    """The folder itself, or the one in which the gateway would make it."""
    return next((p for p in (directory, *directory.absolute().parents) if p.exists()), directory)


def _write(folder: Path) -> float:
    """Write a megabyte and delete it; give the time in ms."""
    started_s = time.monotonic()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
        file.write(_SAMPLE)
        file.flush()
        os.fsync(file.fileno())
        return (time.monotonic() - started_s) * 1000


_CONNECT_TIMEOUT_S = 5
_NO_CALL = "20000101-000000-00000000"


async def check_shared_state(deployment: Deployment) -> AsyncIterator[Finding]:
    """Log in to the database and to the store, where there are any; nothing is written."""
    records = deployment.config.records
    if url := records.database.get_secret_value():
        yield _database(url)
    if records.store:
        yield await _store(records.store)


def _database(url: str) -> Finding:
    name = "records database"
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    where = f"{parsed.host}:{parsed.port or 5432}/{parsed.database}"
    engine = create_engine(parsed, connect_args={"connect_timeout": _CONNECT_TIMEOUT_S})
    started_s = time.monotonic()
    try:
        with engine.connect() as db:
            db.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError) as error:
        why = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
        return fail(
            name,
            f"{where} cannot be used: {why}",
            "is it running, does its firewall and pg_hba.conf let this host in, are user, password"
            " and database right? Calls go on meanwhile; they are entered later",
        )
    finally:
        engine.dispose()
    return ok(name, f"{where} answers after {(time.monotonic() - started_s) * 1000:.0f} ms")


async def _store(url: str) -> Finding:
    name = "records store"
    where = url.partition("?")[0]
    started_s = time.monotonic()
    try:
        await BundleStore(url).has(_NO_CALL, "call.json")
    except (StoreTrouble, ConfigError) as error:
        return fail(
            name,
            f"{where} cannot be used: {error}",
            "check endpoint and bucket, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the"
            " gateway's environment; bundles stay in records.directory meanwhile",
        )
    return ok(name, f"{where} answers after {(time.monotonic() - started_s) * 1000:.0f} ms")
