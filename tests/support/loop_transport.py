"""A transport without SIP: a 20 ms clock on the loop carries its lines, as it does a socket's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.call.line import Answered, CallFacts, Digit, End, HungUp, Line
from gateway.call.transport import CallSink
from gateway.errors import CallRejected, NoCallSlot
from tests.support.fake_line import TICK_S, FakeLine

_REFUSED = 603


class LoopLine(FakeLine):
    """One call; the test is the other side.  It can signal keys and cannot transfer."""

    def __init__(self, facts: CallFacts, media_format: AudioFormat = NARROWBAND) -> None:
        super().__init__(media_format)
        self.facts = facts
        self.can = frozenset({"digits"})
        self.is_silent = False
        """Nothing of the other side arrives any more."""
        self.asked_end: End | None = None
        """How we wanted it to end."""
        self._is_up = asyncio.Event()
        self._arrived = 0

    # --- what the other side does ---

    def accept(self) -> None:
        """Answer a call that was placed."""
        self._come_up()

    def press(self, digit: str) -> None:
        """Press a key."""
        self._events.put_nowait(Digit(digit, "info"))

    def go_away(self, status: int = 200, reason: str = "OK") -> None:
        """Hang up, or refuse a call that was placed."""
        self._end(HungUp("caller", status, reason))

    # --- Line ---

    def signs_of_life(self) -> tuple[object, ...]:
        self._arrived += not self.is_silent
        return (self._arrived,)

    async def answer(self) -> None:
        await super().answer()
        self._come_up()

    async def wait_answered(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_up.wait()
        except TimeoutError:
            self.hang_up_nowait(End("no_answer", "no answer", 487))
            raise CallRejected(408, "not answered") from None
        if self.ended is not None:
            raise CallRejected(self.ended.status, self.ended.reason)

    def hang_up_nowait(self, end: End) -> None:
        if self.ended is None:
            self.asked_end = end
            self._end(HungUp("gateway", 200 if self._was_up else end.status or _REFUSED, end.text))

    _was_up = False

    def _come_up(self) -> None:
        self._was_up = True
        self._is_up.set()
        self._events.put_nowait(Answered())

    def _end(self, how: HungUp) -> None:
        self.ended = how
        self._is_up.set()
        self._events.put_nowait(how)


class LoopTransport:
    """Satisfies `Transport`."""

    def __init__(
        self, sink: CallSink, slots: int = 2, media_format: AudioFormat = NARROWBAND
    ) -> None:
        self.draining = False
        self._media_format = media_format
        self.slots = slots
        self._sink = sink
        self._lines: list[LoopLine] = []

    async def run(self) -> None:
        """Tick all lines until cancelled."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            for line in self._lines:
                line.tick()
            due_s += TICK_S
            await asyncio.sleep(due_s - loop.time())

    def connect(self, called: str = "100", caller: str = "200") -> LoopLine:
        """Somebody calls us."""
        line = self._open(CallFacts(self._sink.new_call_id(), "in", called, caller))
        self._sink.on_incoming(line)
        return line

    def place(
        self,
        target: str,
        trunk: str = "",
        caller_id: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> LoopLine:
        """Call somebody."""
        facts = CallFacts(
            self._sink.new_call_id(), "out", target, caller_id, trunk, variables=variables or {}
        )
        return self._open(facts)

    def release(self, line: Line) -> None:
        """Forget a line."""
        if isinstance(line, LoopLine) and line in self._lines:
            self._lines.remove(line)
            line.inlet.close()

    def active_calls(self) -> int:
        return len(self._lines)

    def clock_late_s(self) -> float:
        return 0.0

    def _open(self, facts: CallFacts) -> LoopLine:
        if self.draining or len(self._lines) >= self.slots:
            raise NoCallSlot(503, "all call slots taken")
        line = LoopLine(facts, self._media_format)
        self._lines.append(line)
        return line
