"""Mono WAV files for tests."""

from __future__ import annotations

import wave
from pathlib import Path


def write_wav(path: Path, pcm: bytes, rate_hz: int = 8000) -> None:
    """Write mono s16le."""
    with wave.open(str(path), "wb") as recording:
        recording.setparams((1, 2, rate_hz, 0, "NONE", ""))
        recording.writeframes(pcm)
