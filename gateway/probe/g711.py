"""G.711 by tables: PCM16 to and from mu-law and A-law (ITU-T G.711).  Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

_SEGMENT_ENDS = np.array([0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF, 0x3FFF, 0x7FFF])


def encode(samples: Samples, encoding: str) -> bytes:
    """Compress int16[n] mono to one byte per sample; `encoding` is PCMU or PCMA."""
    return bytes(_ENCODE[encoding][samples.astype(np.int32) + 32768].tobytes())


def decode(payload: bytes, encoding: str) -> Samples:
    """Expand G.711 bytes to int16[n] mono."""
    return _DECODE[encoding][np.frombuffer(payload, np.uint8)]


def _mulaw_decoder() -> Samples:
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_decoder() -> Samples:
    code = np.arange(256) ^ 0x55
    segment, step = (code & 0x70) >> 4, (code & 0x0F) << 4
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _mulaw_encoder() -> NDArray[np.uint8]:
    pcm = np.arange(-32768, 32768)
    magnitude = np.minimum(np.abs(pcm), 32635) + 0x84
    segment = np.searchsorted(_SEGMENT_ENDS, magnitude)
    code = (segment << 4) | ((magnitude >> (segment + 3)) & 0x0F)
    return (~(code | np.where(pcm < 0, 0x80, 0)) & 0xFF).astype(np.uint8)


def _alaw_encoder() -> NDArray[np.uint8]:
    pcm = np.arange(-32768, 32768)
    magnitude = np.minimum(np.where(pcm < 0, -pcm - 1, pcm), 32767)
    segment = np.searchsorted(_SEGMENT_ENDS, magnitude)
    step = (magnitude >> np.maximum(segment + 3, 4)) & 0x0F
    code = (segment << 4) | step | np.where(pcm < 0, 0, 0x80)
    return (code ^ 0x55).astype(np.uint8)


_DECODE = {"PCMU": _mulaw_decoder(), "PCMA": _alaw_decoder()}
_ENCODE = {"PCMU": _mulaw_encoder(), "PCMA": _alaw_encoder()}
