"""The audio stream of one call: what was negotiated, its sender, counters and delays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from gateway.call.line import MediaSource, MediaStatistics
from gateway.sip import pj
from gateway.sip.input_delay import Counters, InputDelay, PacketTime, packing_ms, waiting_ms
from gateway.sip.leg import Leg
from gateway.sip.media_port import CallMediaPort
from gateway.sip.rtp_guard import RtpGuard
from gateway.sip.rtp_statistics import read_statistics
from gateway.sip.rtp_stream import pause_sending, resume_sending

_BUFFERED_FRAME_MS = 10.0
"""The library's G.711 and G.722 cut packets into frames of this length."""
_SELDOM_S = 0.5
"""Between two looks at the sender, in a call without a conversation."""
_LISTENING = (pj.PJMEDIA_DIR_DECODING, pj.PJMEDIA_DIR_ENCODING_DECODING)


class LineMedia:
    """Joins the library's stream to the port of its call and watches it.  Loop thread only."""

    def __init__(self, guard: RtpGuard, now_s: Callable[[], float]) -> None:
        """Prepare; there is no stream yet.

        Args:
            guard: keeps packets of other senders out.
            now_s: monotonic.
        """
        self._guard = guard
        self._now_s = now_s
        self._index: int | None = None
        """Of the audio stream among the m= lines; None before any was agreed on."""
        self._paused_stream = 0
        """The library's stream that waits for the ACK."""
        self._stream = 0
        """The library's stream, while there is one."""
        self._port: CallMediaPort | None = None
        """That has joined a stream."""
        self._statistics = MediaStatistics()
        """Of all streams of the call so far."""
        self._before = MediaStatistics()
        self._look_s = 0.0
        """When its packets are looked at next."""
        self.packets = 0
        """RTP packets of the present stream that had come when they were looked at last."""
        self._input_delay = InputDelay()
        self._sent_packet = PacketTime()

    @property
    def is_negotiated(self) -> bool:
        """Audio was agreed on."""
        return self._index is not None

    @property
    def input_delay_ms(self) -> float:
        """How long ago what is heard now was sent, as far as this end can tell."""
        return self._input_delay.ms + waiting_ms(self._sent_packet.ms)

    @property
    def output_delay_ms(self) -> float:
        """How much later than its tick audio is sent, as far as this end can tell."""
        return packing_ms(self._sent_packet.ms)

    def has_events(self, leg: Leg | None) -> bool:
        """Return whether both sides have agreed on telephone-event."""
        if leg is None or self._index is None:
            return False
        try:
            return leg.getStreamInfo(self._index).audTxEventPt > 0
        except pj.Error:  # no stream
            return False

    def statistics(self, leg: Leg | None) -> MediaStatistics:
        """Read the RTP counters; the last known ones when there is no stream.

        Args:
            leg: the library's call; None = it is over.
        """
        if leg is not None and self._index is not None:
            now = read_statistics(leg, self._index)
            if now is not None:
                self._statistics = self._guard.completed(now.after(self._before))
        return self._statistics

    def watch(self, leg: Leg, *, is_measured: bool, on_hold: bool) -> MediaSource | None:
        """Look at the packets that have come and those that wait, and at their sender.

        Args:
            leg: the library's call.
            is_measured: a conversation wants to know of delays.
            on_hold: the other side holds the call.

        Returns:
            The sender, where it has changed.
        """
        index, now_s = self._index, self._now_s()
        if index is None or now_s < self._look_s:
            return None
        if self._guard.is_settled(now_s) and not is_measured:
            self._look_s = now_s + _SELDOM_S
        try:
            if not leg.hasMedia():  # the library warns of a look at a stream to come
                return None
            stat = leg.getStreamStat(index)
            self.packets = stat.rtcp.rxStat.pkt
            change = self._guard.look(leg, index, self.packets, now_s)
        except pj.Error:  # no stream yet, or no more
            return None
        if is_measured and not on_hold:
            self._measure(stat, now_s)
        return MediaSource(str(change.address), change.reason) if change is not None else None

    def _measure(self, stat: pj.StreamStat, now_s: float) -> None:
        received = stat.rtcp.rxStat
        expected = received.pkt - received.dup + received.loss
        counters = Counters(received.pkt, received.bytes, expected)
        self._sent_packet.look(now_s * 1000, stat.rtcp.txStat.pkt, stat.rtcp.txStat.bytes)
        self._input_delay.look(now_s * 1000, counters, stat.jbuf.size * _BUFFERED_FRAME_MS)

    def last_report(self) -> bytes:
        """Return when RTCP came last, in no particular unit."""
        return self._guard.last_report(self._now_s())

    def negotiated(self, leg: Leg, port: CallMediaPort | None) -> bool:
        """Join the stream of a new SDP answer to our port; return whether the call is on hold."""
        info = leg.getInfo()  # kept in a name: its media are views into it
        media = [m for m in info.media if m.type == pj.PJMEDIA_TYPE_AUDIO]
        active = next((m for m in media if m.status == pj.PJSUA_CALL_MEDIA_ACTIVE), None)
        held = any(
            m.status in (pj.PJSUA_CALL_MEDIA_REMOTE_HOLD, pj.PJSUA_CALL_MEDIA_LOCAL_HOLD)
            for m in media
        )
        if active is not None and port is not None:
            held = active.dir not in _LISTENING
            self._index = active.index
            self._guard.described(leg, active.index, self._now_s())
            # By its place among those listed: fax, text and the like are left out of the list.
            stream = leg.getAudioMedia([m.index for m in info.media].index(active.index))
            port.join(stream, self._stream)
            self._port = port
        elif self._index is None and media:
            self._index = media[0].index
        if held:
            self._guard.held(self._now_s())
        return held

    # --- its beginning and end ---

    def stream_made(self, stream: int) -> None:
        """The library has made a stream, at this address."""
        self._stream = stream

    def pause_until_confirmed(self, stream: int) -> None:
        """Send nothing before the ACK: without one the address may be a victim's."""
        pause_sending(stream)
        self._paused_stream = stream

    def confirmed(self, leg: Leg | None) -> None:
        """The ACK has come, or gone out: send."""
        self._guard.confirmed(self._now_s())
        stream, self._paused_stream = self._paused_stream, 0
        if stream and leg is not None and self._index is not None:
            with suppress(pj.Error):
                if leg.getStreamInfo(self._index).dir & pj.PJMEDIA_DIR_ENCODING:
                    resume_sending(stream)

    def answered_from(self, host: str) -> None:
        """An answer to our INVITE came from an IP address."""
        self._guard.answered_from(host)

    def stream_destroyed(self, leg: Leg | None) -> None:
        """A re-INVITE or the end: the next stream counts from zero."""
        self._paused_stream = self._stream = 0
        self._part()
        self._before = self.statistics(leg)
        self._input_delay.reset()

    def close(self) -> None:
        """Block all senders and let go of the stream: the call ends."""
        self._part()
        self._guard.close()

    def _part(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.part()
