"""SpeechUsage: what the sessions of a speech-to-speech engine cost, counted where it is limited."""

from __future__ import annotations

from dataclasses import fields
from typing import Self

import structlog

from gateway.call import events
from gateway.call.live_call import LiveCall
from gateway.config.models import SpeechPrices, SpeechTable
from gateway.conversation.spending import Spending, SpendingLimit
from gateway.conversation.talk import Talk
from gateway.providers.speech_to_speech import EngineUsage, SpeechSession
from gateway.records.model import EngineRecord

log = structlog.get_logger(__name__)


class SpeechUsage:
    """Counts the totals of one session after the other.  Loop thread only."""

    def __init__(
        self, provider: str, agent: str, call: LiveCall, spending: Spending, prices: SpeechPrices
    ) -> None:
        """Count on from what the engine has cost in this call before.

        Args:
            provider: name of the engine.
            agent: its name, for the error.
            call: whose record and metrics are told.
            spending: the limits.
            prices: of the engine.
        """
        self.provider = provider
        self._agent = agent
        self._call = call
        self._spending = spending
        self._prices = prices
        self._has_prices = any(prices.model_dump().values())
        self._known = EngineUsage()
        """Of the session in use."""
        self._is_over = False

    @classmethod
    def of(cls, talk: Talk, name: str) -> Self:
        """Count for a conversation, by its agent's limits and prices.

        Args:
            talk: the conversation.
            name: of the engine where the agent's configuration has none.
        """
        config, call = talk.agent.config, talk.call
        table = config.s2s or SpeechTable(provider=name)
        spending = Spending.of(call, config.llm_limits)
        return cls(table.label, talk.agent.name, call, spending, table.prices)

    def begins(self, session: SpeechSession) -> None:
        """A session was accepted: its totals begin with nothing.

        One that is `billed_as` another engine has that one's name and prices.
        """
        self._known = EngineUsage()
        billed: tuple[str, SpeechPrices | None] | None = getattr(session, "billed_as", None)
        if billed is not None:
            self.provider, self._prices = billed[0], billed[1] or SpeechPrices()
            self._has_prices = any(self._prices.model_dump().values())
        self._change(sessions=1)
        self._call.metrics.engine_sessions.labels(self.provider).inc()

    def was_lost(self) -> None:
        """A session was lost, or not given."""
        self._change(lost=1)

    def used(self, total: EngineUsage) -> SpendingLimit | None:
        """Count what is new in the totals of the session; return the limit that is reached, once.

        A total that is lower than before is a mistake of the engine's, and counts nothing.
        """
        known = self._known
        new = EngineUsage(**{
            each.name: max(0, getattr(total, each.name) - getattr(known, each.name))
            for each in fields(EngineUsage)
        })  # fmt: skip
        self._known = total
        kinds = tokens_of(new)
        cost = cost_of(kinds, new.audio_s, self._prices)
        tokens = new.input_tokens + new.output_tokens
        if tokens:
            self._spending.asks()
        self._spending.paid(tokens, cost)
        self._record(new, cost)
        metrics = self._call.metrics
        for kind, count in kinds.items():
            metrics.engine_tokens.labels(kind).inc(count)
        metrics.engine_session_seconds.inc(new.audio_s)
        metrics.engine_cost.inc(cost)
        return self._limit()

    def _record(self, new: EngineUsage, cost: float) -> None:
        self._change(
            input_tokens=new.input_tokens,
            output_tokens=new.output_tokens,
            input_audio_tokens=new.input_audio_tokens,
            output_audio_tokens=new.output_audio_tokens,
            cached_tokens=new.cached_tokens,
            session_s=new.audio_s,
            **({"cost": cost} if self._has_prices else {}),
        )

    def _change(self, **more: float) -> None:
        """Add to the record of the engine in this call."""
        engines = self._call.engines
        before = engines.get(self.provider) or EngineRecord(provider=self.provider)
        update = {key: round((getattr(before, key) or 0) + add, 6) for key, add in more.items()}
        engines[self.provider] = before.model_copy(update=update)

    def _limit(self) -> SpendingLimit | None:
        limit = self._spending.reached()
        if not limit or self._is_over:
            return None
        self._is_over = True
        log.warning("llm_limit", limit=limit)
        self._call.note(events.LlmLimitReached(limit=limit))
        self._call.metrics.llm_limits.labels(limit).inc()
        return SpendingLimit(self._agent, f"llm_limits.{limit} is reached")


def tokens_of(usage: EngineUsage) -> dict[str, int]:
    """Divide tokens among the kinds that have prices of their own.  Pure.

    What an engine had in store counts as text unless it says that it is sound.
    """
    cached_audio = min(usage.cached_audio_tokens, usage.input_audio_tokens, usage.cached_tokens)
    all_text = max(0, usage.input_tokens - usage.input_audio_tokens)
    cached_text = min(usage.cached_tokens - cached_audio, all_text)
    cached_audio = usage.cached_tokens - cached_text  # more was in store than there is text
    return {
        "input_text": all_text - cached_text,
        "input_audio": max(0, usage.input_audio_tokens - cached_audio),
        "cached_text": cached_text,
        "cached_audio": cached_audio,
        "output_text": max(0, usage.output_tokens - usage.output_audio_tokens),
        "output_audio": usage.output_audio_tokens,
    }


def cost_of(tokens: dict[str, int], session_s: float, prices: SpeechPrices) -> float:
    """Return what tokens, by their kinds, and seconds cost.  Pure."""
    per_million = {
        "input_text": prices.input_text_cost_per_million,
        "input_audio": prices.input_audio_cost_per_million,
        "cached_text": prices.cached_text_cost_per_million or prices.input_text_cost_per_million,
        "cached_audio": prices.cached_audio_cost_per_million or prices.input_audio_cost_per_million,
        "output_text": prices.output_text_cost_per_million,
        "output_audio": prices.output_audio_cost_per_million,
    }
    cost = sum(count * per_million[kind] for kind, count in tokens.items()) / 1e6
    return cost + session_s / 60 * prices.cost_per_minute
