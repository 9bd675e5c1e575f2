"""The two callbacks of PJMEDIA's clock thread.  No log, no numpy, no await, no lock."""

from __future__ import annotations

from gateway.audio.format import WIDEBAND
from gateway.call.inlet import FrameInlet, TickBell
from gateway.call.media import SILENCE, FrameOutlet, Tick
from gateway.sip import pj
from gateway.sip.bridge import Bridge
from gateway.sip.pcm import MEDIA_FORMAT, FrameVector, read_pcm
from gateway.sip.wide_stream import WideStream, wide_stream
from gateway.threads import monotonic_ns, stay_attached

_WIDE_SILENCE = bytes(WIDEBAND.frame_bytes)


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
        self._wide: WideStream | None = None
        """The stream of the call, if it goes around the bridge.  Loop thread writes."""
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

    def join(self, call: pj.AudioMedia, stream: int) -> None:
        """Connect with a stream of the call, whose ticks have its band from then on.  Loop thread.

        Args:
            call: the stream as the bridge knows it.
            stream: address of the library's `pjmedia_stream`; 0 = not known.
        """
        if self._inlet is None:
            return
        wide = wide_stream(call, stream) if self._bridge.is_found else None
        if wide is not None:
            self._bridge.leave_out(call.getPortId())
            self._inlet.format = WIDEBAND  # before the first such tick
            self._wide = wide
            return
        self._wide = None
        self._inlet.format = MEDIA_FORMAT
        call.startTransmit(self)
        self.startTransmit(call)

    def part(self) -> None:
        """Let go of the stream, which is about to end.  Loop thread."""
        self._wide = None

    def late_s(self, now_ns: int) -> float:
        """Return how long the next tick of its call is overdue; 0 without one.  Loop thread."""
        ticked_ns = self._ticked_ns
        if self._inlet is None or not ticked_ns:
            return 0.0
        return max(0.0, (now_ns - ticked_ns) / 1e9 - MEDIA_FORMAT.ptime_ms / 1000)

    def detach(self) -> None:
        """Carry nothing.  Loop thread."""
        self._bridge.leave_out(self.getPortId())
        self._wide = None
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
        wide = self._wide
        if wide is not None:
            sent, outlet.last = outlet.pull(WIDEBAND), SILENCE
            pcm = wide.exchange(sent)
            inlet.put(Tick(pcm or _WIDE_SILENCE, sent, now_ns, bool(pcm)))
            return
        pcm = read_pcm(frame.buf)
        has_media = len(pcm) == MEDIA_FORMAT.frame_bytes
        sent, outlet.last = outlet.last, SILENCE
        inlet.put(Tick(pcm if has_media else SILENCE, sent, now_ns, has_media))
