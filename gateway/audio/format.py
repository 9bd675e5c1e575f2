"""What one stage of the audio path carries."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

Encoding = Literal["s16", "pcmu", "pcma"]
"""Signed 16-bit little-endian PCM, G.711 mu-law, G.711 A-law."""

SAMPLE_BYTES = 2
"""Bytes of one sample of s16, which everything inside the gateway works on."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One channel of audio: how fast it is sampled, how a sample is written, how it is cut."""

    sample_rate_hz: int
    ptime_ms: int = 20
    encoding: Encoding = "s16"
    sample_bytes: int = field(init=False, compare=False)
    """Bytes of one sample."""
    frame_samples: int = field(init=False, compare=False)
    """Samples in one ptime."""
    frame_bytes: int = field(init=False, compare=False)
    """Bytes in one ptime."""

    def __post_init__(self) -> None:
        samples = self.sample_rate_hz * self.ptime_ms // 1000
        sample_bytes = SAMPLE_BYTES if self.encoding == "s16" else 1
        object.__setattr__(self, "sample_bytes", sample_bytes)
        object.__setattr__(self, "frame_samples", samples)  # frozen; asked for in every frame
        object.__setattr__(self, "frame_bytes", samples * sample_bytes)

    def __str__(self) -> str:
        """Return encoding and rate, such as `s16/8000`."""
        return f"{self.encoding}/{self.sample_rate_hz}"

    def seconds(self, audio: bytes) -> float:
        """Return the duration of `audio` in seconds."""
        return len(audio) / self.sample_bytes / self.sample_rate_hz


NARROWBAND = AudioFormat(sample_rate_hz=8000)
"""The telephone band in frames of 160 samples."""
WIDEBAND = AudioFormat(sample_rate_hz=16000)
"""The band of G.722 and of most recognizers in frames of 320 samples."""
ANALYSIS = NARROWBAND
"""What the gateway analyses, records and counts audio time in, whatever a line carries."""

if not TYPE_CHECKING:  # for one release: what providers of others import

    def __getattr__(name: str) -> object:
        if name == "LINE":
            warnings.warn("LINE is named NARROWBAND", DeprecationWarning, stacklevel=2)
            return NARROWBAND
        raise AttributeError(name)
