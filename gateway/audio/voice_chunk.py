"""The result of a voice detector for one moment."""

from __future__ import annotations

from typing import NamedTuple, Protocol

CHUNK_SAMPLES = 256
"""Length of what one probability speaks for: 32 ms at 8000 Hz."""


class Chunk(NamedTuple):
    """The result of the voice detector for 32 ms."""

    probability: float
    """That it is speech, 0..1."""
    end: int
    """Audio time of the sample after its last."""
    level_dbfs: float = -100.0
    """Root mean square of its samples; of a provisional chunk, of its latest 20 ms."""
    is_provisional: bool = False
    """Not a chunk of its own but a look ahead at the latest 32 ms: the next chunk judges them, too.
    It may start what can be taken back, nothing else."""


class VoiceDetector(Protocol):
    """Speech probabilities of one call."""

    def push(self, frame: bytes) -> list[Chunk]:
        """Accept a frame; return the chunks that are whole now."""

    def peek(self) -> Chunk | None:
        """Judge the latest audio before its chunk is whole, if that is possible."""
