"""The calls of an endpoint, and the media ports that limit how many there can be."""

from __future__ import annotations

import asyncio

from gateway.call.inlet import TickBell
from gateway.errors import NoCallSlot
from gateway.sip.bridge import Bridge
from gateway.sip.call import SipLine
from gateway.sip.credentials import Credentials
from gateway.sip.incoming import addressed
from gateway.sip.media_port import CallMediaPort
from gateway.sip.outgoing import OutgoingGuard
from gateway.sip.received import Received
from gateway.sip.running_library import RunningLibrary
from gateway.sip.untrusted import HeldSlot
from gateway.threads import monotonic_ns


class Lines:
    """Every call has a port from the INVITE until it is released.  Loop thread only."""

    def __init__(
        self,
        slots: int,
        library: RunningLibrary,
        outgoing: OutgoingGuard,
        credentials: Credentials,
    ) -> None:
        """Prepare; there is no port before `open`.

        Args:
            slots: number of calls at the same time.
            library: knows which dialogs are alive.
            outgoing: is told of the end of placed calls.
            credentials: the same.
        """
        self.slots = slots
        self._library = library
        self._outgoing = outgoing
        self._credentials = credentials
        self._lines: set[SipLine] = set()
        self._ports: list[CallMediaPort] = []
        self._free_ports: list[CallMediaPort] = []

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Create the ports: twice the number of calls.

        Each call may end and another begin before its last words are written.
        """
        bell, bridge = TickBell(loop), Bridge()
        self._ports = [CallMediaPort(f"slot{i}", bell, bridge) for i in range(2 * self.slots)]
        self._free_ports = list(self._ports)

    def close(self) -> None:
        """Let go of everything, before the library ends."""
        for line in self._lines:
            line.release()  # the library's objects end before their last holder does
        self._lines.clear()
        self._free_ports.clear()
        self._ports.clear()

    def take_port(self) -> CallMediaPort:
        """Return a free port.  Raises NoCallSlot."""
        if not self._free_ports:
            raise NoCallSlot(503, "no media port free")
        return self._free_ports.pop()

    def add(self, line: SipLine) -> None:
        """Accept a call that has its port."""
        self._lines.add(line)

    def remove(self, line: SipLine) -> None:
        """Forget a call that is over; its slot is free.  Idempotent."""
        if line in self._lines:
            self._lines.discard(line)
            self.recycle(line)

    def recycle(self, line: SipLine) -> None:
        """Take back the port of a call, which may never have been added."""
        port = line.release()
        if line.facts.direction == "out":
            self._outgoing.end_call(line.facts.call_id)
            self._credentials.ended(line.facts.sip_call_id)
        if port is not None:
            self._free_ports.append(port)

    def make_room(self) -> None:
        """Delete the library's objects of calls that are over, before their numbers are reused.

        A deleted `pj.Call` hangs up whatever call has its number by then.
        """
        for line in self._lines:
            line.drop_ended_leg()

    @property
    def has_conversation(self) -> bool:
        """True while a call has a conversation: what happens in it is looked for more often."""
        return any(line.is_in_conversation for line in self._lines)

    def watch_media(self) -> None:
        """Look at the packets of every call."""
        for line in self._lines:
            line.watch_media()

    # --- which call a request belongs to ---

    def line_of(self, received: Received) -> SipLine | None:
        """Find the call whose dialog a request belongs to."""
        line = addressed(self._lines, received)
        return line if line is not None and self._has_dialog(received) else None

    def is_within(self, received: Received) -> bool:
        """Return whether a request belongs to a call, by both of its tags."""
        return bool(received.to_tag) and self.line_of(received) is not None

    def is_over(self, received: Received) -> bool:
        """The dialog of a request is still there, but its call is over, or we are ending it."""
        if not self._has_dialog(received):
            return False
        line = self.line_of(received)
        return line is None or line.is_ending

    def _has_dialog(self, received: Received) -> bool:
        tags = received.to_tag, received.from_tag
        return self._library.has_dialog(received.call_id, *tags)

    # --- counts ---

    def __bool__(self) -> bool:
        """Return whether there is any call."""
        return bool(self._lines)

    def active_calls(self) -> int:
        """Slots in use; that of a call which is over is free while its last words are written."""
        if not self._free_ports:
            return self.slots
        counted = self._library.active_calls()
        return max(counted, sum(line.ended is None for line in self._lines))

    def clock_late_s(self) -> float:
        """Return how long the media clock is overdue in calls that are up."""
        up = [line.port for line in self._lines if line.is_confirmed and line.ended is None]
        now_ns = monotonic_ns()
        return max((port.late_s(now_ns) for port in up if port is not None), default=0.0)

    def untrusted_slots(self) -> list[HeldSlot]:
        """Return the slots of untrusted calls, with ended ones that the library still holds."""
        up = [line for line in self._lines if line.ended is None]
        held = [
            HeldSlot(line.facts.source.rpartition(":")[0], line.is_confirmed)
            for line in up
            if line.is_untrusted
        ]
        counted = self._library.active_calls()
        return held + [HeldSlot("", is_acknowledged=True)] * max(0, counted - len(up))
