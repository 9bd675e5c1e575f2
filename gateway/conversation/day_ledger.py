"""DayLedger: what callers have spent at language models within a day, on this machine."""

from __future__ import annotations

import hmac
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from gateway.call.live_call import Spent
from gateway.locked_json import LockedJson
from gateway.threads import BackgroundWriter

LEDGER_ENV = "GATEWAY_LLM_LEDGER"
"""Path of the file in which all workers of this machine count together."""
KEY_ENV = "GATEWAY_LLM_LEDGER_KEY"
"""Key with which they hash the caller; of one run, and in no file."""
ALL = "all"
"""Key of what all callers spend together."""
_HOUR_S = 3600
_DAY_HOURS = 24
_CALLERS = 5000
"""Callers that are counted one by one; the one of the oldest call is forgotten first."""
_Entries = dict[str, dict[str, list[float]]]
"""Caller -> hour -> requests, tokens, cost."""

log = structlog.get_logger(__name__)


class _Addition(NamedTuple):
    """What is to be counted."""

    keys: tuple[str, ...]
    hour: str
    amounts: tuple[int, int, float]
    is_correction: bool


class DayLedger:
    """Counts in memory at once, and in a file that the workers share as soon as its lock is free.

    The file is read and written on a thread: no call waits for the disk or for another worker.  So
    a worker that is killed loses what it has counted since its last turn at the file (milliseconds,
    on a disk that works), and what others count is known to it from its own last turn, which is the
    beginning of a call or its latest request: requests under way at the same time may together
    exceed a limit of a day by one per worker.  Callers are kept as hashes, by a key of this run of
    the gateway.  Times are monotonic seconds of this machine, in whole hours.
    """

    def __init__(
        self,
        path: Path | None,
        now_s: Callable[[], float] = time.monotonic,
        key: str = "",
    ) -> None:
        """Accept the file, made when it is missing; None = of this process alone."""
        self._file = LockedJson(path)
        self._now_s = now_s
        self._key = (key or secrets.token_hex(16)).encode()
        self._known: _Entries = {}
        """As the file was last seen.  The thread replaces it."""
        self._waiting: deque[_Addition] = deque()
        """Not in `_known` yet.  The loop appends, the thread takes away."""
        self._writer = BackgroundWriter("llm-ledger") if path else None

    @classmethod
    def of_machine(cls) -> DayLedger:
        """Return the one that the workers of this machine share; the same to all of a process."""
        return _shared(os.environ.get(LEDGER_ENV, ""), os.environ.get(KEY_ENV, ""))

    def key_of(self, who: str) -> str:
        """Hash a number or an address."""
        return hmac.new(self._key, who.encode(errors="replace"), "sha256").hexdigest()[:16]

    def spent(self, key: str) -> Spent:
        """Sum up a caller's last 24 hours, as far as it is known here.  Never blocks."""
        since = self._hour - _DAY_HOURS
        total = Spent()
        for hour, amounts in self._known.get(key, {}).items():
            if int(hour) > since:
                total.add(Spent(*amounts))  # type: ignore[arg-type]  # whole numbers, but the cost
        for more in tuple(self._waiting):
            if key in more.keys:
                total.add(Spent(*more.amounts))
        return total

    def add(self, keys: tuple[str, ...], more: Spent, *, is_correction: bool = False) -> None:
        """Count more of a caller, and of all.  Never blocks.

        Args:
            keys: of the callers.
            more: what is added; negative in a correction.
            is_correction: it changes what was counted; forgotten callers stay forgotten.
        """
        amounts = (more.requests, more.tokens, more.cost)
        self._waiting.append(_Addition(keys, str(self._hour), amounts, is_correction))
        self.refresh()

    def refresh(self) -> None:
        """Learn what other workers have counted, soon.  Never blocks."""
        if self._writer is not None:
            self._writer.submit(self._merge)
        else:
            self._merge()

    async def forget(self, who: str, timeout_s: float = 10.0) -> bool:
        """Remove a caller from the file; return False when that fails or lasts too long."""
        key, done = self.key_of(who), []

        def remove() -> None:
            try:
                with self._file.changed() as entries:
                    entries.pop(key, None)
            except (OSError, ValueError) as error:
                log.warning("llm_ledger_unusable", problem=str(error))
            else:
                self._known.pop(key, None)
                done.append(True)

        if self._writer is None:
            remove()
        else:
            self._writer.submit(remove)
            await self._writer.settled(timeout_s)
        return bool(done)

    def close(self) -> None:
        """Write what waits, and end the thread."""
        if self._writer is not None:
            self._writer.close()

    @property
    def _hour(self) -> int:
        return int(self._now_s() // _HOUR_S)

    def _merge(self) -> None:
        """Bring what waits into the file and learn what is there.  On the thread.

        Without a file that can be used, this process counts alone.
        """
        count = len(self._waiting)
        batch = [self._waiting[position] for position in range(count)]
        since = self._hour - _DAY_HOURS
        try:
            with self._file.changed() as content:
                entries = _merged(_recent(content, since), batch)
                content.clear()
                content.update(entries)
        except (OSError, ValueError) as error:
            log.warning("llm_ledger_unusable", problem=str(error))
            entries = _merged(_recent(self._known, since), batch)
        self._known = entries
        for _ in range(count):  # only now: counted twice for an instant is better than not at all
            self._waiting.popleft()


@cache
def _shared(path: str, key: str) -> DayLedger:
    return DayLedger(Path(path) if path else None, key=key)


def _merged(entries: _Entries, batch: list[_Addition]) -> _Entries:
    for more in batch:
        for key in more.keys:
            if more.is_correction and key not in entries:
                continue
            hours = entries.pop(key, {})
            known = hours.get(more.hour, [0, 0, 0.0])
            hours[more.hour] = [a + b for a, b in zip(known, more.amounts, strict=True)]
            entries[key] = hours
    while len(entries) > _CALLERS:
        del entries[next(key for key in entries if key != ALL)]
    return entries


def _recent(content: dict[str, Any], since: int) -> _Entries:
    """Copy what is not older.  Raises ValueError: it is no ledger."""
    try:
        recent = {
            key: {hour: _amounts(*found) for hour, found in hours.items() if int(hour) > since}
            for key, hours in content.items()
        }
    except (AttributeError, TypeError) as error:
        raise ValueError("it holds something else") from error
    return {key: hours for key, hours in recent.items() if hours}


def _amounts(requests: float, tokens: float, cost: float) -> list[float]:
    return [int(requests), int(tokens), float(cost)]
