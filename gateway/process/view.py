"""What others may know of the workers: the edge makes its list of targets of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

WorkerState = Literal["starting", "up", "stuck", "draining"]
"""starting: not warm yet; up: takes calls; stuck: takes none, may come back; draining: takes none
any more, has calls.  One that has ended is no longer listed."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker process at one moment."""

    number: int
    """Of its seat: `worker-3`.  Another process may have it later."""
    host: str
    """Where its SIP is reached from this machine."""
    port: int
    slots: int
    slots_used: int
    """At its last heartbeat."""
    state: WorkerState
    pid: int

    @property
    def takes_calls(self) -> bool:
        """Whether new calls may be sent there."""
        return self.state == "up"


FleetObserver = Callable[[Sequence[WorkerView]], Awaitable[None]]
"""Awaited with all workers whenever one comes, goes, or changes its state.

Never two at a time.  A worker that is to drain refuses calls only after this has returned, one that
is up was announced before the one it replaces drains: when the edge has taken the list over by
then, no call is refused.  An observer must not raise and should give up after a few seconds.
"""
