"""Whether the wall clock may be believed when something is to be deleted for its age.

A clock can be wrong by years (no battery, a bad time server, a restored snapshot), and what it
deletes does not come back.  Its word alone is therefore not enough: it is compared with the time
since boot, with the time of the last comparison, with the newest call, and with the database's
clock.  Where they disagree nothing is deleted, and the disagreement is logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict

from gateway.errors import DatabaseTrouble
from gateway.records import call_table
from gateway.records.bundle_files import replace_file
from gateway.records.database import Database
from gateway.telemetry.process import boot_id

HOLD_S = 86_400.0
"""How long the clocks must agree again after a disagreement before anything is deleted."""
STEP_S = 60.0
"""A time server moves a clock by less at once."""
DRIFT = 0.001
"""And by less in the long run: 86 s a day."""
DATABASE_S = 120.0
"""How far the clock of the database may differ: it belongs to another machine."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """All clocks of this machine at one moment."""

    wall_s: float
    """Seconds since 1970."""
    up_s: float
    """Seconds since boot, sleep included; it cannot be set."""
    boot_id: str


class ClockState(BaseModel):
    """What is known of the clocks since the last look; kept over restarts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    wall_s: float
    up_s: float
    boot_id: str
    anchor_wall_s: float | None = None
    """Both clocks at the first look since which they have run alike: many small steps are a large
    one."""
    anchor_up_s: float | None = None
    agreed_s: float = 0.0
    """Total time for which wall clock and time since boot have run alike; never decreases."""
    held_until_s: float = 0.0
    """Nothing is deleted before `agreed_s` has come so far."""
    doubt: str = ""
    """Why, in words; empty = all clocks agree."""


def read_clocks(wall_s: float) -> Clocks:
    """Read the other clocks beside the wall clock.  Raises OSError."""
    up_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return Clocks(wall_s, up_s, boot_id())


def compare(
    before: ClockState | None,
    now: Clocks,
    *,
    gap_s: float,
    newest_s: float | None = None,
    database_ahead_s: float | None = None,
) -> ClockState:
    """Compare the clocks with their last state.  Pure.

    Args:
        before: as of the last look; None = there was none.
        now: this moment.
        gap_s: how much time may have passed unseen (over a reboot, before the first check).
        newest_s: wall time of the newest call that is older than this process; None = no call.
        database_ahead_s: how far the database's clock is ahead; None = not known.
    """
    agreed_s, passed_s, doubt = _since(before, now, gap_s, newest_s)
    held_until_s = before.held_until_s if before else 0.0
    if not doubt and database_ahead_s is not None and abs(database_ahead_s) > DATABASE_S:
        doubt = f"the database's clock differs by {database_ahead_s:+.0f} s"
    if doubt:
        held_until_s = agreed_s + HOLD_S
    else:
        agreed_s += passed_s
        if before is not None and before.doubt and agreed_s < held_until_s:
            doubt = before.doubt
    is_going_on = before is not None and passed_s > 0.0
    anchor = _anchor_of(before) if before is not None and is_going_on else (now.wall_s, now.up_s)
    return ClockState(
        wall_s=now.wall_s,
        up_s=now.up_s,
        boot_id=now.boot_id,
        anchor_wall_s=anchor[0],
        anchor_up_s=anchor[1],
        agreed_s=agreed_s,
        held_until_s=held_until_s,
        doubt=doubt,
    )


def _since(
    before: ClockState | None, now: Clocks, gap_s: float, newest_s: float | None
) -> tuple[float, float, str]:
    """Return the agreed time, what has passed since by both clocks, and any disagreement."""
    if before is None:
        if newest_s is not None and now.wall_s - newest_s > gap_s:
            return 0.0, 0.0, f"the newest call is {_days(now.wall_s - newest_s)} old"
        return 0.0, 0.0, ""
    wall_s = now.wall_s - before.wall_s
    if now.boot_id == before.boot_id and now.up_s >= before.up_s:
        since_wall_s, since_up_s = _anchor_of(before)
        wall_s, up_s = now.wall_s - since_wall_s, now.up_s - since_up_s
        if abs(wall_s - up_s) > STEP_S + up_s * DRIFT:
            told = f"the wall clock went {_days(wall_s)} while {_days(up_s)} passed"
            return before.agreed_s, 0.0, told
        return before.agreed_s, now.up_s - before.up_s, ""
    if not -STEP_S <= wall_s <= gap_s:
        return before.agreed_s, 0.0, f"over a restart of the machine the clock went {_days(wall_s)}"
    return before.agreed_s, 0.0, ""


def _anchor_of(state: ClockState) -> tuple[float, float]:
    if state.anchor_wall_s is None or state.anchor_up_s is None:
        return state.wall_s, state.up_s
    return state.anchor_wall_s, state.anchor_up_s


def _days(seconds: float) -> str:
    return f"{seconds / 86_400:.2f} days"


log = structlog.get_logger(__name__)

STATE_FILE = ".clock.json"
_EVERY_S = 60.0
_REMIND_S = 3600.0
_DAY_S = 86_400.0
_FOR_EVER_GAP_S = 30 * _DAY_S


class ClockWatch:
    """One per gateway; decides whether what is old may be deleted."""

    def __init__(
        self,
        database: Database,
        directory: Path,
        on_state: Callable[[ClockState], None] = lambda _state: None,
        read: Callable[[float], Clocks] = read_clocks,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Watch the clocks of this machine and of the database.

        Args:
            database: may know calls, and has a clock of its own when it is shared.
            directory: `records.directory`; the state is kept there.
            on_state: told after each look.
            read: reads the other clocks beside the wall clock.
            now: the wall clock.
        """
        self._database = database
        self._file = directory / STATE_FILE
        self._on_state = on_state
        self._read = read
        self._now = now
        self._began = now()
        self._state: ClockState | None = None
        self._told_up_s = 0.0
        self._checking = asyncio.Lock()

    async def run(self, keep_days: float) -> None:
        """Look until cancelled."""
        while True:
            await self.check(keep_days)
            await asyncio.sleep(_EVERY_S)

    async def check(self, keep_days: float) -> ClockState | None:
        """Compare the clocks now; None when one of them cannot be read.

        Args:
            keep_days: the shortest time that something is kept; 0 = for ever.
        """
        async with self._checking:
            try:
                return await self._check(believed_gap_s(keep_days))
            except (OSError, DatabaseTrouble) as error:
                log.error("clocks_not_read", problem=str(error))  # noqa: TRY400 - nothing to trace
                return None

    async def _check(self, gap_s: float) -> ClockState:
        if self._state is None:
            self._state = await self._database.disk(partial(_read_state, self._file))
        newest_s = await self._newest_s() if self._state is None else None
        ahead_s = await self._database_ahead_s()
        now = self._read(self._now().timestamp())
        state = compare(self._state, now, gap_s=gap_s, newest_s=newest_s, database_ahead_s=ahead_s)
        self._tell(state)
        self._state = state
        self._on_state(state)
        with suppress(OSError):  # a full disk: what is known stays in memory until there is room
            await self._database.disk(
                lambda: replace_file(self._file, state.model_dump_json().encode())
            )
        return state

    def _tell(self, state: ClockState) -> None:
        before = self._state.doubt if self._state else ""
        if state.doubt and (not before or state.up_s - self._told_up_s >= _REMIND_S):
            self._told_up_s = state.up_s
            log.error(
                "clocks_disagree", problem=state.doubt, now=self._now().isoformat(),
                agree_for_s=round(state.held_until_s - state.agreed_s),
                effect="nothing is deleted for its age until they have agreed for that time",
            )  # fmt: skip
        elif before and not state.doubt:
            log.warning("clocks_agree", now=self._now().isoformat())

    async def _newest_s(self) -> float | None:
        """Return when the newest call began that this run did not record; None = there is none.

        Raises DatabaseTrouble: not to know is no witness.
        """
        newest = await self._database.read(partial(call_table.newest_before, moment=self._began))
        return newest.timestamp() if newest else None

    async def _database_ahead_s(self) -> float | None:
        if not self._database.is_shared:
            return None
        try:
            there = await self._database.read(call_table.present)
        except DatabaseTrouble:
            return None
        return (there - self._now()).total_seconds()


def believed_gap_s(keep_days: float) -> float:
    """Return how much time may pass unseen by other clocks: deletion may be early by that much.

    A day (machines are switched off), or a tenth of what is kept, but at most half of it.  Pure.
    """
    keep_s = keep_days * _DAY_S
    return min(max(_DAY_S, keep_s / 10), keep_s / 2) if keep_s else _FOR_EVER_GAP_S


def _read_state(file: Path) -> ClockState | None:
    try:
        return ClockState.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
