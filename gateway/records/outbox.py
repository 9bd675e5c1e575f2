"""Outbox: the events that wait for one receiver of webhooks, as files below `records.directory`.

`.webhooks/NAME/CALL/000001.json` is the body of a request as it will be sent.  `open` in that
folder says that the end of the call has not been put there yet.  Blocking: for a thread.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.records.ids import is_call_id

FOLDER = ".webhooks"
_OPEN = "open"
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """What an outbox holds of one call."""

    call_id: str
    events: tuple[tuple[int, float], ...]
    """Number and time of writing (seconds since 1970), in the order in which they are sent."""
    is_open: bool
    """The end of the call is missing."""


class Outbox:
    """The files of one receiver."""

    def __init__(self, directory: Path, name: str) -> None:
        """Prepare nothing yet.

        Args:
            directory: `records.directory`.
            name: of the receiver.
        """
        self._root = directory / FOLDER / name

    def begin(self, call_id: str) -> None:
        """Note that a call has begun.  Raises OSError."""
        folder = self._folder(call_id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _OPEN).touch()

    def end(self, call_id: str) -> None:
        """Note that all events of a call are in the outbox.  Raises OSError."""
        (self._folder(call_id) / _OPEN).unlink(missing_ok=True)
        self._tidy(call_id)

    def put(self, call_id: str, number: int, body: bytes) -> None:
        """Keep an event until it is delivered.  Raises OSError."""
        folder = self._folder(call_id)
        folder.mkdir(parents=True, exist_ok=True)
        path = self._path(call_id, number)
        half = path.with_suffix(".tmp")
        half.write_bytes(body)
        half.replace(path)

    def read(self, call_id: str, number: int) -> bytes | None:
        """Return an event; None when it is gone: its call was deleted."""
        try:
            return self._path(call_id, number).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, call_id: str, number: int) -> None:
        """Delete an event.  Raises OSError."""
        self._path(call_id, number).unlink(missing_ok=True)
        self._tidy(call_id)

    def waiting(self) -> Iterator[WaitingCall]:
        """Yield what an earlier run has left, oldest call first."""
        try:
            names = [folder.name for folder in self._root.iterdir()]
        except OSError:
            return
        for call_id in sorted(filter(is_call_id, names)):
            with suppress(OSError):
                files = list(self._folder(call_id).iterdir())
                found = sorted(
                    (int(file.stem), file.stat().st_mtime)
                    for file in files
                    if file.suffix == _SUFFIX and file.stem.isdecimal()
                )
                is_open = any(file.name == _OPEN for file in files)
                yield WaitingCall(call_id, tuple(found), is_open)

    def _folder(self, call_id: str) -> Path:
        return self._root / call_id

    def _path(self, call_id: str, number: int) -> Path:
        return self._folder(call_id) / f"{number:06d}{_SUFFIX}"

    def _tidy(self, call_id: str) -> None:
        with suppress(OSError):  # not empty
            self._folder(call_id).rmdir()


def forget(directory: Path, call_id: str) -> None:
    """Delete what waits of a call for any receiver.  Raises OSError."""
    for receiver in (directory / FOLDER).glob("*"):
        with suppress(FileNotFoundError):
            shutil.rmtree(receiver / call_id)
