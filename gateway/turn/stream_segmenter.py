"""Cut the endless audio of a full-duplex engine into replies.  Pure.

Such an engine speaks all the time, mostly silence.  A reply begins with its first sound or word and
ends when neither has come for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

_SOUND_RMS = 104.0
"""-50 dBFS: what is below is the engine's own noise."""
_ENDS_AFTER_MS = 700.0
"""Pauses between sentences are shorter."""
_LEAD_MS = 100.0
"""Silence that is kept before the first sound, for a soft onset."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What one chunk of the stream is."""

    what: Literal["begins", "goes_on", "ends", "silence"]
    pcm: bytes = b""
    """To be played, for `begins` and `goes_on`; the first has a little of what was before."""


class StreamSegmenter:
    """Judges one stream, chunk by chunk."""

    def __init__(self, sample_rate_hz: int) -> None:
        """Start in silence; chunks are mono s16le at this rate, any even length."""
        self._bytes_per_ms = sample_rate_hz * 2 / 1000
        self._before = b""
        self._silent_ms = 0.0
        self._is_open = False

    def push(self, pcm: bytes, text: str = "") -> Segment:
        """Judge the next chunk.

        Args:
            pcm: its sound.
            text: words that begin in it.
        """
        is_silent = not text.strip() and _is_silence(pcm)
        if not self._is_open:
            if is_silent:
                kept = int(_LEAD_MS * self._bytes_per_ms) // 2 * 2
                self._before = (self._before + pcm)[-kept:]
                return Segment("silence")
            lead, self._before = self._before, b""
            self._is_open, self._silent_ms = True, 0.0
            return Segment("begins", lead + pcm)
        self._silent_ms = self._silent_ms + len(pcm) / self._bytes_per_ms if is_silent else 0.0
        if self._silent_ms >= _ENDS_AFTER_MS:
            self._is_open = False
            return Segment("ends")
        return Segment("goes_on", pcm)


def _is_silence(pcm: bytes) -> bool:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    return not len(samples) or float(np.sqrt(np.mean(samples * samples))) < _SOUND_RMS
