"""How loud: RMS and peak in dBFS, and where sound starts and ends in a stretch of PCM."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FULL_SCALE = 32768
_S16LE = np.dtype("<i2")
FLOOR_DBFS = -96.0
"""What digital silence is called; 16 bits cannot say less."""


def rms(pcm: bytes) -> float:
    """Root mean square of mono s16le, 0..32768."""
    samples = _samples(pcm).astype(np.float64)
    return math.sqrt(float(samples @ samples) / len(samples)) if len(samples) else 0.0


def rms_dbfs(pcm: bytes) -> float:
    """The same against a full-scale square wave, >= `FLOOR_DBFS`."""
    return _dbfs(rms(pcm))


def peak_dbfs(pcm: bytes) -> float:
    """Largest sample of mono s16le in dBFS, >= `FLOOR_DBFS`."""
    return _dbfs(float(peak(pcm)))


def peak(pcm: bytes) -> int:
    """Largest absolute sample, 0..32768."""
    magnitudes = _magnitudes(pcm)
    return int(magnitudes.max()) if len(magnitudes) else 0


def first_sample_above(pcm: bytes, threshold: int) -> int | None:
    """Index of the first sample of a magnitude above `threshold`, None without one."""
    above = np.flatnonzero(_magnitudes(pcm) > threshold)
    return int(above[0]) if len(above) else None


def last_sample_above(pcm: bytes, threshold: int) -> int | None:
    """Index of the last sample of a magnitude above `threshold`, None without one."""
    above = np.flatnonzero(_magnitudes(pcm) > threshold)
    return int(above[-1]) if len(above) else None


def audible_span(pcm: bytes, threshold: int, count: int, within: int) -> tuple[int, int] | None:
    """First and last sample of sound that is more than a crackle.

    Args:
        pcm: mono s16le.
        threshold: magnitude that a sample must exceed.
        count: so many such samples ...
        within: ... among so many neighbours make it audible.
    """
    if pcm.count(0) == len(pcm):  # a bot that listens sends nothing else
        return None
    samples = _samples(pcm)
    # Twice in every frame of every call: no copies, none of numpy's functions around methods.
    above = ((samples > threshold) | (samples < -threshold)).nonzero()[0]
    if len(above) < count:
        return None
    is_start = above[count - 1 :] - above[: len(above) - count + 1] < within
    first = int(is_start.argmax())
    if not is_start[first]:
        return None
    last = len(is_start) - 1 - int(is_start[::-1].argmax())
    return int(above[first]), int(above[last + count - 1])


def _samples(pcm: bytes) -> npt.NDArray[np.int16]:
    return np.frombuffer(pcm, dtype=_S16LE)


def _magnitudes(pcm: bytes) -> npt.NDArray[np.int32]:
    return np.abs(_samples(pcm).astype(np.int32))


def _dbfs(amplitude: float) -> float:
    if amplitude <= 0:
        return FLOOR_DBFS
    return max(FLOOR_DBFS, 20 * math.log10(amplitude / FULL_SCALE))
