"""Stereo: the audio of a bundle, frame by frame.  What a killed writer left is read as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.audio.format import ANALYSIS
from gateway.records.wav import HEADER_BYTES, wav_header

_FORMAT = slice(20, 36)
"""PCM, two channels, 8000 Hz, 16 bit: the part of the header that does not grow."""


@dataclass(frozen=True, slots=True)
class Stereo:
    """Both directions of a call."""

    frames: tuple[tuple[bytes, bytes], ...]
    """(received, sent): mono s16le, 160 samples each."""

    @property
    def samples(self) -> int:
        """Audio time of the end."""
        return len(self.frames) * ANALYSIS.frame_samples

    @property
    def received(self) -> bytes:
        """All that came from the caller."""
        return b"".join(received for received, _ in self.frames)

    @property
    def sent(self) -> bytes:
        """All that was sent to the caller."""
        return b"".join(sent for _, sent in self.frames)


def read_stereo(path: Path) -> Stereo:
    """Read `audio.wav`; a frame that is not whole at its end is left out.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no stereo recording of the line's format.
    """
    content = path.read_bytes()
    expected = wav_header(0)
    if content[:4] != b"RIFF" or content[_FORMAT] != expected[_FORMAT]:
        raise ValueError("not a stereo recording of 8 kHz, 16 bit")
    size = ANALYSIS.frame_bytes * 2
    whole = (len(content) - HEADER_BYTES) // size * size
    both = np.frombuffer(content, "<i2", max(whole, 0) // 2, HEADER_BYTES).reshape(-1, 2)
    left, right = both[:, 0].tobytes(), both[:, 1].tobytes()
    step = ANALYSIS.frame_bytes
    return Stereo(
        tuple((left[at : at + step], right[at : at + step]) for at in range(0, len(left), step))
    )
