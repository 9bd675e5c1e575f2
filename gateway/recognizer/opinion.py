"""Opinions on the end of turns, formed on a thread of their own while the text is decoded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Protocol

from gateway.threads import BlockingEngine

log = logging.getLogger(__name__)


class SoundModel(Protocol):
    """What judges: `SmartTurnModel`, or any other of this shape."""

    def probability(self, pcm: bytes) -> float:
        """Return the probability that the turn is over where the audio (8000 Hz) ends."""


class Opinions:
    """Judges one segment at a time; of each caller turn only the latest matters."""

    def __init__(self, model: SoundModel, engine: BlockingEngine) -> None:
        self._model = model
        self._engine = engine
        self._forming: dict[Hashable, asyncio.Task[None]] = {}

    def form(
        self,
        tasks: asyncio.TaskGroup,
        turn: Hashable,
        pcm: bytes,
        tell: Callable[[float], None],
    ) -> None:
        """Judge where `pcm` (mono s16le, 8000 Hz) ends and `tell` the probability; or, failed, not.

        What was to be said of the same turn before is void.
        """
        self.drop(turn)
        self._forming[turn] = tasks.create_task(self._judge(turn, pcm, tell))

    def drop(self, turn: Hashable) -> None:
        """Nobody wants to know any more."""
        task = self._forming.pop(turn, None)
        if task is not None:
            task.cancel()

    async def _judge(self, turn: Hashable, pcm: bytes, tell: Callable[[float], None]) -> None:
        try:
            probability = await self._engine.call(self._model.probability, pcm)
        except Exception:  # border: whatever the native runtime raises costs one opinion
            log.exception("opinion_failed")
        else:
            tell(probability)
        self._forming.pop(turn, None)
