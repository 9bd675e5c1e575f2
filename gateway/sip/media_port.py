"""The two callbacks of PJMEDIA's clock thread.  No log, no numpy, no await, no lock."""

from __future__ import annotations

from gateway.call.media import SILENCE, FrameInlet, FrameOutlet, Tick, TickBell
from gateway.sip import pj
from gateway.sip.bridge import Bridge
from gateway.sip.pcm import MEDIA_FORMAT, FrameVector, read_pcm
from gateway.threads import monotonic_ns, stay_attached


class CallMediaPort(pj.AudioMediaPort):
    """Our end of one call slot in the conference bridge.

    A worker makes one per slot at start and keeps it: a port destroyed while the clock thread is
    inside it would take the process down.  The first of them also tells how late the clock is.
    """

    def __init__(self, name: str, bell: TickBell, bridge: Bridge) -> None:
        super().__init__()
        self.bell = bell
        """Of the worker."""
        self._bridge = bridge
        self._inlet: FrameInlet | None = None
        self._outlet: FrameOutlet | None = None
        self._given = FrameVector()
        self._ticked_ns = 0
        """`monotonic_ns` of the latest tick of this call; 0 before the first."""
        wanted = pj.MediaFormatAudio()
        wanted.type = pj.PJMEDIA_TYPE_AUDIO
        wanted.clockRate = MEDIA_FORMAT.sample_rate_hz
        wanted.channelCount = 1
        wanted.bitsPerSample = 16
        wanted.frameTimeUsec = MEDIA_FORMAT.ptime_ms * 1000
        self.createPort(name, wanted)
        bridge.leave_out(self.getPortId())

    def attach(self, inlet: FrameInlet, outlet: FrameOutlet) -> None:
        """Carry this call from the next tick on.  Loop thread."""
        self._ticked_ns = 0
        self._outlet = outlet
        self._inlet = inlet
        self._bridge.take_in(self.getPortId())

    def late_s(self, now_ns: int) -> float:
        """Return how long the next tick of its call is overdue; 0 without one.  Loop thread."""
        ticked_ns = self._ticked_ns
        if self._inlet is None or not ticked_ns:
            return 0.0
        return max(0.0, (now_ns - ticked_ns) / 1e9 - MEDIA_FORMAT.ptime_ms / 1000)

    def detach(self) -> None:
        """Carry nothing.  Loop thread."""
        self._bridge.leave_out(self.getPortId())
        self._inlet = None
        self._outlet = None

    def onFrameRequested(self, frame: pj.MediaFrame) -> None:
        """Fill a frame with one ptime for the caller.  Clock thread only."""
        outlet = self._outlet
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        frame.buf = self._given.of(outlet.pull() if outlet is not None else SILENCE)

    def onFrameReceived(self, frame: pj.MediaFrame) -> None:
        """Accept one ptime of caller audio, and what was sent in this tick.  Clock thread only."""
        stay_attached()
        inlet, outlet = self._inlet, self._outlet
        if inlet is None or outlet is None:
            return
        now_ns = self._ticked_ns = monotonic_ns()
        pcm = read_pcm(frame.buf)
        has_media = len(pcm) == MEDIA_FORMAT.frame_bytes
        sent, outlet.last = outlet.last, SILENCE
        inlet.put(Tick(pcm if has_media else SILENCE, sent, now_ns, has_media))
