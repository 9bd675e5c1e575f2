"""The bundles on this machine's disk, and the queues of those that wait for something."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic_core import to_json

from gateway.records.bundle_files import AUDIO_FILE, read_call
from gateway.records.ids import bundle_folder, is_call_id
from gateway.records.model import CallRecord, clean_text

STORED_FILE = ".stored"
"""Says that the whole bundle is in the object store."""


class LocalBundles:
    """What is below `records.directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """`records.directory`."""

    def folder(self, call_id: str) -> Path:
        """Return the bundle's folder, existing or not.  Raises ValueError for a bad id."""
        return bundle_folder(self.directory, call_id)

    def read(self, call_id: str) -> CallRecord | None:
        """Return a call as its `call.json` says; None when there is none that can be read."""
        try:
            return read_call(self.folder(call_id))
        except (OSError, ValueError):
            return None

    def mentions(self, call_id: str, text: str) -> bool:
        """Return whether a text occurs in any file of a bundle, torn ones too, except its audio."""
        wanted = {text.encode("utf-8", "replace"), to_json(clean_text(text))[1:-1]}
        for path in self.folder(call_id).iterdir():
            if path.name != AUDIO_FILE and path.is_file():
                content = path.read_bytes()
                if any(form in content for form in wanted):
                    return True
        return False

    def audio(self, call_id: str) -> Path | None:
        """Return the path of `audio.wav`, if there is one."""
        path = self.folder(call_id) / AUDIO_FILE
        return path if path.is_file() else None

    def is_stored(self, call_id: str) -> bool:
        """Return whether the object store has it too."""
        return (self.folder(call_id) / STORED_FILE).exists()

    def mark_stored(self, call_id: str) -> None:
        """Note that the object store has it.  Raises OSError."""
        (self.folder(call_id) / STORED_FILE).touch()

    def remove(self, call_id: str) -> bool:
        """Delete a bundle; False when there was none.  Raises OSError."""
        folder = self.folder(call_id)
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return False
        with suppress(OSError):  # other calls of that day
            folder.parent.rmdir()
        return True

    def remove_audio(self, call_id: str) -> None:
        """Delete `audio.wav` only.  Raises OSError."""
        (self.folder(call_id) / AUDIO_FILE).unlink(missing_ok=True)

    def days(self) -> list[Path]:
        """List the day folders, oldest first."""
        return sorted(day_folders(self.directory))


def day_folders(directory: Path) -> list[Path]:
    """List the day folders, newest first; empty when there is no directory."""
    try:
        days = [entry for entry in directory.iterdir() if entry.name[:1].isdigit()]
    except OSError:
        return []
    return sorted((day for day in days if day.is_dir()), reverse=True)


def call_ids(day: Path) -> Iterator[str]:
    """Yield the ids of a day's bundles, in order."""
    try:
        names = [folder.name for folder in day.iterdir()]
    except OSError:
        return
    yield from sorted(filter(is_call_id, names))


FOLDER = ".pending"
Queue = Literal["index", "store"]
"""index = the database is to be told; store = the bundle is to be uploaded."""
_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Ticket:
    """One call that waits."""

    call_id: str
    path: Path

    def done(self) -> None:
        """Remove it from the queue.  Raises OSError."""
        self.path.unlink(missing_ok=True)


class PendingCalls:
    """A queue in `records.directory`; any process may add to it, one takes from it.

    Each `put` makes a file of its own, so what is put while an older one is being worked on is
    not lost with it.
    """

    def __init__(self, directory: Path, queue: Queue) -> None:
        self._folder = directory / FOLDER / queue

    def put(self, call_id: str, *, once: bool = False) -> None:
        """Add a call.  Raises OSError.

        Args:
            call_id: which.
            once: not again when it waits already.
        """
        name = call_id if once else f"{call_id}.{os.getpid()}-{next(_counter)}"
        try:
            self._touch(name)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._touch(name)

    def tickets(self) -> list[Ticket]:
        """List what waits, the oldest call first; empty when there is no queue."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder))
        except OSError:
            return []
        return [
            Ticket(call_id, self._folder / name)
            for name in names
            if is_call_id(call_id := name.partition(".")[0])
        ]

    def forget(self, call_id: str) -> None:
        """Drop every ticket of a call.  Raises OSError."""
        for ticket in self.tickets():
            if ticket.call_id == call_id:
                ticket.done()

    def _touch(self, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        os.close(os.open(self._folder / name, flags, 0o640))


@dataclass(slots=True)
class Bundles:
    """Made by `of`."""

    local: LocalBundles
    to_index: PendingCalls
    to_store: PendingCalls
    host: str
    """Name of this gateway."""
    has_store: bool
    """There is an object store."""
    keep_local: bool
    """Keep on disk what is in the store."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while bundles are read for the database, and while one is deleted."""
    uploading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while bundles are read for the store, and while one is deleted; taken first."""

    @classmethod
    def of(
        cls, directory: Path, host: str, *, has_store: bool = False, keep_local: bool = False
    ) -> Bundles:
        """Look after the bundles of a directory."""
        return cls(
            LocalBundles(directory),
            PendingCalls(directory, "index"),
            PendingCalls(directory, "store"),
            host,
            has_store,
            keep_local,
        )
