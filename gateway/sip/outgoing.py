"""What may leave: every call that we place and every transfer passes here first."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from gateway.config.destinations import Destinations
from gateway.config.models import OutgoingConfig, TrunkConfig
from gateway.errors import OutgoingRefused
from gateway.locked_json import LockedJson
from gateway.telemetry.process import is_process_alive

LEDGER_ENV = "GATEWAY_OUTGOING_LEDGER"
"""Path of the file in which all workers of this machine count together."""
_HOUR_S = 3600.0
_MINUTE_S = 60.0


@dataclass(slots=True)
class Ledger:
    """What was placed lately.  Pure; times are monotonic seconds of this machine."""

    begun_s: list[float] = field(default_factory=list)
    """Calls and transfers of the last hour."""
    up: list[tuple[int, str]] = field(default_factory=list)
    """(process id, call id) of the placed calls that have not ended."""

    def broken_cap(self, caps: OutgoingConfig, now_s: float, *, is_call: bool) -> str:
        """Name the cap that one more would break; empty = none."""
        self.begun_s = [at for at in self.begun_s if 0 <= now_s - at < _HOUR_S]
        last_minute = sum(now_s - at < _MINUTE_S for at in self.begun_s)
        if is_call and len(self.up) >= caps.concurrent:
            return "concurrent"
        if last_minute >= caps.calls_per_minute:
            return "calls_per_minute"
        return "calls_per_hour" if len(self.begun_s) >= caps.calls_per_hour else ""


class SharedLedger:
    """A ledger in a file, changed under its lock: a few hundred bytes, a few times a minute."""

    def __init__(self, path: Path | None) -> None:
        """Accept the file, made when it is missing; None = of this process alone."""
        self._file = LockedJson(path)

    @contextmanager
    def changed(self) -> Iterator[Ledger]:
        """Return the ledger to look at and change.

        Raises:
            OSError: the file cannot be used.
            ValueError: it holds something else.
        """
        with self._file.changed() as content:
            ledger = _read(content)
            yield ledger
            content.update(begun_s=ledger.begun_s, up=ledger.up)


class OutgoingGuard:
    """Judges and counts what one worker sends out."""

    def __init__(
        self,
        config: OutgoingConfig,
        trunks: Iterable[TrunkConfig],
        on_refused: Callable[[str, str], None],
        ledger: SharedLedger | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Accept `[outgoing]` and a callback for refusals: (rule, target)."""
        self._servers = {trunk.name: trunk.server for trunk in trunks}
        self.change(config)
        self._on_refused = on_refused
        path = os.environ.get(LEDGER_ENV)
        self._ledger = ledger or SharedLedger(Path(path) if path else None)
        self._now_s = now_s

    def change(self, config: OutgoingConfig) -> None:
        """Judge by this from now on, what calls in progress ask for too."""
        self._config = config
        self._destinations = Destinations(config.allow, self._servers, config.deny)

    def begin_call(self, call_id: str, target: str, trunk: str) -> None:
        """Allow one call and count it.  Raises OutgoingRefused, which names the rule."""
        self.check_destination(target, trunk)
        self._count(target, call_id)

    def end_call(self, call_id: str) -> None:
        """A call that was begun is over, or never came about.  Idempotent.

        Where that cannot be noted, it counts as being up until this process ends.
        """
        with suppress(OSError, ValueError), self._ledger.changed() as ledger:
            ledger.up = [entry for entry in ledger.up if entry[1] != call_id]

    def begin_transfer(self, target: str, trunk: str = "") -> None:
        """Allow one transfer of a call over this trunk and count it.  Raises OutgoingRefused."""
        self.check_destination(target, trunk)
        self._count(target, "")

    def server_of(self, trunk: str) -> str:
        """Return the server of a trunk, empty for none."""
        return self._servers.get(trunk, "")

    def check_destination(self, target: str, trunk: str = "") -> None:
        """Look at the destination alone.  Raises OutgoingRefused."""
        verdict = self._destinations.verdict(target, trunk)
        if verdict == "allowed":
            return
        if verdict == "denied":
            why = f"calls to {target}: [outgoing] deny names it"
            self._refuse(403, "outgoing.deny", target, why)
        why = "does not allow it" if self._config.allow else "is empty, so none are"
        self._refuse(403, "outgoing.allow", target, f"calls to {target}: [outgoing] allow {why}")

    def _count(self, target: str, call_id: str) -> None:
        try:
            with self._ledger.changed() as ledger:
                ledger.up = [entry for entry in ledger.up if is_process_alive(entry[0])]
                now_s = self._now_s()
                cap = ledger.broken_cap(self._config, now_s, is_call=bool(call_id))
                if not cap:
                    ledger.begun_s.append(now_s)
                    ledger.up += [(os.getpid(), call_id)] if call_id else []
        except (OSError, ValueError) as error:  # what cannot be counted must not go out
            self._refuse(503, "outgoing.ledger", target, f"calls cannot be counted: {error}")
        if cap:
            why = f"calls to {target}: {cap} = {getattr(self._config, cap)} is used up"
            self._refuse(429, f"outgoing.{cap}", target, why)

    def _refuse(self, status: int, rule: str, target: str, reason: str) -> NoReturn:
        self._on_refused(rule, target)
        raise OutgoingRefused(status, f"{reason} (rule {rule})")


def _read(found: dict[str, Any]) -> Ledger:
    if not found:
        return Ledger()
    try:
        return Ledger(
            [float(at) for at in found["begun_s"]],
            [(int(pid), str(call_id)) for pid, call_id in found["up"]],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a ledger: {str(found)[:80]}") from error
