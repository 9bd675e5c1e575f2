"""Fades within one frame, so that speech which stops or goes on is no click."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

_SHARE = 0.4
"""8 ms: no click, and the rest of the frame is silent already."""


def ramp_down(frame: bytes) -> bytes:
    """Return a frame (s16) faded out by half a cosine; its rest is silent."""
    samples = np.frombuffer(frame, dtype="<i2")
    return bytes((samples * _fade_out(len(samples))).astype("<i2"))


def ramp_up(frame: bytes) -> bytes:
    """Return a frame (s16) faded in."""
    samples = np.frombuffer(frame, dtype="<i2")
    return bytes((samples * (1 - _fade_out(len(samples)))).astype("<i2"))


@cache
def _fade_out(frame_samples: int) -> npt.NDArray[np.float32]:
    count = round(_SHARE * frame_samples)
    gain = np.zeros(frame_samples, np.float32)
    gain[:count] = np.cos(np.linspace(0.0, np.pi, count)) * 0.5 + 0.5
    return gain
