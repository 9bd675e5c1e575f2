"""LockedJson: a small JSON object that the processes of this machine change one after another."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_MOST_BYTES = 16_000_000


class LockedJson:
    """Keeps the object in a file, or in this process alone."""

    def __init__(self, path: Path | None) -> None:
        """Take the file, made when it is missing; None = of this process alone."""
        self._path = path
        self._own: dict[str, Any] = {}

    @contextmanager
    def changed(self) -> Iterator[dict[str, Any]]:
        """Return the object, to look at and change in place; waits for the process that holds it.

        Nothing is written where the block raises.  A process that is killed while it writes leaves
        the old object or the new one; a full disk leaves what cannot be read, never an empty one.

        Raises:
            OSError: the file cannot be used.
            ValueError: it holds something else.
        """
        if self._path is None:
            yield self._own
            return
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            text = os.pread(file, _MOST_BYTES, 0)
            content = json.loads(text) if text else {}
            if not isinstance(content, dict):
                raise ValueError(f"not an object: {text[:80]!r}")  # noqa: TRY004 - of its value
            yield content
            changed = json.dumps(content).encode()
            if changed != text:
                if os.pwrite(file, changed, 0) != len(changed):
                    raise OSError(f"{self._path}: no room")
                os.ftruncate(file, len(changed))
        finally:
            os.close(file)
