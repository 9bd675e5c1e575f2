"""Media between the clock that carries calls and the loop that decides about them.

The clock (PJMEDIA's thread, or a task for a line that has none) hands caller audio in through
`FrameInlet` and takes bot audio out of `FrameOutlet`.  There are no locks: deque append and pop are
atomic, only whole frames are queued, every counter has one writer.

A frame is one ptime of s16 at the rate of the line or of `ANALYSIS`; its length says which.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gateway.audio.converter import Converter
from gateway.audio.format import ANALYSIS, SAMPLE_BYTES, AudioFormat
from gateway.audio.ramp import ramp_down, ramp_up
from gateway.audio.resume_point import REACH_FRAMES, rewind_frames

SILENCE = bytes(ANALYSIS.frame_bytes)


class Tick(NamedTuple):
    """One ptime of a call as the clock thread saw it: both directions, sample-aligned."""

    received: bytes
    """A frame from the caller; silence when nothing came."""
    sent: bytes
    """The frame handed to RTP in the same tick, at the same rate."""
    at_ns: int
    """`time.monotonic_ns()` in the clock thread."""
    has_media: bool
    """False while the stream is off (before answer, on hold)."""


class FrameOutlet:
    """Bot audio not yet sent.  The clock thread is the only judge of what was played."""

    def __init__(self) -> None:
        self._lane = Lane()
        self._cut: Lane | None = None
        self._sounding: Lane | None = None
        """Whose frame the latest `pull` gave as it was.  Clock thread writes."""
        self._faded: Lane | None = None
        """Whose speech a pause broke off.  Clock thread writes."""
        self.is_paused = False
        """Loop thread writes."""
        self._aside: Lane | None = None
        """Heard instead of the lane, which waits.  Loop thread writes."""
        self.last = SILENCE
        """What the latest `pull` returned.  Clock thread writes."""
        self._converter: Converter | None = None
        """While frames of another rate than the line's are sounding.  Clock thread only."""

    @property
    def is_busy(self) -> bool:
        """True while there is speech to be sent."""
        return bool(self._lane.frames)

    @property
    def is_sounding(self) -> bool:
        """True when the latest `pull` gave a frame of speech as it was, silent or not."""
        return self._sounding is not None

    def open(self, lane: Lane | None = None) -> Lane:
        """Start a stretch of speech; audio of the old one that is not yet sent is dropped.

        Args:
            lane: one that was made and perhaps filled before; a new one without it.  Nothing of a
                lane that was closed meanwhile is played.
        """
        self.clear()
        if lane is not None:
            if lane.closed:
                lane.frames.clear()
            self._lane = lane
        return self._lane

    def clear(self) -> Lane:
        """Fall silent: at most one more frame is sent, ramped down.  Returns the ended lane.

        Ends a pause; nothing more is sent then.
        """
        old = self._lane
        old.closed = True
        # The cut is set first: a `pull` in between must find one or the other.  A cut that was not
        # pulled yet stays: what followed it has not been heard.
        if old.frames and self._cut is None:
            self._cut = old
        self._lane = Lane()
        self.is_paused = False  # last: until here a `pull` must not go on with the old lane
        return old

    def pause(self) -> None:
        """Fall silent within one ramped frame and keep everything that is queued.  Idempotent."""
        self.is_paused = True

    def resume(self) -> None:
        """Go on from the last word gap before the pause, `Lane.played` falls to it.  Idempotent.

        Goes on where it is when nothing was broken off: before the lane's first frame, between
        two stretches, or when the pause was too short to be pulled.
        """
        self.is_paused = False

    @contextmanager
    def aside(self) -> Iterator[Lane]:
        """Put speech off for something else, or for silence; then it goes on as after a pause."""
        lane = self._aside = Lane()
        try:
            yield lane
        finally:
            lane.closed = True
            self._aside = None

    def pull(self, line_format: AudioFormat = ANALYSIS) -> bytes:
        """Return the next frame for RTP.  Clock thread only.

        Args:
            line_format: what is sent.  Frames at another rate (tones, recordings, prompts that were
                rendered before the codec was known) are converted here.
        """
        cut, aside = self._cut, self._aside
        if cut is not None:
            self._cut = None
            frame = self._end(cut)
        elif aside is not None and self._sounding is None:
            frame = aside.take() if aside.frames else SILENCE
        elif aside is not None or self.is_paused:
            frame = self._break_off(self._lane)
        else:
            frame = self._go_on(self._lane)
        if len(frame) != line_format.frame_bytes or self._converter is not None:
            frame = self._converted(frame, line_format)
        self.last = frame
        return frame

    def _converted(self, frame: bytes, line_format: AudioFormat) -> bytes:
        if frame is SILENCE:
            converter, self._converter = self._converter, None
            rest = b"" if converter is None else converter.flush()
            return rest.ljust(line_format.frame_bytes, b"\0")
        if len(frame) == line_format.frame_bytes:
            self._converter = None
            return frame
        if self._converter is None:
            rate_hz = len(frame) // SAMPLE_BYTES * 1000 // line_format.ptime_ms
            self._converter = Converter(AudioFormat(rate_hz), line_format)
        return self._converter.process(frame)

    def _end(self, lane: Lane) -> bytes:
        is_sounding = self._sounding is lane
        self._sounding = None
        frame = ramp_down(lane.take()) if is_sounding and lane.frames else SILENCE
        lane.frames.clear()
        return frame

    def _break_off(self, lane: Lane) -> bytes:
        """Fade what is sounding.  The faded frame stays queued: it has not been said."""
        is_sounding = self._sounding is lane
        self._sounding = None
        if not is_sounding or not lane.frames:
            return SILENCE
        self._faded = lane
        return ramp_down(lane.frames[0])

    def _go_on(self, lane: Lane) -> bytes:
        was_broken_off, self._faded = self._faded is lane, None
        if was_broken_off:
            lane.rewind()
        if not lane.frames:
            self._sounding = None
            return SILENCE
        self._sounding = lane
        frame = lane.take()
        return ramp_up(frame) if was_broken_off else frame


class Lane:
    """Audio of one stretch of bot speech, in whole frames."""

    LEAD_FRAMES = 25
    """`write` waits when this number of frames (500 ms) is ahead of the clock."""
    REFILL_FRAMES = 10

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.queued = 0
        """Frames ever queued.  Loop thread writes."""
        self.played = 0
        """Frames the clock thread took, those to be repeated not counted.  Clock thread writes."""
        self.closed = False
        self._recent: deque[bytes] = deque(maxlen=REACH_FRAMES)

    def put_nowait(self, frame: bytes) -> None:
        """Queue one frame at the rate of the line or of `ANALYSIS`; dropped after a cut."""
        if not self.closed:
            self.queued += 1
            self.frames.append(frame)

    def put_first(self, frames: Sequence[bytes]) -> None:
        """Queue frames before all others of a lane that was not opened yet.  Loop thread only."""
        if not self.closed:
            self.frames.extendleft(reversed(frames))
            self.queued += len(frames)

    def drain(self) -> list[bytes]:
        """Remove what is not played yet: it goes on elsewhere.  Loop thread only."""
        left = []
        while True:
            try:
                left.append(self.frames.popleft())
            except IndexError:
                return left

    async def write(self, frame: bytes) -> None:
        """Queue one frame; wait by arithmetic while the lane is far ahead of the clock.

        Then there is room for `REFILL_FRAMES`: the writer need not wake up for each frame.  It
        waits in steps of as many frames for a lane that is paused or not yet opened.
        """
        while (lead := self.queued - self.played - self.LEAD_FRAMES) >= 0 and not self.closed:
            await asyncio.sleep((lead + self.REFILL_FRAMES) * ANALYSIS.ptime_ms / 1000)
        self.put_nowait(frame)

    async def played_out(self) -> None:
        """Wait until the clock thread has taken everything (or the lane was cut)."""
        while (left := self.queued - self.played) > 0 and not self.closed:
            await asyncio.sleep(left * ANALYSIS.ptime_ms / 1000)

    def take(self) -> bytes:
        """Return the next frame; there must be one.  Clock thread only."""
        frame = self.frames.popleft()
        self._recent.append(frame)
        self.played += 1
        return frame

    def take_back(self, queued: int) -> int:
        """Drop the newest frames down to the first `queued` ones, as far as they are not played.

        Loop thread only.  Returns how many frames were queued then.
        """
        while self.queued > queued:
            try:
                self.frames.pop()
            except IndexError:  # the clock thread has taken it
                break
            self.queued -= 1
        return self.queued

    def rewind(self) -> None:
        """Queue again what was said since the last word gap.  Clock thread only."""
        count = rewind_frames(self._recent)
        for _ in range(count):
            self.frames.appendleft(self._recent.pop())
        self._recent.clear()  # however often it is broken off, it goes no further back than here
        self.played -= count


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
        if not inlet.is_due:
            inlet.is_due = True
            self._due.append(inlet)
        if not at_once:
            if inlet in self._seen:  # the next tick has begun
                self._expected = 1 if self._is_fewer else len(self._seen)
                self._is_fewer = False
                self._seen.clear()
            self._seen.append(inlet)
        if self._due and (at_once or len(self._seen) >= self._expected):
            self._ring()

    def expect_fewer(self) -> None:
        """Wait for no inlet in the next tick: one was closed.  Loop thread."""
        self._is_fewer = True

    def _ring(self) -> None:
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
        self._is_awake = False
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self.is_due = False
        """The reader is about to be woken.  Both threads write."""
        self.batch = 1
        """The reader is woken when this number of ticks waits.  Loop thread writes."""
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
        batch = self.batch
        if len(ticks) >= batch:
            self._bell.due(self, at_once=batch > 1)

    def close(self) -> None:
        """End the iteration after the ticks that are already here."""
        self._closed = True
        self._bell.expect_fewer()
        self.wake()

    def give_up(self) -> None:
        """Accept nothing more: the loop is closing.  Clock thread only."""
        self._closed = True

    def wake(self) -> None:
        """Let the reader read.  Loop thread only."""
        self.is_due = False
        self._is_awake = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take_nowait(self) -> list[Tick]:
        """Return the ticks that are here, in order.  Loop thread only."""
        ticks = self._ticks
        return [ticks.popleft() for _ in range(len(ticks))]

    async def batches(self) -> AsyncIterator[list[Tick]]:
        """Yield ticks in order until `close`, all that are here at once; for one reader."""
        while True:
            if not self._is_awake:
                self._waiter = self._loop.create_future()  # half of what an asyncio.Event costs
                await self._waiter
            self._is_awake = False
            while ticks := self.take_nowait():
                yield ticks
            if self._closed:
                return


def _wake_all(inlets: list[FrameInlet]) -> None:
    for inlet in inlets:
        inlet.wake()
