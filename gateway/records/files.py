"""The small files of a bundle: `call.json` replaced whole, `events.jsonl` appended to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from gateway.records.model import CallRecord, cleaned

CALL_FILE = "call.json"
EVENTS_FILE = "events.jsonl"
AUDIO_FILE = "audio.wav"


def write_call(folder: Path, record: CallRecord) -> None:
    """Replace `call.json` in one step: a reader sees the old one or the new one, never a half.

    Not fsynced: it survives the end of the process at any moment; ext4 and btrfs order a rename
    after the data, so it survives a power cut there too.

    Raises:
        OSError: the disk refuses.
    """
    temporary = folder / f".{CALL_FILE}.{os.getpid()}"
    try:
        temporary.touch(mode=0o640)
        temporary.write_bytes(_record_json(record))
        temporary.replace(folder / CALL_FILE)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_call(folder: Path) -> CallRecord:
    """Read `call.json`.

    Raises:
        OSError: not there or not readable.
        ValueError: not a call record.
    """
    return CallRecord.model_validate_json((folder / CALL_FILE).read_bytes())


class EventLog:
    """Appends one JSON line per event, each by one system call: a killed process loses none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._is_torn = False

    def append(self, line: bytes) -> None:
        """Write a line that `event_line` made.  Raises OSError."""
        if self._fd < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o640)
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


def event_line(kind: str, audio_s: float, data: dict[str, Any]) -> bytes:
    """Give `{"at": UTC time, "audio_s": ..., "kind": ..., **data}` as a line."""
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
