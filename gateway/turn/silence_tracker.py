"""Track since when the caller is silent: sooner than the voice detector, whose tail is long."""

from __future__ import annotations

from gateway.audio.voice_chunk import CHUNK_SAMPLES, Chunk

_IS_SPEECH = 0.5
_DROP_DB = 25.0
"""A chunk this far below the caller's loudest is silence.  Measured: the level falls
that far 45 ms (p50) after the last audible sample, the detector's probability after 170 ms."""
_STANDS_OUT_DB = 15.0
"""Where digits or letters are dictated, a sound is the caller's if it is this much above the noise
and less than this below the caller's loudest: of lone digits the detector misses some altogether
(probabilities of 0.01 to 0.2 for a whole "three")."""
_FORGETS_DB = 0.1
"""Per chunk: a caller may turn away from the telephone."""
_FLOOR_RISES_DB = 0.3
"""Per chunk: noise that begins is known as noise after two to four seconds."""
_LOWEST_DBFS = -70.0
_UNKNOWN_DBFS = -100.0


class SilenceTracker:
    """Tracks the end of what may be the caller's last word."""

    def __init__(self, stop_probability: float) -> None:
        self.stop_probability = stop_probability
        self._floor_dbfs = _LOWEST_DBFS
        self.reset()

    def reset(self) -> None:
        """Forget how loud the caller is."""
        self._loud_dbfs = _UNKNOWN_DBFS
        self.since: int | None = None
        """End of the latest chunk that was not quiet; None while the caller is heard."""
        self.may_speak = False
        """True when the latest chunk was probably speech."""

    def hear(self, chunk: Chunk, *, is_dictated: bool = False) -> None:
        """Accept the next chunk; `is_dictated` where single digits or letters are asked for."""
        level_dbfs = max(chunk.level_dbfs, _LOWEST_DBFS)
        self._floor_dbfs = min(level_dbfs, self._floor_dbfs + _FLOOR_RISES_DB)
        if chunk.probability >= _IS_SPEECH:
            self._loud_dbfs = max(self._loud_dbfs - _FORGETS_DB, chunk.level_dbfs)
        self.may_speak = chunk.probability >= self.stop_probability
        is_low = chunk.level_dbfs < self._loud_dbfs - _DROP_DB
        if (self.may_speak and not is_low) or (is_dictated and self._stands_out(chunk)):
            self.since = None
        elif self.since is None:
            self.since = chunk.end - CHUNK_SAMPLES

    def _stands_out(self, chunk: Chunk) -> bool:
        over_floor_db = chunk.level_dbfs - self._floor_dbfs
        is_known = self._loud_dbfs > _UNKNOWN_DBFS
        is_loud = chunk.level_dbfs >= self._loud_dbfs - _STANDS_OUT_DB
        return is_known and is_loud and over_floor_db >= _STANDS_OUT_DB
