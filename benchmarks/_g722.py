"""G.722 at 64 kbit/s by the SIP library's own functions, for audio that no call carries."""

from __future__ import annotations

import ctypes

import numpy as np

from gateway.sip import pj

_LIBRARY = ctypes.CDLL(pj.LIBRARY_PATH)
_STATE_BYTES = 1 << 16
"""More than `g722_enc_t` and `g722_dec_t` have (pjmedia-codec/g722)."""
_SHIFT = 2
"""The library's codec works on 14 bits of 16."""


def through_g722(pcm: bytes) -> bytes:
    """Encode and decode mono s16le at 16000 Hz, as a call that loses nothing does.

    Raises:
        RuntimeError: the library refused.
    """
    samples = np.frombuffer(pcm, "<i2") >> _SHIFT
    samples = samples[: len(samples) & ~1]  # a byte holds two
    code = _run("enc", samples.astype("<i2").tobytes(), len(samples), len(samples) // 2)
    decoded = _run("dec", code, len(code), len(samples)) if code else b""
    whole = np.frombuffer(decoded, "<i2").astype(np.int32) << _SHIFT
    return bytes(np.clip(whole, -32768, 32767).astype("<i2"))


def _run(side: str, given: bytes, count: int, room: int) -> bytes:
    """Run one coder over everything; bytes of code are counted, or samples."""
    state = ctypes.create_string_buffer(_STATE_BYTES)
    size = ctypes.c_size_t(room)
    unit = 1 if side == "enc" else 2
    found = ctypes.create_string_buffer(room * unit)
    init = getattr(_LIBRARY, f"g722_{side}_init")
    code = getattr(_LIBRARY, f"g722_{side}_{side}ode")
    if init(state) or code(state, given, ctypes.c_size_t(count), found, ctypes.byref(size)):
        raise RuntimeError(f"G.722 {side}oding of {count} failed")
    return found.raw[: size.value * unit]
