"""Audio formats of the protocol and of lines."""

from __future__ import annotations

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.realtime.protocol.settings import G711, Pcm


def format_of(wanted: Pcm | G711) -> AudioFormat:
    """Return what a client sends or receives."""
    if isinstance(wanted, G711):
        return AudioFormat(8000, encoding="pcmu" if wanted.type == "audio/pcmu" else "pcma")
    return AudioFormat(wanted.rate)


def line_format(received: AudioFormat, sent: AudioFormat) -> AudioFormat:
    """Return what the line of a session carries: wide where a side of it is."""
    is_wide = max(received.sample_rate_hz, sent.sample_rate_hz) >= WIDEBAND.sample_rate_hz
    return WIDEBAND if is_wide else NARROWBAND
