"""THE border of threads and asyncio; the only file that may name threads.

PJMEDIA's clock thread hands caller audio in through `FrameInlet` and takes bot audio out of
`FrameOutlet`; blocking engines run on the one thread of a `BlockingEngine`.  There are no locks:
deque append and pop are atomic, only whole frames are queued, every counter has one writer.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import gc
import os
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np

from gateway.audio.format import LINE
from gateway.audio.seam import REACH_FRAMES, rewind_frames

P = ParamSpec("P")
T = TypeVar("T")

SILENCE = bytes(LINE.frame_bytes)
_RAMP = (np.cos(np.linspace(0.0, np.pi, LINE.frame_samples)) * 0.5 + 0.5).astype(np.float32)


class Tick(NamedTuple):
    """One ptime of a call as the clock thread saw it: both directions, sample-aligned."""

    received: bytes
    """160 samples from the caller; silence when nothing came."""
    sent: bytes
    """The 160 samples handed to RTP in the same tick."""
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
        self.last = SILENCE
        """What the latest `pull` returned.  Clock thread writes."""

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

    def pull(self) -> bytes:
        """Give one frame to RTP.  Clock thread only."""
        cut = self._cut
        if cut is not None:
            self._cut = None
            frame = self._end(cut)
        elif self.is_paused:
            frame = self._break_off(self._lane)
        else:
            frame = self._go_on(self._lane)
        self.last = frame
        return frame

    def _end(self, lane: Lane) -> bytes:
        is_sounding = self._sounding is lane
        self._sounding = None
        frame = _ramp_down(lane.take()) if is_sounding and lane.frames else SILENCE
        lane.frames.clear()
        return frame

    def _break_off(self, lane: Lane) -> bytes:
        """Fade what is sounding.  The faded frame stays queued: it has not been said."""
        is_sounding = self._sounding is lane
        self._sounding = None
        if not is_sounding or not lane.frames:
            return SILENCE
        self._faded = lane
        return _ramp_down(lane.frames[0])

    def _go_on(self, lane: Lane) -> bytes:
        was_broken_off, self._faded = self._faded is lane, None
        if was_broken_off:
            lane.rewind()
        if not lane.frames:
            self._sounding = None
            return SILENCE
        self._sounding = lane
        frame = lane.take()
        return _ramp_up(frame) if was_broken_off else frame


class Lane:
    """Audio of one stretch of bot speech, in whole frames."""

    LEAD_FRAMES = 25
    """`write` waits when so many frames (500 ms) are ahead of the clock."""
    REFILL_FRAMES = 5

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.queued = 0
        """Frames ever queued.  Loop thread writes."""
        self.played = 0
        """Frames the clock thread took, those to be repeated not counted.  Clock thread writes."""
        self.closed = False
        self._recent: deque[bytes] = deque(maxlen=REACH_FRAMES)

    def put_nowait(self, frame: bytes) -> None:
        """Queue one frame of exactly `LINE.frame_bytes`; silently dropped after a cut."""
        if not self.closed:
            self.queued += 1
            self.frames.append(frame)

    async def write(self, frame: bytes) -> None:
        """Queue one frame; wait by arithmetic while the lane is far ahead of the clock.

        Then there is room for `REFILL_FRAMES`: who writes need not wake up for each frame.  A lane
        that is paused or not yet opened is waited for in steps of so many frames.
        """
        while (lead := self.queued - self.played - self.LEAD_FRAMES) >= 0 and not self.closed:
            await asyncio.sleep((lead + self.REFILL_FRAMES) * LINE.ptime_ms / 1000)
        self.put_nowait(frame)

    async def played_out(self) -> None:
        """Wait until the clock thread has taken everything (or the lane was cut)."""
        while (left := self.queued - self.played) > 0 and not self.closed:
            await asyncio.sleep(left * LINE.ptime_ms / 1000)

    def take(self) -> bytes:
        """Give the next frame; there must be one.  Clock thread only."""
        frame = self.frames.popleft()
        self._recent.append(frame)
        self.played += 1
        return frame

    def rewind(self) -> None:
        """Queue again what was said since the last word gap.  Clock thread only."""
        count = rewind_frames(self._recent)
        for _ in range(count):
            self.frames.appendleft(self._recent.pop())
        self._recent.clear()  # however often it is broken off, it goes no further back than here
        self.played -= count


class FrameInlet:
    """Caller audio from the clock thread to the loop; the oldest is dropped when nobody reads."""

    CAPACITY = 250

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ticks: deque[Tick] = deque()
        self._is_awake = False
        self._waiter: asyncio.Future[None] | None = None
        self._wake_pending = False
        self._closed = False
        self.dropped_frames = 0
        """Frames lost because the loop was too slow.  Clock thread writes."""

    def put(self, tick: Tick) -> None:
        """Take one tick.  Clock thread only."""
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
        if not self._wake_pending:
            self._wake_pending = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:  # the loop is closing: nobody will read
                self._closed = True

    def close(self) -> None:
        """End the iteration after the ticks that are already here."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._wake_pending = False
        self._is_awake = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def ticks(self) -> AsyncIterator[Tick]:
        """Yield ticks in order until `close`; for one reader."""
        while True:
            if not self._is_awake:
                self._waiter = self._loop.create_future()  # half of what an asyncio.Event costs
                await self._waiter
            self._is_awake = False
            while self._ticks:
                yield self._ticks.popleft()
            if self._closed:
                return


class BlockingEngine:
    """One owned thread for one blocking library object."""

    def __init__(self, name: str, nice: int = 0) -> None:
        """Make the thread with its first call.

        Args:
            name: of the thread.
            nice: its priority is lower than that of the process by so much (Linux only: elsewhere
                only whole processes have one).
        """
        self._executor = concurrent.futures.ThreadPoolExecutor(
            1, thread_name_prefix=name, initializer=_be_nice, initargs=(nice,)
        )

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` on the engine's thread; a cancelled await drops the result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: function(*args, **kwargs))

    async def stream(
        self, produce: Callable[[Callable[[T], bool]], None]
    ) -> AsyncGenerator[T, None]:
        """Yield what `produce(emit)` emits on the engine's thread, as it comes.

        `emit` returns False once nobody listens any more; `produce` should then return at once.
        Errors of `produce` are raised here after everything that it emitted.
        """
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[tuple[T] | None] = asyncio.Queue()
        is_wanted = True

        def emit(item: T) -> bool:
            if is_wanted:
                loop.call_soon_threadsafe(arrived.put_nowait, (item,))
            return is_wanted

        work = loop.run_in_executor(self._executor, produce, emit)
        work.add_done_callback(lambda _: arrived.put_nowait(None))
        try:
            while (item := await arrived.get()) is not None:
                yield item[0]
            await work
        finally:
            is_wanted = False
            work.cancel()

    def close(self) -> None:
        """Join the thread; what it is doing is finished first."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class BackgroundWriter:
    """One owned thread for writing that nobody waits for: a disk that hangs stops no call."""

    BEHIND_JOBS = 2000
    """A bundle of 20 s and its events: what comes on top may be left out."""

    def __init__(self, name: str) -> None:
        self._executor = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=name)
        self._submitted = 0
        self._done = 0
        """The thread writes."""
        self._executor.submit(lambda: None)  # its thread starts now, not in a call

    @property
    def is_behind(self) -> bool:
        """True while so much waits to be written that memory is at stake."""
        return self._submitted - self._done > self.BEHIND_JOBS

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job after all before it.  It must not raise.  Loop thread only."""
        self._submitted += 1
        self._executor.submit(self._do, job)

    async def settled(self, timeout_s: float) -> bool:
        """Wait until all jobs so far were run; False when the disk takes longer than that."""
        last = asyncio.wrap_future(self._executor.submit(lambda: None))
        done, _ = await asyncio.wait([last], timeout=timeout_s)
        return bool(done)

    def close(self) -> None:
        """Run what waits, and end the thread."""
        self._executor.shutdown(wait=True)

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            self._done += 1


_attached: set[int] = set()


def stay_attached() -> None:
    """Have CPython keep what it knows of the calling thread, which it did not start itself.

    It else makes a thread state for each callback and frees it afterwards: a stretch of memory that
    is mapped and unmapped 250 times a second while all other threads of the process wait.  This
    is `PyGILState_Ensure` without its `Release`, once; it lasts until the thread ends.
    """
    ident = threading.get_ident()
    if ident not in _attached:
        _attached.add(ident)
        ctypes.pythonapi.PyGILState_Ensure()


def tune_interpreter() -> None:
    """Make CPython behave beside a 20 ms clock: short switch interval, collection only when told.

    Measured: at the default interval of 5 ms one busy thread halves the frame rate; at 0.5 ms the
    outbound jitter stays at p99 2.7 ms, at 0.1 ms at 1.2 ms.
    """
    sys.setswitchinterval(0.0002)
    gc.collect()
    gc.freeze()
    gc.disable()


def collect_between_calls() -> None:
    """Run the collector.  Loop thread only, when no call is in a delicate moment."""
    gc.collect()


def monotonic_ns() -> int:
    """The clock that ticks are stamped with."""
    return time.monotonic_ns()


def _be_nice(increment: int) -> None:
    if increment and sys.platform == "linux":
        thread = threading.get_native_id()  # Linux: a thread is what getpriority(2) calls a process
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, now + increment)


def _ramp_down(frame: bytes) -> bytes:
    """Fade one frame to zero (half a cosine), so that a cut is not a click."""
    samples = np.frombuffer(frame, dtype="<i2")
    return (samples * _RAMP[: len(samples)]).astype("<i2").tobytes()


def _ramp_up(frame: bytes) -> bytes:
    """The same from zero, so that going on is none either."""
    samples = np.frombuffer(frame, dtype="<i2")
    return (samples * _RAMP[: len(samples)][::-1]).astype("<i2").tobytes()
