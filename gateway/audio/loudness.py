"""One loudness for every voice: level of the spoken parts, gain, and soft peaks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_KNEE = 0.7
"""Share of full scale (-3 dBFS) from which peaks are bent instead of clipped."""
_BLOCK_MS = 20
_ACTIVE_RANGE_DB = 30.0
"""Blocks so far below the loudest one are pauses and do not count as speech."""
_HIGHEST_GAIN_DB = 30.0

_Float = npt.NDArray[np.float32]


def active_dbfs(pcm: bytes, sample_rate_hz: int) -> float | None:
    """RMS of the spoken blocks of mono s16le, in dBFS; None where there is no sound.

    Pauses are left out as in ITU-T P.56: the level must not depend on how many there are.
    """
    power = _block_power(_samples(pcm), sample_rate_hz * _BLOCK_MS // 1000)
    if not len(power) or not power.max():
        return None
    floor = power.max() * 10 ** (-_ACTIVE_RANGE_DB / 10)
    return float(10 * np.log10(power[power >= floor].mean()))


def amplify(pcm: bytes, gain_db: float) -> bytes:
    """Apply a gain to mono s16le; what would exceed -3 dBFS is bent, never clipped.

    Without memory: the result does not depend on how a stream is chunked.
    """
    samples = _samples(pcm) * np.float32(10 ** (gain_db / 20))
    return np.rint(_soft_peaks(samples) * 32767).astype("<i2").tobytes()


def level_speech(pcm: bytes, sample_rate_hz: int, target_dbfs: float) -> bytes:
    """Bring the spoken parts of a whole sentence to `target_dbfs`; silence stays as it is."""
    level = active_dbfs(pcm, sample_rate_hz)
    if level is None:
        return pcm
    return amplify(pcm, min(target_dbfs - level, _HIGHEST_GAIN_DB))


def _samples(pcm: bytes) -> _Float:
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768)


def _block_power(samples: _Float, block: int) -> npt.NDArray[np.float64]:
    """Mean square per block; a last block that is not full counts as if filled with silence."""
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % block))
    return np.asarray((padded.reshape(-1, block) ** 2).mean(axis=1))


def _soft_peaks(samples: _Float) -> _Float:
    size = np.abs(samples)
    bent = _KNEE + (1 - _KNEE) * np.tanh((size - _KNEE) / (1 - _KNEE))
    return np.where(size > _KNEE, np.copysign(bent, samples), samples).astype(np.float32)
