"""Alarm: should the bot pause?  Probable speech that stands out of the call's own noise."""

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
_PROVISIONAL_MARGIN = 0.1
"""A look ahead is wrong more often than a whole chunk."""
_HINT_PROBABILITY, _HINT_MARGIN_DB = 0.05, 20.0
"""A sound so far over the noise may be the "s" of "stop", which alone is hardly speech to the voice
detector: it starts a pause where noise has not done so lately.  Measured: decision 32."""
_SOUND_MARGIN_DB = 15.0
_UNKNOWN_DBFS = -100.0
_REMEMBERED = samples(10_000)
_STEP = 0.2
_HIGHEST = 0.7


class NoiseFloor:
    """Learns the noise level of the call from what is no speech."""

    def __init__(self) -> None:
        self.dbfs: float | None = None
        """None until something was heard."""

    def hear(self, chunk: Chunk) -> None:
        """Accept a chunk; only those that are no speech count."""
        if chunk.probability >= _IS_NO_SPEECH or chunk.level_dbfs <= _UNKNOWN_DBFS:
            return
        level = max(chunk.level_dbfs, _QUIETEST_DBFS)
        if self.dbfs is None:
            self.dbfs = level
        share = _FALLS if level < self.dbfs else _RISES
        self.dbfs += share * (level - self.dbfs)


class Alarm:
    """Decides on each chunk whether the caller may be speaking."""

    def __init__(self, probability: float) -> None:
        self.probability = probability
        """From which on a chunk is probably speech."""
        self._floor = NoiseFloor()
        self._false: deque[int] = deque()

    def hear(self, chunk: Chunk) -> bool:
        """Accept a chunk; True when it is probably speech."""
        self._floor.hear(chunk)
        if chunk.probability < self.needed(chunk.end):
            return False
        return chunk.probability >= _SURELY_SPEECH or self._stands_out(chunk.level_dbfs)

    def peek(self, chunk: Chunk) -> bool:
        """Accept a provisional chunk; True when the caller may begin to speak."""
        needed = self.needed(chunk.end)
        if chunk.probability >= needed + _PROVISIONAL_MARGIN:
            return chunk.probability >= _SURELY_SPEECH or self._stands_out(chunk.level_dbfs)
        above_db = self.above_floor_db(chunk.level_dbfs)
        is_new = above_db is not None and above_db >= _HINT_MARGIN_DB
        return is_new and chunk.probability >= _HINT_PROBABILITY and not self._false

    def is_sound(self, chunk: Chunk) -> bool:
        """Return whether something other than the noise of the call goes on."""
        above_db = self.above_floor_db(chunk.level_dbfs)
        return above_db is not None and above_db >= _SOUND_MARGIN_DB

    def was_false(self, now: int) -> None:
        """It was noise: for some seconds the threshold is higher."""
        self._false.append(now)

    def needed(self, now: int) -> float:
        """Speech probability that counts: noise that has fooled it lately raises it."""
        while self._false and now - self._false[0] > _REMEMBERED:
            self._false.popleft()
        raised = min(_HIGHEST, self.probability + _STEP * len(self._false))
        return max(self.probability, raised)

    def above_floor_db(self, level_dbfs: float) -> float | None:
        """Return how far a level is above the noise; None while one of both is unknown."""
        if self._floor.dbfs is None or level_dbfs <= _UNKNOWN_DBFS:
            return None
        return level_dbfs - self._floor.dbfs

    def _stands_out(self, level_dbfs: float) -> bool:
        above_db = self.above_floor_db(level_dbfs)
        return above_db is None or above_db >= _MARGIN_DB
