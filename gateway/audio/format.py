"""What one stage of the audio path carries."""

from __future__ import annotations

from dataclasses import dataclass, field

SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Mono signed 16-bit little-endian PCM at one sample rate."""

    sample_rate_hz: int
    ptime_ms: int = 20
    frame_samples: int = field(init=False, compare=False)
    """Samples in one ptime."""
    frame_bytes: int = field(init=False, compare=False)
    """Bytes in one ptime."""

    def __post_init__(self) -> None:
        samples = self.sample_rate_hz * self.ptime_ms // 1000
        object.__setattr__(self, "frame_samples", samples)  # frozen; asked for in every frame
        object.__setattr__(self, "frame_bytes", samples * SAMPLE_BYTES)

    def seconds(self, pcm: bytes) -> float:
        """Duration of `pcm` in seconds."""
        return len(pcm) / SAMPLE_BYTES / self.sample_rate_hz


LINE = AudioFormat(sample_rate_hz=8000, ptime_ms=20)
"""The call line's own format: every frame between SIP and conversation is 160 samples."""
