"""LineNoise: noise as on the caller's line without speech.  Pure, the same in every call."""

from __future__ import annotations

from collections import deque

import numpy as np

from gateway.audio.echo_path import Samples
from gateway.audio.format import ANALYSIS

_FLOOR_FRAMES = 100
_SOUND_ENERGY = 1000.0 * ANALYSIS.frame_samples
"""-60 dBFS."""
_FLOOR_RMS = 6.0
"""-75 dBFS; the voice detector takes what follows digital silence for a voice."""


class LineNoise:
    """Noise in place of echo."""

    def __init__(self) -> None:
        self._energies: deque[float] = deque(maxlen=_FLOOR_FRAMES)
        self._white = np.random.default_rng(0).standard_normal(50 * ANALYSIS.frame_samples)
        self._at = 0
        self.sound_frames = 0
        """Frames since the line was last as quiet as that."""

    def hear(self, frame: Samples) -> None:
        """Accept one received frame."""
        energy = float(frame @ frame)
        self._energies.append(energy)
        is_sound = energy > _SOUND_ENERGY and energy > 4 * min(self._energies)
        self.sound_frames = self.sound_frames + 1 if is_sound else 0

    def frame(self) -> bytes:
        """Make one frame."""
        rms = max(_FLOOR_RMS, (min(self._energies) / ANALYSIS.frame_samples) ** 0.5)
        self._at = (self._at + ANALYSIS.frame_samples) % len(self._white)
        noise = rms * self._white[self._at : self._at + ANALYSIS.frame_samples]
        return bytes(noise.astype("<i2"))
