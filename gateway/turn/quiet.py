"""Since when the caller is quiet: sooner than the voice detector says so, whose tail is long."""

from __future__ import annotations

from gateway.audio.voice_chunk import CHUNK_SAMPLES, Chunk

_IS_SPEECH = 0.5
_DROP_DB = 25.0
"""So far under the caller's loudest, a chunk is a breath or a closed mouth.  Measured: the level
falls so far 45 ms (p50) after the last audible sample, the detector's probability after 170 ms."""
_FORGETS_DB = 0.1
"""Per chunk: a caller may turn away from the telephone."""
_UNKNOWN_DBFS = -100.0


class Quiet:
    """Tracks the end of what may be the caller's last word."""

    def __init__(self, stop_probability: float) -> None:
        self._stop_probability = stop_probability
        self.reset()

    def reset(self) -> None:
        """Forget how loud the caller is."""
        self._loud_dbfs = _UNKNOWN_DBFS
        self.since: int | None = None
        """End of the latest chunk that was not quiet; None while the caller is heard."""
        self.may_speak = False
        """True when the latest chunk was probably speech."""

    def hear(self, chunk: Chunk) -> None:
        """Take the next chunk."""
        if chunk.probability >= _IS_SPEECH:
            self._loud_dbfs = max(self._loud_dbfs - _FORGETS_DB, chunk.level_dbfs)
        self.may_speak = chunk.probability >= self._stop_probability
        is_low = chunk.level_dbfs < self._loud_dbfs - _DROP_DB
        if self.may_speak and not is_low:
            self.since = None
        elif self.since is None:
            self.since = chunk.end - CHUNK_SAMPLES
