"""Recordings on disk: mono WAV files."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from gateway.audio.format import SAMPLE_BYTES
from gateway.errors import UnsupportedFormat


def read_wav(path: Path) -> tuple[bytes, int]:
    """Read a mono PCM recording of 8 or 16 bits at any rate.

    Returns:
        The samples as s16le and the sample rate in Hz.

    Raises:
        UnsupportedFormat: it is no WAV file, compressed, not mono, or of another width.
        OSError: it cannot be read.
    """
    try:
        with wave.open(str(path), "rb") as recording:
            channels, width = recording.getnchannels(), recording.getsampwidth()
            rate_hz = recording.getframerate()
            content = recording.readframes(recording.getnframes())
    except (wave.Error, EOFError) as exc:
        raise UnsupportedFormat(f"{path}: not a PCM WAV file: {exc}") from exc
    if channels != 1:
        raise UnsupportedFormat(f"{path}: {channels} channels, only mono can be used")
    if width == SAMPLE_BYTES:
        return content[: len(content) & ~1], rate_hz
    if width == 1:  # WAV stores 8-bit samples unsigned
        narrow = np.frombuffer(content, dtype=np.uint8).astype(np.int32)
        return ((narrow - 128) << 8).astype("<i2").tobytes(), rate_hz
    raise UnsupportedFormat(f"{path}: {8 * width} bits per sample, only 8 and 16 can be used")
