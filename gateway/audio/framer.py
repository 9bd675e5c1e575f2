"""Chunks of any length to whole frames."""

from __future__ import annotations


class Framer:
    """Cut a byte stream into frames of one fixed length."""

    def __init__(self, frame_bytes: int) -> None:
        if frame_bytes <= 0:
            raise ValueError(f"frame_bytes must be positive, not {frame_bytes}")
        self._frame_bytes = frame_bytes
        self._rest = b""

    def push(self, chunk: bytes) -> list[bytes]:
        """Accept a chunk of any length and return the frames that are whole now."""
        line = self._rest + chunk if self._rest else chunk
        size = self._frame_bytes
        whole = len(line) - len(line) % size
        self._rest = line[whole:]
        return [line[start : start + size] for start in range(0, whole, size)]

    def flush(self) -> list[bytes]:
        """Return what is left as one frame filled up with silence, or nothing; start afresh."""
        rest, self._rest = self._rest, b""
        return [rest.ljust(self._frame_bytes, b"\0")] if rest else []
