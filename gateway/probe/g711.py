"""G.711 as the probe's media names it: int16 arrays to and from the bytes of an RTP payload."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw

Samples = NDArray[np.int16]

_ENCODE = {"PCMU": encode_ulaw, "PCMA": encode_alaw}
_DECODE = {"PCMU": decode_ulaw, "PCMA": decode_alaw}


def encode(samples: Samples, encoding: str) -> bytes:
    """Compress int16[n] mono to one byte per sample; `encoding` is PCMU or PCMA."""
    return _ENCODE[encoding](samples.tobytes())


def decode(payload: bytes, encoding: str) -> Samples:
    """Expand G.711 bytes to int16[n] mono."""
    return np.frombuffer(_DECODE[encoding](payload), np.int16)
