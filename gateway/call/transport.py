"""Transport: what brings lines, and what accepts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.call.line import Line


class CallSink(Protocol):
    """Takes the calls that a transport finds."""

    def new_call_id(self) -> str:
        """Make an id for a call."""

    def on_incoming(self, line: Line) -> None:
        """Serve an admitted call: answer or refuse it."""


class Transport(Protocol):
    """Carries calls; one per worker.  Made with the sink that takes them.  Loop thread only."""

    draining: bool
    """Set to refuse new calls from now on."""

    @property
    def slots(self) -> int:
        """How many calls it carries at once."""

    async def run(self) -> None:
        """Carry calls until cancelled."""

    def place(self, target: str, trunk: str, caller_id: str, variables: Mapping[str, str]) -> Line:
        """Begin an outgoing call; the line tells what becomes of it.

        Args:
            target: the address to call, as the transport names parties.
            trunk: over which trunk; empty = straight to the target.
            caller_id: number to show, empty = as configured.
            variables: what the request that places it tells the agent.

        Raises:
            OutgoingRefused: the configuration does not allow it.
            NoCallSlot: all slots are taken.
            SipError: unknown trunk, bad target, or it cannot be called.
        """

    def release(self, line: Line) -> None:
        """Forget a call that is over; its slot is free.  Idempotent."""

    def active_calls(self) -> int:
        """Return how many slots are in use."""

    def clock_late_s(self) -> float:
        """Return by how much the clock of the calls that are up is overdue."""
