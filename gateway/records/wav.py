"""`audio.wav` as it grows: stereo 8 kHz s16le, readable whatever ends the process."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from gateway.audio.format import ANALYSIS, SAMPLE_BYTES

CHANNELS = 2
HEADER_BYTES = 44
BYTES_PER_SECOND = ANALYSIS.sample_rate_hz * CHANNELS * SAMPLE_BYTES
_FRAME_BYTES = CHANNELS * SAMPLE_BYTES
_FLUSH_BYTES = ANALYSIS.sample_rate_hz * SAMPLE_BYTES
"""A second of one channel."""


def wav_header(data_bytes: int) -> bytes:
    """Return the 44 byte RIFF header of a stereo line recording."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        data_bytes + HEADER_BYTES - 8,
        b"WAVE",
        b"fmt ",
        16,
        1,  # PCM
        CHANNELS,
        ANALYSIS.sample_rate_hz,
        BYTES_PER_SECOND,
        _FRAME_BYTES,
        SAMPLE_BYTES * 8,
        b"data",
        data_bytes,
    )


class StereoWavWriter:
    """Appends line frames; about once a second they go to the file and the header follows.

    A stretch that the disk refuses stays a hole of silence, so that everything after it is
    still at its own audio time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._waiting_bytes = 0
        """Of one channel."""
        self._left: list[bytes] = []
        self._right: list[bytes] = []
        self._position = 0
        self._written_end = 0
        self.has_file = False
        """False while nothing but silence was to be written."""

    @property
    def seconds(self) -> float:
        """Audio time written, flushed or not."""
        return (self._position + self._waiting_bytes * CHANNELS) / BYTES_PER_SECOND

    def write(self, left: bytes, right: bytes) -> None:
        """Append frames of each channel; the right one is cut or padded to the left one.

        Raises:
            OSError: this was the frame that fills a second, and the disk refused it.
        """
        size = frames_in(left) * ANALYSIS.frame_bytes
        self._left.append(_sized(left, size))
        self._right.append(_sized(right, size))
        self._waiting_bytes += size
        if self._waiting_bytes >= _FLUSH_BYTES:
            self.flush()

    def skip(self, frames: int = 1) -> None:
        """Leave line frames out: they are silence in both channels.  Raises OSError."""
        self.flush()
        self._position += frames * ANALYSIS.frame_bytes * CHANNELS

    def flush(self) -> None:
        """Write what is waiting, then the sizes in the header.  Raises OSError."""
        if not self._left:
            return
        data = _interleave(b"".join(self._left), b"".join(self._right))
        self._left.clear()
        self._right.clear()
        self._waiting_bytes = 0
        start, self._position = self._position, self._position + len(data)
        self._open()
        written = os.pwrite(self._fd, data, HEADER_BYTES + start)
        self._written_end = start + written - written % _FRAME_BYTES
        os.pwrite(self._fd, wav_header(self._written_end), 0)
        if written < len(data):
            raise OSError(f"{self._path}: only {written} of {len(data)} bytes written")

    def close(self) -> None:
        """Flush and close.  Raises OSError; closed it is in any case."""
        try:
            self.flush()
            if self._fd >= 0 and self._written_end < self._position:  # the end was left out
                os.ftruncate(self._fd, HEADER_BYTES + self._position)
                os.pwrite(self._fd, wav_header(self._position), 0)
        finally:
            if self._fd >= 0:
                fd, self._fd = self._fd, -1
                os.close(fd)

    def _open(self) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self.has_file = True


def repair_wav(path: Path) -> float:
    """Make the header of a file whose writer died fit what is there.

    Returns:
        Length of the audio in seconds.

    Raises:
        OSError: the file cannot be read or written.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        data_bytes = max(0, size - HEADER_BYTES)
        data_bytes -= data_bytes % _FRAME_BYTES
        header = wav_header(data_bytes)
        file.seek(0)
        if file.read(HEADER_BYTES) != header:
            file.seek(0)
            file.write(header)
            file.truncate(HEADER_BYTES + data_bytes)
    return data_bytes / BYTES_PER_SECOND


def frames_in(pcm: bytes) -> int:
    """Return how many line frames these are; a part of one counts as one, nothing does, too."""
    return max(1, -(-len(pcm) // ANALYSIS.frame_bytes))


def _sized(pcm: bytes, size: int) -> bytes:
    """Pad or cut to a length, so that the channels can never drift apart."""
    return pcm if len(pcm) == size else pcm[:size].ljust(size, b"\0")


def _interleave(left: bytes, right: bytes) -> bytes:
    """Weave two mono stretches of equal length into stereo."""
    samples = np.empty((len(left) // SAMPLE_BYTES, CHANNELS), dtype="<i2")
    samples[:, 0] = np.frombuffer(left, dtype="<i2")
    samples[:, 1] = np.frombuffer(right, dtype="<i2")
    return samples.tobytes()
