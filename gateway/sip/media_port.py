"""The two callbacks of PJMEDIA's clock thread.  No log, no numpy, no await, no lock."""

from __future__ import annotations

from gateway.audio.format import LINE
from gateway.sip import pj
from gateway.sip.pcm import FrameVector, read_pcm
from gateway.threads import SILENCE, FrameInlet, FrameOutlet, Tick, monotonic_ns, stay_attached


class CallMediaPort(pj.AudioMediaPort):
    """Our end of one call slot in the conference bridge.

    A worker makes one per slot at start and keeps it: a port destroyed while the clock thread is
    inside it would take the process down.  The first of them also tells how late the clock is.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._inlet: FrameInlet | None = None
        self._outlet: FrameOutlet | None = None
        self._given = FrameVector()
        self._ticked_ns = 0
        """`monotonic_ns` of the latest tick of this call; 0 before the first."""
        wanted = pj.MediaFormatAudio()
        wanted.type = pj.PJMEDIA_TYPE_AUDIO
        wanted.clockRate = LINE.sample_rate_hz
        wanted.channelCount = 1
        wanted.bitsPerSample = 16
        wanted.frameTimeUsec = LINE.ptime_ms * 1000
        self.createPort(name, wanted)

    def attach(self, inlet: FrameInlet, outlet: FrameOutlet) -> None:
        """Carry this call from the next tick on.  Loop thread."""
        self._ticked_ns = 0
        self._outlet = outlet
        self._inlet = inlet

    def late_s(self, now_ns: int) -> float:
        """How long the next tick of its call is overdue; 0 without one.  Loop thread."""
        ticked_ns = self._ticked_ns
        if self._inlet is None or not ticked_ns:
            return 0.0
        return max(0.0, (now_ns - ticked_ns) / 1e9 - LINE.ptime_ms / 1000)

    def detach(self) -> None:
        """Carry nothing.  Loop thread."""
        self._inlet = None
        self._outlet = None

    def onFrameRequested(self, frame: pj.MediaFrame) -> None:
        """Give one ptime to the caller.  Clock thread only."""
        outlet = self._outlet
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        frame.buf = self._given.of(outlet.pull() if outlet is not None else SILENCE)

    def onFrameReceived(self, frame: pj.MediaFrame) -> None:
        """Take one ptime of caller audio, and what was sent in this tick.  Clock thread only."""
        stay_attached()
        inlet, outlet = self._inlet, self._outlet
        if inlet is None or outlet is None:
            return
        now_ns = self._ticked_ns = monotonic_ns()
        pcm = read_pcm(frame.buf)
        has_media = len(pcm) == LINE.frame_bytes
        sent, outlet.last = outlet.last, SILENCE
        inlet.put(Tick(pcm if has_media else SILENCE, sent, now_ns, has_media))
