"""The bundles on this machine's disk: found, read and removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.records.files import AUDIO_FILE, read_call
from gateway.records.ids import bundle_folder, is_call_id
from gateway.records.model import CallRecord

STORED_FILE = ".stored"
"""Says that the whole bundle is in the object store."""


class LocalBundles:
    """What is below `records.directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def folder(self, call_id: str) -> Path:
        """Give the bundle's folder, existing or not.  Raises ValueError for a bad id."""
        return bundle_folder(self._directory, call_id)

    def read(self, call_id: str) -> CallRecord | None:
        """Give a call as its `call.json` says; None when there is none that can be read."""
        try:
            return read_call(self.folder(call_id))
        except (OSError, ValueError):
            return None

    def audio(self, call_id: str) -> Path | None:
        """Give the path of `audio.wav`, if there is one."""
        path = self.folder(call_id) / AUDIO_FILE
        return path if path.is_file() else None

    def is_stored(self, call_id: str) -> bool:
        """Say whether the object store has it too."""
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
        return sorted(day_folders(self._directory))


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
