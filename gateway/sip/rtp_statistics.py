"""RTP counters of a stream, as the library keeps them."""

from __future__ import annotations

from gateway.call.line import MediaStatistics
from gateway.sip import pj


def read_statistics(leg: pj.Call, media_index: int) -> MediaStatistics | None:
    """Read the counters of a stream; None when there is none.  Loop thread only."""
    try:
        info = leg.getStreamInfo(media_index)
        stat = leg.getStreamStat(media_index)
    except pj.Error:
        return None
    received, sent = stat.rtcp.rxStat, stat.rtcp.txStat
    return MediaStatistics(
        codec=info.codecName,
        received_packets=received.pkt,
        received_bytes=received.bytes,
        received_lost=received.loss,
        received_discarded=received.discard,
        received_duplicated=received.dup,
        received_reordered=received.reorder,
        received_jitter_ms=round(received.jitterUsec.mean / 1000, 1),
        sent_packets=sent.pkt,
        sent_bytes=sent.bytes,
        sent_lost=sent.loss,
        sent_jitter_ms=round(sent.jitterUsec.mean / 1000, 1),
        round_trip_ms=round(stat.rtcp.rttUsec.mean / 1000, 1),
        jitter_buffer_ms=float(stat.jbuf.avgDelayMsec),
    )
