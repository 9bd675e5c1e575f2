"""The small files of a bundle: `call.json` replaced whole, `events.jsonl` appended to."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from gateway.records.model import CallRecord, cleaned

CALL_FILE = "call.json"
EVENTS_FILE = "events.jsonl"
AUDIO_FILE = "audio.wav"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


def write_call(folder: Path, record: CallRecord) -> None:
    """Replace `call.json` durably, in one step: a reader sees the old one or the new one.

    Raises:
        OSError: the disk refuses.
    """
    replace_file(folder / CALL_FILE, _record_json(record))


def replace_file(path: Path, content: bytes) -> None:
    """Replace a small file in one step, so that it survives a power cut at any moment.

    The new one is on the disk before it takes the name, and the name before this returns: without
    that a file system may keep the name and lose what it stands for.

    Raises:
        OSError: the disk refuses; the old file is as it was.
    """
    temporary = path.parent / f".{path.name.lstrip('.')}.{os.getpid()}"
    try:
        descriptor = os.open(temporary, _NEW_FILE, 0o640)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and the one above it, so that they survive a power cut.  Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        for above in (folder.parent, folder.parent.parent):
            sync_folder(above)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk.  Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_call(folder: Path) -> CallRecord:
    """Read `call.json`.

    Raises:
        OSError: not there or not readable.
        ValueError: not a call record.
    """
    return CallRecord.model_validate_json((folder / CALL_FILE).read_bytes())


class EventLog:
    """Appends one JSON line per event, each by one system call: a killed process loses none.

    While it is open it is locked: the lock proves that its writer lives, in whatever
    container, and the lock ends with the process, whatever ends that.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._is_torn = False

    def append(self, line: bytes) -> None:
        """Write a line that `event_line` made.  Raises OSError."""
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o640)
            with suppress(OSError):  # a file system without locks: the process id has to do
                fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if self._is_torn:  # the disk took only a part of the line before
            line = b"\n" + line
        written = os.write(self._fd, line)
        self._is_torn = written < len(line)
        if self._is_torn:
            raise OSError(f"{self._path}: only {written} of {len(line)} bytes written")

    def close(self) -> None:
        """Close.  Idempotent."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def is_being_written(folder: Path) -> bool:
    """Return whether a living process holds the events of a bundle open."""
    try:
        descriptor = os.open(folder / EVENTS_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def event_line(kind: str, audio_s: float, data: dict[str, Any]) -> bytes:
    """Return `{"at": UTC time, "audio_s": ..., "kind": ..., **data}` as a line."""
    head = {"at": datetime.now(UTC), "audio_s": round(audio_s, 3), "kind": kind}
    return _json_line(head | {key: data[key] for key in data if key not in head})


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a log in order; torn lines are left out.  Raises OSError."""
    with path.open("rb") as lines:
        for line in lines:
            try:
                event = from_json(line)
            except ValueError:
                continue
            if isinstance(event, dict) and isinstance(event.get("kind"), str):
                yield event


def _record_json(record: CallRecord) -> bytes:
    try:
        return record.model_dump_json(indent=2).encode() + b"\n"
    except PydanticSerializationError:  # lone surrogates that came in by `model_copy`
        whole = CallRecord.model_validate(record.model_dump())
        return whole.model_dump_json(indent=2).encode() + b"\n"


def _json_line(event: dict[str, Any]) -> bytes:
    try:
        return to_json(event, bytes_mode="base64", fallback=str) + b"\n"
    except PydanticSerializationError:  # lone surrogates of a SIP header
        return to_json(cleaned(event), bytes_mode="base64", fallback=str) + b"\n"
