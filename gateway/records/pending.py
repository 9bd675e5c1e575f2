"""Calls that wait for something, as empty files: this queue outlives every process."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.records.ids import is_call_id

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
        """Take it out of the queue.  Raises OSError."""
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
