"""SpeechUsage: what a session with a speech-to-speech engine costs, counted where it is limited."""

from __future__ import annotations

import structlog

from gateway.call import events
from gateway.call.live_call import LiveCall
from gateway.conversation.spending import Spending, SpendingLimit
from gateway.providers.speech_to_speech import EngineUsage

log = structlog.get_logger(__name__)


class SpeechUsage:
    """Counts the totals of one session after the other."""

    def __init__(self, agent: str, call: LiveCall, spending: Spending) -> None:
        self._agent = agent
        self._call = call
        self._spending = spending
        self._known = EngineUsage()
        self._is_over = False

    def used(self, total: EngineUsage) -> SpendingLimit | None:
        """Count what is new; return the limit that is reached, once."""
        known, self._known = self._known, total
        if total.input_tokens < known.input_tokens or total.output_tokens < known.output_tokens:
            known = EngineUsage()  # another session has begun
        read = total.input_tokens - known.input_tokens
        written = total.output_tokens - known.output_tokens
        self._spending.asks()
        cost = self._spending.used(read, written)
        metrics = self._call.metrics
        metrics.llm_requests.inc()
        metrics.llm_tokens.labels("input").inc(read)
        metrics.llm_tokens.labels("output").inc(written)
        metrics.llm_cost.inc(cost)
        return self._limit()

    def _limit(self) -> SpendingLimit | None:
        limit = self._spending.reached()
        if not limit or self._is_over:
            return None
        self._is_over = True
        log.warning("llm_limit", limit=limit)
        self._call.note(events.LlmLimitReached(limit=limit))
        self._call.metrics.llm_limits.labels(limit).inc()
        return SpendingLimit(self._agent, f"llm_limits.{limit} is reached")
