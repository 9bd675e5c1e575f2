"""ITU-T G.711: mu-law and A-law by table, mono s16le on the other side."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ULAW_BIAS = 132  # 33 in the 14-bit numbers of G.711, shifted to 16 bits


def encode_ulaw(pcm: bytes) -> bytes:
    """Encode s16le to one mu-law byte per sample (RTP payload type 0)."""
    return bytes(_ULAW_ENCODE[np.frombuffer(pcm, dtype="<u2")])


def decode_ulaw(payload: bytes) -> bytes:
    """Decode mu-law bytes to s16le."""
    return _ULAW_DECODE[np.frombuffer(payload, dtype=np.uint8)].tobytes()


def encode_alaw(pcm: bytes) -> bytes:
    """Encode s16le to one A-law byte per sample (RTP payload type 8)."""
    return bytes(_ALAW_ENCODE[np.frombuffer(pcm, dtype="<u2")])


def decode_alaw(payload: bytes) -> bytes:
    """Decode A-law bytes to s16le."""
    return _ALAW_DECODE[np.frombuffer(payload, dtype=np.uint8)].tobytes()


def _ulaw_values() -> npt.NDArray[np.int16]:
    """Amplitude of each of the 256 codes (G.711 table 2)."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + _ULAW_BIAS) << ((code >> 4) & 7)) - _ULAW_BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


def _alaw_values() -> npt.NDArray[np.int16]:
    """Amplitude of each of the 256 codes (G.711 table 1; even bits are inverted)."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = (code >> 4) & 7
    step = ((code & 0x0F) << 4) + 8
    magnitude = np.where(exponent == 0, step, (step + 0x100) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype("<i2")


def _ulaw_codes() -> npt.NDArray[np.uint8]:
    """Code of each of the 65536 samples, indexed by the sample's two's complement."""
    sample = np.arange(65536, dtype=np.int32).astype("<u2").view("<i2").astype(np.int32)
    # >> rounds a negative sample away from zero to 14 bits, as the reference code does
    magnitude = np.minimum(np.abs(sample >> 2), 8158) + 33
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 5
    mantissa = (magnitude >> (exponent + 1)) & 0x0F
    sign = np.where(sample < 0, 0x80, 0)
    return np.asarray(~(exponent << 4 | mantissa | sign) & 0xFF, dtype=np.uint8)


def _alaw_codes() -> npt.NDArray[np.uint8]:
    """Code of each of the 65536 samples, indexed by the sample's two's complement."""
    sample = np.arange(65536, dtype=np.int32).astype("<u2").view("<i2").astype(np.int32) >> 3
    magnitude = np.where(sample >= 0, sample, -sample - 1)
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    mantissa = (magnitude >> np.maximum(exponent, 1)) & 0x0F
    sign = np.where(sample >= 0, 0x80, 0)
    return (((exponent << 4) | mantissa | sign) ^ 0x55).astype(np.uint8)


_ULAW_DECODE = _ulaw_values()
_ALAW_DECODE = _alaw_values()
_ULAW_ENCODE = _ulaw_codes()
_ALAW_ENCODE = _alaw_codes()
