"""Completes the bundles of workers that died: no record stays "active", none is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from gateway.call.events import TurnFinished, parsed
from gateway.records.bundle_files import (
    AUDIO_FILE,
    CALL_FILE,
    EVENTS_FILE,
    is_being_written,
    read_call,
    read_events,
    write_call,
)
from gateway.records.ids import is_call_id, started_at
from gateway.records.local_bundles import PendingCalls, day_folders
from gateway.records.model import CallRecord, TurnRecord
from gateway.records.wav import repair_wav
from gateway.telemetry.process import ProcessIdentity, is_still_alive

log = structlog.get_logger(__name__)

DAYS = 7
"""How many of the newest day folders are searched; a call lasts hours at most."""
_GRACE = timedelta(seconds=60)
_ACTIVE_MARKS = (b'"state": "active"', b'"state":"active"')


IsAlive = Callable[[CallRecord, Path], bool]
"""Returns whether the worker that has a call, whose bundle is in a folder, still runs."""


def is_written_by_the_living(record: CallRecord, folder: Path) -> bool:
    """Return whether a bundle's worker runs: it holds the lock, or that same process exists.

    A process id alone proves nothing: after a reboot or in a new container another process has it.
    """
    if is_being_written(folder):
        return True
    if record.worker_pid is None or record.worker_started_ticks is None:
        return False  # of a version that locked nothing: its workers ended with its supervisor
    writer = ProcessIdentity(record.worker_pid, record.worker_boot_id, record.worker_started_ticks)
    return is_still_alive(writer)


def repair(directory: Path, is_alive: IsAlive = is_written_by_the_living) -> list[str]:
    """Finish every bundle whose worker is dead.

    Args:
        directory: `records.directory`; need not exist.
        is_alive: returns whether the worker of a call still runs.

    Returns:
        Ids of the calls that were completed, with end reason `worker_lost` unless they had ended.
    """
    repaired = []
    for folder in _unfinished(directory):
        try:
            if _repair_one(folder, is_alive):
                repaired.append(folder.name)
                PendingCalls(directory, "index").put(folder.name)
        except OSError as error:
            log.warning("bundle_not_repaired", folder=str(folder), problem=str(error))
    return repaired


def _unfinished(directory: Path) -> Iterator[Path]:
    for day in day_folders(directory)[:DAYS]:
        for folder in sorted(day.iterdir()):
            if is_call_id(folder.name) and _looks_unfinished(folder):
                yield folder


def _looks_unfinished(folder: Path) -> bool:
    """Decide without parsing: most bundles are finished."""
    try:
        text = (folder / CALL_FILE).read_bytes()
    except OSError:
        return True
    return not text.rstrip().endswith(b"}") or any(mark in text for mark in _ACTIVE_MARKS)


def _repair_one(folder: Path, is_alive: IsAlive) -> bool:
    try:
        record = read_call(folder)
    except (OSError, ValueError):
        last_change = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        if datetime.now(UTC) - last_change < _GRACE:  # perhaps just being made
            return False
        record = CallRecord(call_id=folder.name, direction="in", started_at=started_at(folder.name))
    if record.state == "finished" or is_alive(record, folder):
        return False
    write_call(folder, _completed(folder, record))
    return True


def _completed(folder: Path, record: CallRecord) -> CallRecord:
    events = _events_of(folder)
    end = _last_sign_of_life(folder, events, record.started_at)  # before repair touches it
    turns = _turns_of(events) or record.turns
    update: dict[str, object] = {"turns": turns, "audio_s": _audio_seconds(folder)}
    text = "the worker process ended in mid-call"
    if record.end_reason is not None and record.ended_at is not None:
        update["state"] = "finished"  # its line was over: only tools ran on
        return record.model_copy(update=update)
    return record.model_copy(update=update).ended(end, "worker_lost", text)


def _events_of(folder: Path) -> list[dict[str, Any]]:
    try:
        return list(read_events(folder / EVENTS_FILE))
    except OSError:
        return []


def _turns_of(events: list[dict[str, Any]]) -> tuple[TurnRecord, ...]:
    """Collect the turns from their events; the last one of each index wins."""
    turns: dict[int, TurnRecord] = {}
    for event in events:
        found = parsed(event) if event["kind"] == TurnFinished.kind else None
        if isinstance(found, TurnFinished):
            turns[found.turn.index] = found.turn
    return tuple(turns[index] for index in sorted(turns))


def _audio_seconds(folder: Path) -> float | None:
    try:
        return round(repair_wav(folder / AUDIO_FILE), 3)
    except OSError:
        return None


def _last_sign_of_life(folder: Path, events: list[dict[str, Any]], started: datetime) -> datetime:
    """Return the newest of: last event, last write of the audio, start of the call."""
    signs = [started]
    with suppress(OSError):
        signs.append(datetime.fromtimestamp((folder / AUDIO_FILE).stat().st_mtime, UTC))
    for event in events[-1:]:
        try:
            at = datetime.fromisoformat(str(event.get("at")))
        except ValueError:
            continue
        signs.append(at if at.tzinfo else at.replace(tzinfo=UTC))
    return max(signs)
