"""FrameInlet: caller audio from the clock thread to the loop, for many calls by one bell.

There are no locks: deque append and pop are atomic, every counter has one writer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context

from gateway.audio.format import ANALYSIS, AudioFormat
from gateway.audio.level import has_sound
from gateway.call.media import Tick

_PTIME_NS = ANALYSIS.ptime_ms * 1_000_000


class TickBell:
    """Wakes the loop once per tick of the clock, however many calls the tick was of.

    One per worker: all its calls are carried by one clock thread, one after the other.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: list[FrameInlet] = []
        self._seen: list[FrameInlet] = []
        """In the present tick."""
        self._expected = 1
        """How many the tick before had."""
        self._is_fewer = False
        """The loop thread may set it."""

    def due(self, inlet: FrameInlet, *, at_once: bool) -> None:
        """Wake the reader of an inlet with the last one of this tick.  Clock thread only.

        Args:
            inlet: has something to read.
            at_once: it is not due in every tick, so that the others do not wait for it.
        """
        self.put_down(inlet)
        if not at_once:
            if inlet in self._seen:  # the next tick has begun
                self._expected = 1 if self._is_fewer else len(self._seen)
                self._is_fewer = False
                self._seen.clear()
            self._seen.append(inlet)
        if self._due and (at_once or len(self._seen) >= self._expected):
            self.ring()

    def put_down(self, inlet: FrameInlet) -> None:
        """Wake the reader of an inlet when the bell rings next.  Clock thread only."""
        if not inlet.is_due:
            inlet.is_due = True
            self._due.append(inlet)

    def expect_fewer(self) -> None:
        """Wait for no inlet in the next tick: one was closed.  Loop thread."""
        self._is_fewer = True

    def ring(self) -> None:
        """Wake the readers that were put down.  Clock thread only."""
        if not self._due:
            return
        due, self._due = self._due, []
        try:
            self._loop.call_soon_threadsafe(_wake_all, due)
        except RuntimeError:  # the loop is closing: nothing will be read
            for inlet in due:
                inlet.give_up()


class FrameInlet:
    """Caller audio from the clock thread to the loop; the oldest is dropped when none is read."""

    CAPACITY = 250

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bell: TickBell | None = None,
        line_format: AudioFormat = ANALYSIS,
    ) -> None:
        self._loop = loop
        self._bell = bell or TickBell(loop)
        self.format = line_format
        """Of the ticks from now on; earlier ones may wait.  The line writes, on the loop thread."""
        self._ticks: deque[Tick] = deque()
        self._accept: Callable[[list[Tick]], None] | None = None
        self._context = copy_context()
        self._end: asyncio.Future[None] | None = None
        self._closed = False
        self._round = 0
        self.is_due = False
        """The reader is about to be woken.  Both threads write."""
        self.is_heard = False
        """A conversation wants to know at once of what may be speech.  Loop thread writes."""
        self._batch = 1
        self.dropped_frames = 0
        """Frames lost because the loop was too slow.  Clock thread writes."""

    def put(self, tick: Tick) -> None:
        """Accept one tick.  Clock thread only."""
        if self._closed:
            return
        ticks = self._ticks
        if len(ticks) >= self.CAPACITY:
            try:
                ticks.popleft()
                self.dropped_frames += 1
            except IndexError:
                pass
        ticks.append(tick)
        batch, bell = self._batch, self._bell
        if batch == 1:
            bell.due(self, at_once=False)
        elif self.is_heard and has_sound(tick.received):
            bell.due(self, at_once=True)
        elif self.is_due:  # since the tick before, so that all such calls are read at once
            bell.ring()
        elif (now := tick.at_ns // (batch * _PTIME_NS)) != self._round or len(ticks) > batch:
            self._round = now
            bell.put_down(self)

    @property
    def batch(self) -> int:
        """The reader is woken when about this number of ticks waits: together with others."""
        return self._batch

    @batch.setter
    def batch(self, batch: int) -> None:
        if batch != self._batch:
            self._batch = batch
            self._bell.expect_fewer()

    @property
    def waiting(self) -> int:
        """Number of ticks that were not read."""
        return len(self._ticks)

    def close(self) -> None:
        """End `deliver` after the ticks that are already here."""
        self._closed = True
        self._bell.expect_fewer()
        self.wake()
        self._settle()

    def give_up(self) -> None:
        """Accept nothing more: the loop is closing.  Clock thread only."""
        self._closed = True

    def wake(self) -> None:
        """Let the reader read.  Loop thread only."""
        self.is_due = False
        if self._accept is None:
            return
        try:
            if ticks := self.take_nowait():
                self._context.run(self._accept, ticks)
        except Exception as error:  # noqa: BLE001 - it is the reader's
            self._accept = None
            self._settle(error)

    def take_nowait(self) -> list[Tick]:
        """Return the ticks that are here, in order.  Loop thread only."""
        ticks = self._ticks
        return [ticks.popleft() for _ in range(len(ticks))]

    async def deliver(self, accept: Callable[[list[Tick]], None]) -> None:
        """Hand ticks over in order until `close`, all that are here at once; for one reader.

        Args:
            accept: called from the loop, in the context of this call; what it raises comes out
                of here.
        """
        self._end = self._loop.create_future()
        self._context = copy_context()
        self._accept = accept
        self.wake()
        if self._closed:
            self._settle()
        try:
            await self._end
        finally:
            self._accept = None

    def _settle(self, error: Exception | None = None) -> None:
        if self._end is None or self._end.done():
            return
        if error is not None:
            self._end.set_exception(error)
        else:
            self._end.set_result(None)


def _wake_all(inlets: list[FrameInlet]) -> None:
    for inlet in inlets:
        inlet.wake()
