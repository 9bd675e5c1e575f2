"""EchoCanceller: libspeexdsp's adaptive filter by ctypes (Debian package `libspeexdsp1`, BSD)."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import numpy.typing as npt

from gateway.audio.format import ANALYSIS
from gateway.errors import MediaError, UnsupportedFormat

INSTALL = "apt-get install libspeexdsp1"
_LIBRARY = "libspeexdsp.so.1"
# speex_echo.h: the request codes of `speex_echo_ctl`.
_SET_SAMPLING_RATE = 24
_GET_IMPULSE_RESPONSE_SIZE = 27
_GET_IMPULSE_RESPONSE = 29
_RESPONSE_SCALE = 2 * ANALYSIS.frame_samples
"""The library returns the response times its transform's length."""
_NOTCH_RADIUS = 0.9
_NOTCH_SAMPLES = 64


def _notch() -> npt.NDArray[np.float64]:
    """The library's own filter against direct current, which the learned path includes."""
    radius = _NOTCH_RADIUS
    second = radius**2 + 0.7 * (1 - radius) ** 2
    numerator = np.zeros(_NOTCH_SAMPLES)
    numerator[:3] = radius, -2 * radius, radius
    out = np.zeros(_NOTCH_SAMPLES)
    for n in range(_NOTCH_SAMPLES):
        out[n] = numerator[n] + 2 * radius * out[n - 1] - second * out[n - 2]
    return out


NOTCH = _notch()
"""Its impulse response: what `received` has to go through to be compared with `response()`."""


def probe() -> str:
    """Return "" when usable, else what to do."""
    try:
        _library()
    except MediaError as exc:
        return str(exc)
    return ""


class EchoCanceller:
    """Removes the echo of the sent audio from the received audio.  One thread at a time.

    Linear, without delay: sample n of the result belongs to sample n of `received`.  About 35 us
    per frame with a tail of 256 ms.
    """

    def __init__(self, tail_ms: int = 256) -> None:
        """Make one with nothing learned.

        Args:
            tail_ms: the latest echo that it can follow, counted from its sound.

        Raises:
            MediaError: libspeexdsp is not installed.
        """
        self._speex = _library()
        tail_samples = tail_ms * ANALYSIS.sample_rate_hz // 1000
        self._state = self._speex.speex_echo_state_init(ANALYSIS.frame_samples, tail_samples)
        if not self._state:
            raise MediaError(f"libspeexdsp: no echo canceller with a tail of {tail_ms} ms")
        rate = ctypes.c_int(ANALYSIS.sample_rate_hz)
        self._speex.speex_echo_ctl(self._state, _SET_SAMPLING_RATE, ctypes.byref(rate))
        self._out = ctypes.create_string_buffer(ANALYSIS.frame_bytes)
        size = ctypes.c_int()
        self._speex.speex_echo_ctl(self._state, _GET_IMPULSE_RESPONSE_SIZE, ctypes.byref(size))
        self._response = (ctypes.c_int32 * size.value)()

    def process(self, received: bytes, sent: bytes) -> bytes:
        """Cancel one frame.

        Args:
            received: 160 samples from the line, s16le.
            sent: 160 samples whose echo may be in it: sent at the same time or earlier.

        Returns:
            160 samples without the echo, as far as it is learned by now.

        Raises:
            UnsupportedFormat: a frame of another length (the library would read past its end).
            MediaError: used after `close`.
        """
        if len(received) != ANALYSIS.frame_bytes or len(sent) != ANALYSIS.frame_bytes:
            raise UnsupportedFormat(f"echo: frames of {len(received)} and {len(sent)} bytes")
        self._speex.speex_echo_cancellation(self._open_state(), received, sent, self._out)
        return self._out.raw

    def response(self) -> npt.NDArray[np.float64]:
        """Return the path as learned: float64[n], convolved with `sent` it gives the echo.

        n is the tail in samples, rounded up to whole frames.  About 20 us.
        """
        self._speex.speex_echo_ctl(
            self._open_state(), _GET_IMPULSE_RESPONSE, ctypes.byref(self._response)
        )
        raw = np.frombuffer(bytes(self._response), dtype=np.int32).astype(np.float64)
        return raw / (32767.0 * _RESPONSE_SCALE)

    def reset(self) -> None:
        """Forget what was learned."""
        self._speex.speex_echo_state_reset(self._open_state())

    def close(self) -> None:
        """Release the memory.  Idempotent."""
        state, self._state = self._state, None
        if state:
            self._speex.speex_echo_state_destroy(state)

    def __del__(self) -> None:
        """Release the memory also when a call had no orderly end."""
        if getattr(self, "_state", None):
            self.close()

    def _open_state(self) -> int:
        if not self._state:
            raise MediaError("echo: the canceller is closed")
        return int(self._state)


@cache
def _library() -> ctypes.CDLL:
    """Load the library with its prototypes.  Raises MediaError."""
    try:
        # PyDLL keeps the GIL: a frame takes less than handing it over and back would.
        speex = ctypes.PyDLL(_LIBRARY)
    except OSError as exc:
        raise MediaError(f"libspeexdsp is not installed: {INSTALL}") from exc
    speex.speex_echo_state_init.restype = ctypes.c_void_p
    speex.speex_echo_state_init.argtypes = [ctypes.c_int, ctypes.c_int]
    speex.speex_echo_state_destroy.restype = None
    speex.speex_echo_state_destroy.argtypes = [ctypes.c_void_p]
    speex.speex_echo_state_reset.restype = None
    speex.speex_echo_state_reset.argtypes = [ctypes.c_void_p]
    speex.speex_echo_ctl.restype = ctypes.c_int
    speex.speex_echo_ctl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    speex.speex_echo_cancellation.restype = None
    speex.speex_echo_cancellation.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p,
    ]  # fmt: skip
    return speex
