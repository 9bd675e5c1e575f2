"""What of a voice is audible, as a caller feels it: the one definition of every figure.  Pure.

Speech is looked at in blocks of 5 ms.  A block is audible when it is

- no more than 25 dB under the loudest block of the same voice: a quieter caller, or a quieter line,
  changes no figure, and a soft "s" or "th" counts;
- at least 10 dB over what is behind the voice, and 3 dB over the loudest twentieth of that: under
  noise a whisper is not audible;
- not below -60 dBFS, which is the line's own hiss.

The gateway, the probe and the benchmarks measure with these functions, so that their figures mean
the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLOCK_SAMPLES = 40
"""5 ms at 8000 Hz."""
_CRACKLE_SAMPLES = 3
"""Samples of a block that may be anything: a click is no voice."""
_COUNTED = BLOCK_SAMPLES - _CRACKLE_SAMPLES
_UNDER_LOUDEST = 10**-2.5
_OVER_MEDIAN = 10.0
_OVER_LOUD_NOISE = 10**0.3
_LOUD_NOISE = 0.95
LEAST = (32768 * 10**-3.0) ** 2
"""Power of -60 dBFS."""

Powers = npt.NDArray[np.float32]
"""Mean square of each block."""


def block_powers(samples: npt.NDArray[np.int16]) -> Powers:
    """Return the power of each whole block (int16[n], 8 kHz), without its largest samples."""
    whole = len(samples) - len(samples) % BLOCK_SAMPLES
    squares = np.square(samples[:whole].reshape(-1, BLOCK_SAMPLES), dtype=np.float32)
    squares.partition(_COUNTED - 1, axis=1)
    powers: Powers = squares[:, :_COUNTED].mean(axis=1, dtype=np.float32)
    return powers


def over_noise(noise: Powers) -> float:
    """Power from which a voice is heard over a noise (blocks without speech)."""
    if not len(noise):
        return LEAST
    ordered = np.sort(noise)
    median, loud = ordered[len(noise) // 2], ordered[int(len(noise) * _LOUD_NOISE)]
    return max(LEAST, float(median) * _OVER_MEDIAN, float(loud) * _OVER_LOUD_NOISE)


def audible_from(loudest: float, over: float = LEAST) -> float:
    """Power from which a block of a voice is audible.

    Args:
        loudest: power of the voice's loudest block.
        over: what `over_noise` says of the noise behind it.
    """
    return max(over, loudest * _UNDER_LOUDEST)


def audible_samples(samples: npt.NDArray[np.int16], over: float = LEAST) -> npt.NDArray[np.int64]:
    """Return the places of all samples of audible blocks that are themselves so loud.

    The first and the last of them are where the voice begins and ends.
    """
    powers = block_powers(samples)
    power = audible_from(float(powers.max(initial=0.0)), over)
    blocks = np.repeat(powers >= power, BLOCK_SAMPLES)
    squares = np.square(samples[: len(blocks)], dtype=np.float32)
    return np.flatnonzero(blocks & (squares >= np.float32(power)))
