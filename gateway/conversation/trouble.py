"""Trouble: what is said when an engine has failed or the line is dead, and when that is the end."""

from __future__ import annotations

import structlog

from gateway.call import events
from gateway.conversation.spending import SpendingLimit
from gateway.conversation.talk import Ending, Talk
from gateway.errors import ProviderError
from gateway.turn.events import samples
from gateway.turn.watchdog import Finding

log = structlog.get_logger(__name__)

_MAX_FAILURES = 3
_SAME_UTTERANCE = samples(2000)
"""A caller who talks into an apology for failed recognition makes it fail again: that counts
once."""


class Trouble:
    """Counts the failures of one conversation."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._failures = 0
        self._deaf_at: int | None = None
        """When recognition failed last."""

    def engines_work(self) -> None:
        """There was a whole answer: what failed before does not count any more."""
        self._failures = 0

    async def recognition_failed(self, error: ProviderError) -> None:
        """Apologize, unless the caller's sound alone can decide what follows."""
        listener = self._talk.listener
        if listener.taker.in_doubt:  # its sound alone decides: speech that goes on is let through
            listener.hearing.drop_turn()
            await self.engine_failed(error, counts=False)
            return
        now = self._talk.call.audio.now
        is_same = self._deaf_at is not None and now - self._deaf_at < _SAME_UTTERANCE
        self._deaf_at = now
        listener.drop_turn("failed")
        await self.engine_failed(error, counts=not is_same)

    async def engine_failed(self, error: ProviderError, *, counts: bool = True) -> None:
        """Apologize; after too many failures say goodbye.

        Args:
            error: of the engine.
            counts: towards those that are too many.
        """
        talk = self._talk
        self._failures += counts
        self.count(error)
        if talk.ending is not None or talk.floor.is_bots:
            return
        if self._failures >= _MAX_FAILURES or isinstance(error, SpendingLimit):
            talk.ending = Ending("failed", str(error))
            await talk.say(talk.agent.config.give_up)
        else:
            await talk.say(talk.agent.config.fallback)

    def count(self, error: ProviderError) -> None:
        """Record a failure of an engine."""
        call = self._talk.call
        log.warning("engine_failed", problem=str(error), cause=error.kind, failures=self._failures)
        call.note(events.EngineFailed(problem=str(error), cause=error.kind))
        call.metrics.provider_errors.labels(error.provider, error.kind).inc()

    async def line_is_dead(self, finding: Finding) -> None:
        """The line was dead for longer than it ever may be: whatever the cause, it ends here."""
        talk = self._talk
        log.error("line_is_dead", finding=finding.value, state=talk.floor.state)
        talk.call.note(events.LineIsDead(finding=finding.value, state=talk.floor.state))
        talk.call.metrics.watchdog.labels(finding.value).inc()
        talk.listener.drop_turn("failed")
        await talk.floor.interrupt("watchdog")
        if finding is Finding.SAY_FALLBACK and talk.ending is None:
            await talk.say(talk.agent.config.fallback)
            return
        talk.ending = talk.ending or Ending("failed", "the line was dead")
        await talk.say(talk.agent.config.give_up)
