"""Media between the clock that carries calls and the loop that decides about them.

The clock (PJMEDIA's thread, or a task for a line that has none) hands caller audio in through
`FrameInlet` and takes bot audio out of `FrameOutlet`.  There are no locks: deque append and pop are
atomic, only whole frames are queued, every counter has one writer.

A frame is one ptime of s16 at the rate of the line or of `ANALYSIS`; its length says which.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
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
