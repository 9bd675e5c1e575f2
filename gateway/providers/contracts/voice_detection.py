"""Voice detectors: is this speech?"""

from __future__ import annotations

from typing import Protocol

from gateway.audio.voice_chunk import VoiceDetector


class VoiceDetection(Protocol):
    """A kind of voice detector, shared by all calls of a worker."""

    async def warm_up(self) -> None:
        """Load what it needs, so that no call waits for it.  Raises ProviderError."""

    def open(self) -> VoiceDetector:
        """Make the detector of one call: frames of 8 kHz s16 in, chunks of 32 ms out."""

    async def close(self) -> None:
        """Release everything.  Idempotent."""
