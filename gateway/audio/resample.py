"""Sample-rate conversion: a stateful FIR for live streams, soxr for whole segments."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from gateway.errors import UnsupportedFormat

PASS_EDGE = 0.85
"""Flat up to this share of the lower Nyquist frequency: 3400 Hz on a telephone line."""
STOP_EDGE = 1.08
"""Everything from here on is gone: 4320 Hz, whose alias lands above the telephone band."""
_ATTENUATION_DB = 72.0
_COEFFICIENT_SCALE = 1 << 18
_HIGHEST_FACTOR = 640

_Float64 = npt.NDArray[np.float64]


class Resampler:
    """Convert a live stream of mono s16le; the output does not depend on how it is chunked.

    Coefficients are whole numbers, so every sum is exact in float64 and no order of addition,
    vector width or chunk length can change a bit.  A chunk of 20 ms gives 20 ms at once; the
    signal in it is `delay_s` late (2.5 ms between 8 and 16 kHz).
    """

    def __init__(self, source_hz: int, target_hz: int) -> None:
        self._up, self._down = _factors(source_hz, target_hz)
        self._bank = _filter_bank(source_hz, target_hz)
        taps = self._bank.shape[1]
        self.delay_s = (taps // 2) / source_hz
        """Group delay in seconds, the same for all frequencies."""
        self._history_samples = taps - 1
        self._history: _Float64 = np.zeros(self._history_samples)
        self._next = 0
        """Place of the next output sample, in `1/up` source samples after the history."""
        self._half_sample = b""

    def process(self, pcm: bytes) -> bytes:
        """Convert a chunk of any length.

        Args:
            pcm: mono s16le at the source rate; a sample split between two calls is joined.

        Returns:
            Mono s16le at the target rate: all samples that the input so far decides.
        """
        if self._half_sample:
            pcm = self._half_sample + pcm
        whole = len(pcm) & ~1
        self._half_sample = pcm[whole:]
        if not whole:
            return b""
        if self._up == self._down:
            return pcm[:whole]
        return self._filter(np.frombuffer(pcm[:whole], dtype="<i2").astype(np.float64))

    def flush(self) -> bytes:
        """Return the last `delay_s` of signal and start afresh."""
        rest = b""
        if self._up != self._down:
            rest = self._filter(np.zeros(self._history_samples // 2))
        self._history = np.zeros(self._history_samples)
        self._next = 0
        self._half_sample = b""
        return rest

    def _filter(self, samples: _Float64) -> bytes:
        line = np.concatenate([self._history, samples])
        places = range(self._next, len(samples) * self._up, self._down)
        self._history = line[len(samples) :]
        self._next = self._next + len(places) * self._down - len(samples) * self._up
        if not places:
            return b""
        sums = self._sums(line, places)
        rounded = np.floor(sums / _COEFFICIENT_SCALE + 0.5)
        return bytes(np.clip(rounded, -32768, 32767).astype("<i2"))

    def _sums(self, line: _Float64, places: range) -> _Float64:
        """Return the filter's output at each place; whole ratios need no windows of their own."""
        if self._up == 1:
            return np.correlate(line, self._bank[0])[places.start : places.stop : places.step]
        if self._down == 1:
            return np.stack([np.correlate(line, row) for row in self._bank], axis=1).ravel()
        at = np.asarray(places)
        windows = np.lib.stride_tricks.sliding_window_view(line, self._bank.shape[1])
        sums: _Float64 = np.einsum("ij,ij->i", windows[at // self._up], self._bank[at % self._up])
        return sums


def resample_once(pcm: bytes, source_hz: int, target_hz: int) -> bytes:
    """Convert a whole segment or sentence (mono s16le) in one shot, without delay."""
    if source_hz == target_hz:
        return pcm
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    converted = resample_floats(samples, source_hz, target_hz)
    return bytes(np.clip(np.rint(converted), -32768, 32767).astype("<i2"))


def resample_floats(
    samples: npt.NDArray[np.floating[Any]], source_hz: int, target_hz: int
) -> npt.NDArray[np.float32]:
    """Convert a whole segment of float32[n], for networks that take no other numbers."""
    if source_hz == target_hz:
        return np.asarray(samples, np.float32)
    return np.asarray(soxr.resample(samples, source_hz, target_hz), np.float32)


def _factors(source_hz: int, target_hz: int) -> tuple[int, int]:
    if source_hz <= 0 or target_hz <= 0:
        raise UnsupportedFormat(f"cannot convert {source_hz} Hz to {target_hz} Hz")
    common = math.gcd(source_hz, target_hz)
    up, down = target_hz // common, source_hz // common
    if max(up, down) > _HIGHEST_FACTOR:
        raise UnsupportedFormat(
            f"cannot convert {source_hz} Hz to {target_hz} Hz live: {up}/{down} is too fine"
        )
    return up, down


@lru_cache(maxsize=16)
def _filter_bank(source_hz: int, target_hz: int) -> _Float64:
    """Kaiser low-pass as float64[up, taps] of whole numbers, newest input sample last."""
    up, _ = _factors(source_hz, target_hz)
    nyquist_hz = min(source_hz, target_hz) / 2
    fine_hz = source_hz * up
    width_hz = (STOP_EDGE - PASS_EDGE) * nyquist_hz
    length = _kaiser_length(width_hz / (fine_hz / 2))
    delay = math.ceil((length - 1) / 2 / up)
    cutoff_hz = (STOP_EDGE + PASS_EDGE) / 2 * nyquist_hz
    taps = _low_pass(2 * delay * up + 1, cutoff_hz / (fine_hz / 2))
    padded = np.zeros((2 * delay + 1) * up)
    padded[: len(taps)] = taps * up * _COEFFICIENT_SCALE
    phases = padded.reshape(2 * delay + 1, up).T[:, ::-1]
    bank = np.ascontiguousarray(np.rint(phases), dtype=np.float64)
    bank.flags.writeable = False
    return bank


# Kaiser's formulas (Oppenheim, Schafer: Discrete-Time Signal Processing, section 7.6), as scipy
# has them; importing scipy for them costs every process 65 MB and a second.


def _kaiser_length(width: float) -> int:
    """Taps for a transition of `width`, in shares of the Nyquist frequency."""
    return math.ceil((_ATTENUATION_DB - 7.95) / 2.285 / (math.pi * width) + 1)


def _low_pass(length: int, cutoff: float) -> _Float64:
    """Windowed sinc of unit gain for constant input; `cutoff` in shares of the Nyquist frequency.

    Args:
        length: odd.
        cutoff: between 0 and 1.
    """
    beta = 0.1102 * (_ATTENUATION_DB - 8.7)  # for 50 dB and more
    places = np.arange(length) - (length - 1) / 2
    taps = np.sinc(cutoff * places) * np.kaiser(length, beta)
    return np.asarray(taps / taps.sum(), dtype=np.float64)
