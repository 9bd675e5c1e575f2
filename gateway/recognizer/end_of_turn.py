"""Score the ends of turns on a thread of their own while the text is decoded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Protocol

from gateway.threads import BlockingEngine

log = logging.getLogger(__name__)


class SoundModel(Protocol):
    """Implemented by `SmartTurnModel`."""

    def probability(self, pcm: bytes, rate_hz: int) -> float:
        """Return the probability that the turn is over where the audio ends."""


class EndOfTurnScorer:
    """Scores one segment at a time; of each caller turn only the latest matters."""

    def __init__(self, model: SoundModel, engine: BlockingEngine) -> None:
        self._model = model
        self._engine = engine
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}

    def score(
        self,
        tasks: asyncio.TaskGroup,
        turn: Hashable,
        pcm: bytes,
        rate_hz: int,
        on_score: Callable[[float], None],
    ) -> None:
        """Score the end of `pcm` (mono s16le at `rate_hz`); call `on_score` unless that fails.

        An earlier request for the same turn is dropped.
        """
        self.drop(turn)
        self._tasks[turn] = tasks.create_task(self._run(turn, pcm, rate_hz, on_score))

    def drop(self, turn: Hashable) -> None:
        """Cancel the request for a turn."""
        task = self._tasks.pop(turn, None)
        if task is not None:
            task.cancel()

    async def _run(
        self, turn: Hashable, pcm: bytes, rate_hz: int, on_score: Callable[[float], None]
    ) -> None:
        try:
            probability = await self._engine.call(self._model.probability, pcm, rate_hz)
        except Exception:  # border: whatever the native runtime raises costs one score
            log.exception("end_of_turn_score_failed")
        else:
            on_score(probability)
        self._tasks.pop(turn, None)
