"""Retention: deletes calls, or their audio alone, once they are old enough.

Deleting cannot be undone.  It therefore takes more than the wall clock: all clocks must agree
(`clock.py`), and what is deleted was marked a grace period before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict

from gateway.errors import DiskTrouble, GatewayError, StoreTrouble
from gateway.records import call_table
from gateway.records.bundle_files import replace_file
from gateway.records.call_table import OldCall
from gateway.records.clock import ClockState
from gateway.records.database import Database
from gateway.records.deletion import Deletion

_MARK_EVERY_S = 600.0
"""Marks nearer to each other are one."""


class Mark(BaseModel):
    """One look at what is old."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    agreed_s: float
    """`ClockState.agreed_s` when it was set."""
    before_s: float
    """Wall time; what began earlier was old, or is by the end of the grace period."""


def marked(
    marks: Iterable[Mark], agreed_s: float, wall_s: float, keep_s: float, grace_s: float
) -> tuple[Mark, ...]:
    """Add what is old now; drop marks that newer ones have made useless."""
    kept = [mark for mark in marks if mark.agreed_s <= agreed_s]
    if not kept or agreed_s - kept[-1].agreed_s >= min(_MARK_EVERY_S, grace_s):
        # Set early by the grace period: what is marked goes when its time has come, not later.
        kept.append(Mark(agreed_s=agreed_s, before_s=wall_s - max(0.0, keep_s - grace_s)))
    ripe = [mark for mark in kept if agreed_s - mark.agreed_s >= grace_s]
    return tuple(ripe[-1:] + kept[len(ripe) :])


def deletable_before(
    marks: Iterable[Mark], agreed_s: float, wall_s: float, keep_s: float, grace_s: float
) -> float | None:
    """Return the wall time before which calls began that may be deleted now; None = none may."""
    ripe = [mark.before_s for mark in marks if agreed_s - mark.agreed_s >= grace_s]
    return min(wall_s - keep_s, ripe[-1]) if ripe else None


log = structlog.get_logger(__name__)

BATCH = 100
MARKS_FILE = ".marks.json"
_EVERY_S = 600.0
_FIRST_S = 5.0
_DAY_S = 86_400.0
_HOUR_S = 3600.0
_STORE_TRIES = 3
"""Consecutive failures after which the store counts as gone until the next round."""


class Marks(BaseModel):
    """What was found old, and when; `records.directory/.marks.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    calls: tuple[Mark, ...] = ()
    audio: tuple[Mark, ...] = ()


class Retention:
    """One per gateway; each deletes its own calls, and those of gateways that are gone."""

    def __init__(
        self,
        database: Database,
        directory: Path,
        hosts: Callable[[], Awaitable[list[str] | None]],
        deletion: Deletion,
        on_left: Callable[[int], None] = lambda _count: None,
    ) -> None:
        """Delete by these means.

        Args:
            database: says what is old.
            directory: `records.directory`; the marks are kept there.
            hosts: those whose calls are to be deleted; None = all.
            deletion: deletes calls everywhere.
            on_left: told how many old calls could not be deleted at the last look.
        """
        self._database = database
        self._file = directory / MARKS_FILE
        self._hosts = hosts
        self._deletion = deletion
        self._on_left = on_left
        self._after = {False: "", True: ""}
        """By `audio_only`: the next look begins behind this call; empty = at the oldest."""

    async def run(
        self,
        look: Callable[[], Awaitable[ClockState | None]],
        keep_days: float,
        keep_audio_days: float,
        grace_h: float,
    ) -> None:
        """Look every ten minutes until cancelled.

        Args:
            look: compares the clocks.
            keep_days: how long calls are kept; 0 = for ever.
            keep_audio_days: how long their audio is.
            grace_h: hours between marking and deletion.
        """
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                await self.advance(await look(), keep_days, keep_audio_days, grace_h)
            except (GatewayError, OSError) as error:
                log.warning("old_calls_not_deleted", problem=str(error))
            await asyncio.sleep(_EVERY_S)

    async def advance(
        self,
        clock: ClockState | None,
        keep_days: float,
        keep_audio_days: float,
        grace_h: float = 0.0,
    ) -> int:
        """Mark what is old and delete what was marked; return how much that was.

        Nothing is deleted, and all marks are dropped, while the clocks disagree.

        Raises:
            GatewayError, OSError: it could not be done; it is tried again.
        """
        if clock is None:
            return 0
        if clock.doubt:
            await self._database.disk(partial(self._file.unlink, missing_ok=True))
            return 0
        marks = await self._database.disk(partial(_read_marks, self._file))
        call_marks, before = _due(clock, marks.calls, keep_days, grace_h)
        audio_marks, audio_before = _due(clock, marks.audio, keep_audio_days, grace_h)
        calls = await self._delete(before, self._deletion.old, audio_only=False)
        audio = await self._delete(audio_before, self._deletion.audio, audio_only=True)
        self._tell(calls, audio)
        text = Marks(calls=call_marks, audio=audio_marks).model_dump_json().encode()
        await self._database.disk(partial(replace_file, self._file, text))
        if calls.deleted or audio.deleted:
            await self._deletion.traces()
        return calls.deleted + audio.deleted

    async def _delete(
        self,
        before: datetime | None,
        delete: Callable[[OldCall], Awaitable[bool]],
        *,
        audio_only: bool,
    ) -> _Result:
        """Delete what began before a moment; what cannot be deleted holds up nothing behind it."""
        result = _Result()
        if before is None:
            return result
        hosts = await self._hosts()
        find = partial(
            call_table.older_than, before=before, hosts=hosts, audio_only=audio_only, limit=BATCH
        )
        while found := await self._database.read(partial(find, after=self._after[audio_only])):
            for call in found:
                self._after[audio_only] = call.call_id
                try:
                    result.deleted += await delete(call)
                    result.store_failures = 0
                except (DiskTrouble, StoreTrouble) as error:
                    result.failed(error)
                if result.store_failures >= _STORE_TRIES:
                    return result
        self._after[audio_only] = ""
        return result

    def _tell(self, calls: _Result, audio: _Result) -> None:
        left = calls.problems + audio.problems
        self._on_left(len(left))
        if left:
            log.warning("old_calls_not_deleted", calls=len(left), problem=left[0])
        if calls.deleted or audio.deleted:
            log.info("old_calls_deleted", calls=calls.deleted, audio_only=audio.deleted)


@dataclass(slots=True)
class _Result:
    """What came of one look."""

    deleted: int = 0
    problems: list[str] = field(default_factory=list)
    store_failures: int = 0
    """Of the store, in a row."""

    def failed(self, error: DiskTrouble | StoreTrouble) -> None:
        self.problems.append(str(error))
        self.store_failures += isinstance(error, StoreTrouble)


def _due(
    clock: ClockState, marks: tuple[Mark, ...], keep_days: float, grace_h: float
) -> tuple[tuple[Mark, ...], datetime | None]:
    """Return the marks that stand, and before what moment something must have begun to go."""
    keep_s = keep_days * _DAY_S
    if not keep_s:
        return (), None
    grace_s = min(grace_h * _HOUR_S, keep_s / 2)
    marks = marked(marks, clock.agreed_s, clock.wall_s, keep_s, grace_s)
    before_s = deletable_before(marks, clock.agreed_s, clock.wall_s, keep_s, grace_s)
    return marks, None if before_s is None else datetime.fromtimestamp(before_s, UTC)


def _read_marks(file: Path) -> Marks:
    try:
        return Marks.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return Marks()
