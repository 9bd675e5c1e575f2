"""The ringback tone: it rings elsewhere (ITU-T E.180)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.audio.format import ANALYSIS

_LEVEL = 1600.0
"""Peak of each frequency: about -26 dBFS, below speech."""
_EDGE_SAMPLES = ANALYSIS.sample_rate_hz // 100
"""It fades in and out within 10 ms, else it would click."""


@dataclass(frozen=True, slots=True)
class RingingTone:
    """Frequencies and rhythm."""

    frequencies_hz: tuple[int, ...]
    on_s: float
    off_s: float

    def frames(self) -> list[bytes]:
        """Return one ring in whole frames of the line."""
        count = (
            round(self.on_s * ANALYSIS.sample_rate_hz)
            // ANALYSIS.frame_samples
            * ANALYSIS.frame_samples
        )
        at_s = np.arange(count) / ANALYSIS.sample_rate_hz
        angles = 2 * np.pi * np.outer(self.frequencies_hz, at_s)
        tone = _LEVEL * np.sin(angles).sum(axis=0)
        edge = np.linspace(0.0, 1.0, _EDGE_SAMPLES)
        tone[:_EDGE_SAMPLES] *= edge
        tone[-_EDGE_SAMPLES:] *= edge[::-1]
        pcm = tone.astype("<i2").tobytes()
        return [
            pcm[at : at + ANALYSIS.frame_bytes] for at in range(0, len(pcm), ANALYSIS.frame_bytes)
        ]


RINGING_TONES = {
    "international": RingingTone((425,), 1.0, 4.0),
    "north_american": RingingTone((440, 480), 2.0, 4.0),
}
