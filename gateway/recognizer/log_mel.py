"""Log-mel spectrogram as Whisper and its kin want it, in numpy."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

RATE_HZ = 16000
BANDS = 80
HOP_SAMPLES = 160
_WINDOW_SAMPLES = 400
_HIGHEST_HZ = 8000.0
_KNEE_HZ, _KNEE_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27.0
_RANGE = 8.0
"""Decades under the loudest that still count."""

_Float64 = npt.NDArray[np.float64]


def log_mel(waveform: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return float32[80, samples // 160] of mono audio at 16 kHz, normalised first."""
    centred = waveform.astype(np.float64) - waveform.mean(dtype=np.float64)
    normal = centred / np.sqrt(centred.var() + 1e-7)
    padded = np.pad(normal, _WINDOW_SAMPLES // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_SAMPLES)
    frames = windows[::HOP_SAMPLES][:-1] * _hann()
    power = np.abs(np.fft.rfft(frames)) ** 2
    bands = np.log10(np.maximum(power @ _mel_bank(), 1e-10))
    clipped = np.maximum(bands, bands.max() - _RANGE)
    scaled: npt.NDArray[np.float32] = ((clipped + 4) / 4).T.astype(np.float32)
    return scaled


@cache
def _hann() -> _Float64:
    window: _Float64 = np.hanning(_WINDOW_SAMPLES + 1)[:-1]
    return window


@cache
def _mel_bank() -> _Float64:
    """Triangles of equal area on Slaney's mel scale, float64[201, 80]."""
    top = _KNEE_MEL + np.log(_HIGHEST_HZ / _KNEE_HZ) / _LOG_STEP
    corners = _hz(np.linspace(0.0, top, BANDS + 2))
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    bins = np.linspace(0.0, _HIGHEST_HZ, _WINDOW_SAMPLES // 2 + 1)[:, None]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    bank: _Float64 = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (high - low))
    return bank


def _hz(mel: _Float64) -> _Float64:
    """Linear up to 1 kHz, logarithmic above."""
    above: _Float64 = _KNEE_HZ * np.exp((mel - _KNEE_MEL) * _LOG_STEP)
    return np.where(mel < _KNEE_MEL, mel * _KNEE_HZ / _KNEE_MEL, above)
