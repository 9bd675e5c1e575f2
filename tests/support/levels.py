"""How loud mono s16le is in dBFS, and where sound begins and ends in it."""

from __future__ import annotations

import math

import numpy as np

from gateway.audio.level import FLOOR_DBFS, peak, rms


def rms_dbfs(pcm: bytes) -> float:
    """Root mean square against a full-scale square wave."""
    return _dbfs(rms(pcm))


def peak_dbfs(pcm: bytes) -> float:
    """Largest sample."""
    return _dbfs(peak(pcm))


def first_sample_above(pcm: bytes, threshold: int) -> int | None:
    """Index of the first sample of a magnitude above `threshold`, None without one."""
    above = _above(pcm, threshold)
    return int(above[0]) if len(above) else None


def last_sample_above(pcm: bytes, threshold: int) -> int | None:
    """Index of the last sample of a magnitude above `threshold`, None without one."""
    above = _above(pcm, threshold)
    return int(above[-1]) if len(above) else None


def _above(pcm: bytes, threshold: int) -> np.ndarray:
    return np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > threshold)


def _dbfs(amplitude: float) -> float:
    return max(FLOOR_DBFS, 20 * math.log10(amplitude / 32768)) if amplitude else FLOOR_DBFS
