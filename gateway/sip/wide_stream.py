"""A stream of 16 kHz beside the bridge, which would convert it to its own 8 kHz and back.

pjsua2 knows only the bridge.  The C interface of the library reads and writes a stream by itself:
then this call keeps its band, and the bridge stays at 8 kHz, where the bytes of G.711 calls are not
touched (decision 46).
"""

from __future__ import annotations

import ctypes

from gateway.audio.format import WIDEBAND
from gateway.sip import pj

_LIBRARY = ctypes.CDLL(pj.LIBRARY_PATH)


class _Frame(ctypes.Structure):
    """`pjmedia_frame` (pjmedia/frame.h)."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buf", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("timestamp", ctypes.c_uint64),
        ("bit_info", ctypes.c_uint32),
    )


class WideStream:
    """One stream of `WIDEBAND` frames; it stays in memory while this object does.

    Made and let go on the loop thread before the library ends the stream; `exchange` belongs to the
    clock thread, which may be the last to hold the object.
    """

    def __init__(self, port: ctypes.c_void_p) -> None:
        """Make it of a stream's `pjmedia_port`, which one more user was counted for."""
        self._port = port
        self._lib = _LIBRARY
        self._received = ctypes.create_string_buffer(WIDEBAND.frame_bytes)
        self._sent = ctypes.create_string_buffer(WIDEBAND.frame_bytes)
        self._taken = _Frame(buf=ctypes.addressof(self._received))
        self._given = _Frame(buf=ctypes.addressof(self._sent), size=WIDEBAND.frame_bytes)

    def exchange(self, sent: bytes) -> bytes:
        """Send one frame; return the one that was received meanwhile.  Clock thread only.

        Both calls let other threads run: one of them may hold a lock of the stream and want to log.

        Returns:
            `WIDEBAND.frame_bytes`, or nothing while the stream is off.
        """
        taken, given = self._taken, self._given
        taken.type = given.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        taken.size = WIDEBAND.frame_bytes
        status = self._lib.pjmedia_port_get_frame(self._port, ctypes.byref(taken))
        is_audio = status == 0 and taken.type == pj.PJMEDIA_FRAME_TYPE_AUDIO
        received = self._received.raw if is_audio and taken.size == WIDEBAND.frame_bytes else b""
        self._sent.raw = sent
        given.timestamp += WIDEBAND.frame_samples
        self._lib.pjmedia_port_put_frame(self._port, ctypes.byref(given))
        return received

    def __del__(self) -> None:
        """Let the library free the stream, if it has ended it."""
        self._lib.pjmedia_port_dec_ref(self._port)


def wide_stream(call: pj.AudioMedia, stream: int) -> WideStream | None:
    """Return the stream of a call if it has a whole frame of `WIDEBAND` for each tick.

    Args:
        call: the stream as the bridge knows it.
        stream: address of the library's `pjmedia_stream`, as `onStreamCreated` tells it; 0 = none.
    """
    carried = call.getPortInfo().format
    found = (carried.clockRate, carried.channelCount, carried.frameTimeUsec)
    if not stream or found != (WIDEBAND.sample_rate_hz, 1, WIDEBAND.ptime_ms * 1000):
        return None
    port = ctypes.c_void_p()
    if _LIBRARY.pjmedia_stream_get_port(ctypes.c_void_p(stream), ctypes.byref(port)):
        return None
    return None if _LIBRARY.pjmedia_port_add_ref(port) else WideStream(port)
