"""What a voice detector says of a moment."""

from __future__ import annotations

from typing import NamedTuple

CHUNK_SAMPLES = 256
"""Length of what one probability speaks for: 32 ms at 8000 Hz."""


class Chunk(NamedTuple):
    """What the voice detector says of 32 ms."""

    probability: float
    """That it is speech, 0..1."""
    end: int
    """Audio time of the sample after its last."""
    level_dbfs: float = -100.0
    """Root mean square of its samples."""
