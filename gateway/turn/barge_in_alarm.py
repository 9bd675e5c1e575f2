"""Alarm: is it worth the bot's breath?  Probable speech that stands out of the call's own noise."""

from __future__ import annotations

from collections import deque

from gateway.audio.voice_chunk import Chunk
from gateway.turn.events import samples

_QUIETEST_DBFS = -70.0
"""Below is the line's own hiss: nothing stands out of less."""
_IS_NO_SPEECH = 0.15
_FALLS, _RISES = 0.2, 0.02
"""Shares of the way that the floor goes per chunk: half of it in 0.1 s and in 1.1 s."""
_MARGIN_DB = 3.0
_SURELY_SPEECH = 0.8
"""Needs no margin: the voice detector hears speech below the noise."""
_UNKNOWN_DBFS = -100.0
_REMEMBERED = samples(10_000)
_STEP = 0.2
_HIGHEST = 0.7


class NoiseFloor:
    """Learns how loud the call is while nobody speaks."""

    def __init__(self) -> None:
        self.dbfs: float | None = None
        """None until something was heard."""

    def hear(self, chunk: Chunk) -> None:
        """Take a chunk; only those that are no speech count."""
        if chunk.probability >= _IS_NO_SPEECH or chunk.level_dbfs <= _UNKNOWN_DBFS:
            return
        level = max(chunk.level_dbfs, _QUIETEST_DBFS)
        if self.dbfs is None:
            self.dbfs = level
        share = _FALLS if level < self.dbfs else _RISES
        self.dbfs += share * (level - self.dbfs)


class Alarm:
    """Decides on each chunk whether somebody may be speaking."""

    def __init__(self, probability: float) -> None:
        self._probability = probability
        self._floor = NoiseFloor()
        self._false: deque[int] = deque()

    def hear(self, chunk: Chunk) -> bool:
        """Take a chunk; True when it is probably speech."""
        self._floor.hear(chunk)
        if chunk.probability < self.needed(chunk.end):
            return False
        return chunk.probability >= _SURELY_SPEECH or self._stands_out(chunk.level_dbfs)

    def was_false(self, now: int) -> None:
        """It was noise: for some seconds it takes more."""
        self._false.append(now)

    def needed(self, now: int) -> float:
        """Speech probability that counts: noise that has fooled it lately raises it."""
        while self._false and now - self._false[0] > _REMEMBERED:
            self._false.popleft()
        raised = min(_HIGHEST, self._probability + _STEP * len(self._false))
        return max(self._probability, raised)

    def above_floor_db(self, level_dbfs: float) -> float | None:
        """How far a level is above the noise; None while one of both is unknown."""
        if self._floor.dbfs is None or level_dbfs <= _UNKNOWN_DBFS:
            return None
        return level_dbfs - self._floor.dbfs

    def _stands_out(self, level_dbfs: float) -> bool:
        above_db = self.above_floor_db(level_dbfs)
        return above_db is None or above_db >= _MARGIN_DB
