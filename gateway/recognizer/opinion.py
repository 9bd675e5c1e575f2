"""An opinion on the end of the turn, formed on a thread of its own while the text is decoded."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from gateway.threads import BlockingEngine

log = logging.getLogger(__name__)

_GRACE_S = 0.06
"""So long a transcript may wait for the opinion on it; usually that is there first."""


class SoundModel(Protocol):
    """What judges: `SmartTurnModel`, or any other of this shape."""

    def probability(self, pcm: bytes) -> float:
        """Return the probability that the turn is over where the audio (8000 Hz) ends."""


class Opinions:
    """Judges one segment at a time, beside the decoder."""

    def __init__(self, model: SoundModel, engine: BlockingEngine) -> None:
        self._model = model
        self._engine = engine

    async def judge(self, pcm: bytes) -> float | None:
        """Return the probability that the turn is over where `pcm` ends; None when it failed."""
        try:
            return await self._engine.call(self._model.probability, pcm)
        except Exception:  # border: whatever the native runtime raises costs one opinion
            log.exception("opinion_failed")
            return None


async def take(opinion: asyncio.Task[float | None]) -> float | None:
    """Return the opinion, or None when it is late: nobody waits for it then."""
    await asyncio.wait((opinion,), timeout=_GRACE_S)
    if opinion.done():
        return opinion.result()
    opinion.cancel()
    return None
