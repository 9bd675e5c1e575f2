"""Pitch of a voice on a telephone line: YIN, in numpy, on frames of 60 ms.  Pure.

Source: A. de Cheveigne, H. Kawahara, "YIN, a fundamental frequency estimator for speech and music",
J. Acoust. Soc. Am. 111 (2002), equations 7 (difference by autocorrelation) and 8 (normalised by its
cumulative mean).  It needs no fundamental in the band: 300 Hz to 3.4 kHz has the harmonics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

LOWEST_HZ, HIGHEST_HZ = 60.0, 420.0
HOP_S = 0.02
_WINDOW_S = 0.04
_IS_PERIODIC = 0.12
"""The first dip below is taken: a later one is an octave too low."""
_MAY_BE_PERIODIC = 0.3
"""Without such a dip the deepest is taken if it is below this."""
_BATCH = 256
"""Frames that are transformed at once: 4 MB."""


@dataclass(frozen=True, slots=True)
class PitchTrack:
    """One value for each frame of 20 ms."""

    hz: Samples
    """NaN where the frame is not periodic."""
    aperiodicity: Samples
    """0 = perfectly periodic, 1 = noise."""


def pitch_track(samples: Samples, rate_hz: int) -> PitchTrack:
    """Track the pitch of mono sound.

    Args:
        samples: of any scale.
        rate_hz: 8000 or more.
    """
    hop, window = round(HOP_S * rate_hz), round(_WINDOW_S * rate_hz)
    longest = int(rate_hz / LOWEST_HZ) + 2
    size = window + longest
    count = max(0, (len(samples) - size) // hop + 1)
    hz, aperiodicity = np.full(count, np.nan), np.ones(count)
    for first in range(0, count, _BATCH):
        last = min(count, first + _BATCH)
        starts = np.arange(first, last)[:, None] * hop
        frames = samples[starts + np.arange(size)[None, :]]
        found = _of_frames(frames, rate_hz, window, longest)
        hz[first:last], aperiodicity[first:last] = found
    return PitchTrack(_without_jumps(hz), aperiodicity)


def _of_frames(frames: Samples, rate_hz: int, window: int, longest: int) -> tuple[Samples, Samples]:
    normal = _normalised(_difference(frames, window, longest))
    shortest = int(rate_hz / HIGHEST_HZ)
    inner = normal[:, shortest : longest - 1]
    is_dip = (inner <= normal[:, shortest - 1 : longest - 2]) & (
        inner < normal[:, shortest + 1 : longest]
    )
    first_good = is_dip & (inner < _IS_PERIODIC)
    deepest = np.where(is_dip, inner, np.inf).argmin(axis=1)
    lag = np.where(first_good.any(axis=1), first_good.argmax(axis=1), deepest) + shortest
    rows = np.arange(len(frames))
    depth = normal[rows, lag]
    before, after = normal[rows, lag - 1], normal[rows, lag + 1]
    bend = before - 2 * depth + after
    shift = np.where(bend > 0, (before - after) / (2 * np.maximum(bend, 1e-9)), 0.0)
    hz = rate_hz / (lag + np.clip(shift, -0.5, 0.5))
    return np.where(depth < _MAY_BE_PERIODIC, hz, np.nan), np.clip(depth, 0.0, 1.0)


def _difference(frames: Samples, window: int, longest: int) -> Samples:
    """Return the squared difference between each frame's window and itself, lag by lag."""
    frames = frames - frames.mean(axis=1, keepdims=True)
    size = 1 << (2 * frames.shape[1] - 1).bit_length()
    head = np.fft.rfft(frames[:, :window], size, axis=1)
    product = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, size, axis=1), size, axis=1)
    power = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    energy = power[:, window : window + longest] - power[:, :longest]
    return np.maximum(energy[:, :1] + energy - 2 * product[:, :longest], 0.0)


def _normalised(difference: Samples) -> Samples:
    lags = np.arange(1, difference.shape[1])
    mean = np.cumsum(difference[:, 1:], axis=1) / lags
    normal = np.ones_like(difference)
    normal[:, 1:] = difference[:, 1:] / np.maximum(mean, 1e-9)
    return normal


def _without_jumps(hz: Samples) -> Samples:
    """Drop frames that are nearly an octave away from the voice's median: harmonics of it."""
    if np.isnan(hz).all():
        return hz
    middle = np.nanmedian(hz)
    with np.errstate(invalid="ignore"):
        return np.where((hz < middle / 1.7) | (hz > middle * 1.7), np.nan, hz)
