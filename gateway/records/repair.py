"""Completes the bundles of workers that died: no record stays "active", none is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from gateway.records.bundle import TURN_EVENT
from gateway.records.disk import day_folders
from gateway.records.files import (
    AUDIO_FILE,
    CALL_FILE,
    EVENTS_FILE,
    read_call,
    read_events,
    write_call,
)
from gateway.records.ids import is_call_id, started_at
from gateway.records.model import CallRecord, TurnRecord
from gateway.records.pending import PendingCalls
from gateway.records.wav import repair_wav

log = structlog.get_logger(__name__)

DAYS = 7
"""So many of the newest day folders are looked at; a call is at most hours long."""
_GRACE = timedelta(seconds=60)
_ACTIVE_MARKS = (b'"state": "active"', b'"state":"active"')


def repair(directory: Path, is_alive: Callable[[int], bool]) -> list[str]:
    """Finish every bundle whose worker is dead.

    Args:
        directory: `records.directory`; need not exist.
        is_alive: tells whether the process with this id is a running worker.

    Returns:
        Ids of the calls that were completed, with end reason `worker_lost`.
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


def _repair_one(folder: Path, is_alive: Callable[[int], bool]) -> bool:
    try:
        record = read_call(folder)
    except (OSError, ValueError):
        last_change = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        if datetime.now(UTC) - last_change < _GRACE:  # perhaps just being made
            return False
        record = CallRecord(call_id=folder.name, direction="in", started_at=started_at(folder.name))
    if record.state == "finished" or (record.worker_pid and is_alive(record.worker_pid)):
        return False
    write_call(folder, _completed(folder, record))
    return True


def _completed(folder: Path, record: CallRecord) -> CallRecord:
    events = _events_of(folder)
    end = _last_sign_of_life(folder, events, record.started_at)  # before repair touches it
    turns = _turns_of(events) or record.turns
    update: dict[str, object] = {"turns": turns, "audio_s": _audio_seconds(folder)}
    text = "the worker process ended in mid-call"
    return record.model_copy(update=update).ended(end, "worker_lost", text)


def _events_of(folder: Path) -> list[dict[str, Any]]:
    try:
        return list(read_events(folder / EVENTS_FILE))
    except OSError:
        return []


def _turns_of(events: list[dict[str, Any]]) -> tuple[TurnRecord, ...]:
    """Take the turns from their events; the last one of each index wins."""
    turns: dict[int, TurnRecord] = {}
    for event in events:
        if event["kind"] == TURN_EVENT:
            try:
                turn = TurnRecord.model_validate(event.get("turn"))
            except ValidationError:
                continue
            turns[turn.index] = turn
    return tuple(turns[index] for index in sorted(turns))


def _audio_seconds(folder: Path) -> float | None:
    try:
        return round(repair_wav(folder / AUDIO_FILE), 3)
    except OSError:
        return None


def _last_sign_of_life(folder: Path, events: list[dict[str, Any]], started: datetime) -> datetime:
    """Give the newest of: last event, last write of the audio, start of the call."""
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
