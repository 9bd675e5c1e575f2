"""Where speech that was broken off goes on: at a gap between two words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gateway.audio.format import LINE

REACH_FRAMES = 50
"""No more than the last second is said again."""
_GAP_DB = 25.0
"""A gap is so much below the loudest frame ..."""
_GAP_FRAMES = 3
"""... and so long (60 ms): the closures of p, t, k inside words are shorter."""
_DIP_FRAMES = (20, 40)
"""Without a gap: the quietest frame of 400-800 ms ago."""


def rewind_frames(played: Sequence[bytes]) -> int:
    """Say how many of the latest played frames to repeat, 0..`REACH_FRAMES`.

    Args:
        played: frames in `LINE` format in the order they were sent.  Fewer than `REACH_FRAMES`
            are all there is: speech began with the first of them.

    Returns:
        So many that the first of them is the last one of a gap; 0 when the speech was broken off
        in a gap.
    """
    recent = list(played)[-REACH_FRAMES:]
    if not recent:
        return 0
    levels = _levels_db(recent)
    quiet = levels < levels.max() - _GAP_DB
    run = 0
    for age, is_quiet in enumerate(quiet[::-1]):
        run = run + 1 if is_quiet else 0
        if run == _GAP_FRAMES:
            return age + 1 - (_GAP_FRAMES - 1)
    if len(recent) < REACH_FRAMES:
        return len(recent)
    first, last = _DIP_FRAMES
    return first + 1 + int(np.argmin(levels[::-1][first:last]))


def _levels_db(frames: Sequence[bytes]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    samples = np.frombuffer(b"".join(frames), dtype="<i2").reshape(-1, LINE.frame_samples)
    energies = np.square(samples.astype(np.float64)).mean(axis=1)
    return np.asarray(10 * np.log10(energies + 1.0))
