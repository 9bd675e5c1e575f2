"""Keys as tones in the audio (ITU-T Q.23): heard by libspandsp, sounded by ourselves.

The last resort without telephone-event (RFC 4733): tones pass through every codec that
carries music, and speech may sound like one.  Debian package `libspandsp2` (LGPL), by ctypes.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

from gateway.audio.format import ANALYSIS
from gateway.errors import MediaError

INSTALL = "apt-get install libspandsp2"
_LIBRARY = "libspandsp.so.2"
_ROWS_HZ = (697, 770, 852, 941)
_COLUMNS_HZ = (1209, 1336, 1477, 1633)
_KEYS = "123A456B789C*0#D"
_LEVEL = 4000.0
"""Peak of each of the two frequencies: -18 dBFS, within ITU-T Q.24."""
_EDGE_SAMPLES = ANALYSIS.sample_rate_hz // 500
_MOST_KEYS = 32


def probe() -> str:
    """Return "" when tones can be heard, else what to do."""
    try:
        _library()
    except MediaError as error:
        return str(error)
    return ""


class ToneDetector:
    """Hears keys in one call's audio.  One thread at a time."""

    def __init__(self) -> None:
        """Make one.

        Raises:
            MediaError: libspandsp is not installed.
        """
        self._spandsp = _library()
        self._state = self._spandsp.dtmf_rx_init(None, None, None)
        if not self._state:
            raise MediaError("libspandsp: no detector")
        self._found = ctypes.create_string_buffer(_MOST_KEYS + 1)

    def push(self, frame: bytes) -> str:
        """Accept a frame at the line's rate; returns the keys that have been pressed in it."""
        self._spandsp.dtmf_rx(self._state, frame, len(frame) // 2)
        count = self._spandsp.dtmf_rx_get(self._state, self._found, _MOST_KEYS)
        return self._found.raw[:count].decode("ascii")

    def close(self) -> None:
        """Free it.  Idempotent."""
        state, self._state = self._state, None
        if state:
            self._spandsp.dtmf_rx_free(state)


def key_tone(key: str, on_ms: int, off_ms: int) -> list[bytes]:
    """Return the tone of a key, and the pause after it, in whole frames of the line.

    Raises:
        ValueError: no such key.
    """
    place = _KEYS.index(key)
    both_hz = (_ROWS_HZ[place // 4], _COLUMNS_HZ[place % 4])
    count = on_ms * ANALYSIS.sample_rate_hz // 1000
    angles = 2 * np.pi * np.outer(both_hz, np.arange(count) / ANALYSIS.sample_rate_hz)
    tone = _LEVEL * np.sin(angles).sum(axis=0)
    edge = np.linspace(0.0, 1.0, _EDGE_SAMPLES)
    tone[:_EDGE_SAMPLES] *= edge
    tone[-_EDGE_SAMPLES:] *= edge[::-1]
    frames = -(-(on_ms + off_ms) // ANALYSIS.ptime_ms)
    pcm = tone.astype("<i2").tobytes().ljust(frames * ANALYSIS.frame_bytes, b"\0")
    return [pcm[at : at + ANALYSIS.frame_bytes] for at in range(0, len(pcm), ANALYSIS.frame_bytes)]


@cache
def _library() -> ctypes.CDLL:
    try:
        lib = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise MediaError(f"{_LIBRARY} is missing: {INSTALL}") from error
    pointer = ctypes.c_void_p
    lib.dtmf_rx_init.restype = pointer
    lib.dtmf_rx_init.argtypes = [pointer, pointer, pointer]
    lib.dtmf_rx.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int]
    lib.dtmf_rx_get.restype = ctypes.c_size_t
    lib.dtmf_rx_get.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int]
    lib.dtmf_rx_free.argtypes = [pointer]
    return lib
