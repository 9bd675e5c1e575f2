"""Bill: what one request to a model costs, counted wherever it is limited, shown or recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import structlog

from gateway.call import events
from gateway.call.live_call import LiveCall
from gateway.conversation.agent import Agent
from gateway.conversation.reply import Outcome
from gateway.conversation.spending import Spending, SpendingLimit
from gateway.conversation.tokens import BYTES_PER_TOKEN, tokens_asked, tokens_of_call
from gateway.providers.contracts import (
    AskedAgain,
    Billed,
    Paid,
    ReplyEvent,
    ReplyRequest,
    TextDelta,
    ToolCall,
    Usage,
    Wasted,
)

log = structlog.get_logger(__name__)


class Bill:
    """Counts an estimate until the model says it itself, which may be after the reply's end.

    A request that is cancelled never says it, and is paid for all the same.
    """

    def __init__(
        self,
        agent: str,
        call: LiveCall,
        spending: Spending,
        outcome: Outcome,
        request: ReplyRequest,
        provider: str = "",
    ) -> None:
        """Count a request that is made now.

        Args:
            agent: its name, for the error.
            call: whose record and metrics are told.
            spending: the limits.
            outcome: of the reply that the request belongs to.
            request: what is sent.
            provider: of the model.

        Raises:
            SpendingLimit: it is one too many.
        """
        self._agent = agent
        self._call = call
        self._spending = spending
        self._outcome = outcome
        self._provider = provider
        self._asked = tokens_asked(request)
        self._input, self._output, self._bytes = 0, 0, 0
        self._paid = (0, 0)
        """What limits and metrics know of."""
        self._cached = self._cached_paid = (0, 0)
        """Of the input: read from the vendor's cache, and written to it."""
        self._is_over = False
        self._billed: Billed | None = None
        """Whose prices count; None = those of the agent's `llm_limits`."""
        self._ask()

    @classmethod
    def of(
        cls,
        agent: Agent,
        call: LiveCall,
        spending: Spending,
        outcome: Outcome,
        request: ReplyRequest,
    ) -> tuple[Self | None, ReplyRequest]:
        """Count a request to an agent's language model; return what is to be sent.

        None = the model costs nothing.  Raises SpendingLimit: it is one too many.
        """
        if not agent.llm.counts_tokens:
            return None, request
        bill = cls(agent.name, call, spending, outcome, request, agent.config.llm.label)
        return bill, replace(request, late_usage=bill.settle)

    def see(self, event: ReplyEvent) -> None:
        """Accept what the model has sent.  Raises SpendingLimit: it must not be asked again."""
        if isinstance(event, AskedAgain):
            if event.was_taken:
                self._pay()
            else:
                self._count(-self._input, -self._output)
            self._input, self._output, self._bytes, self._paid = 0, 0, 0, (0, 0)
            self._cached = self._cached_paid = (0, 0)
            self._ask()
        elif isinstance(event, Usage):
            self.settle(event)
        elif isinstance(event, Billed):
            self._billed = event
            if event.is_free:
                self._count(-self._input, -self._output)
        elif isinstance(event, Wasted):
            self._waste(event)
        elif self._billed is not None and self._billed.is_free:
            return
        elif isinstance(event, TextDelta):
            before = -(-self._bytes // BYTES_PER_TOKEN)
            self._bytes += len(event.text.encode("utf-8", "replace"))
            self._count(0, -(-self._bytes // BYTES_PER_TOKEN) - before)
        elif isinstance(event, ToolCall):
            self._count(0, tokens_of_call(event))

    def settle(self, usage: Usage) -> None:
        """Replace the estimate by what the model says, now or when it is over."""
        read, written = usage.input_tokens, usage.output_tokens
        self._cached = (usage.cached_tokens, usage.cache_write_tokens)
        self._count(
            0 if read is None else read - self._input,
            0 if written is None else written - self._output,
        )
        if self._is_over:
            self._pay(is_correction=True)

    def close(self) -> None:
        """The reply is over, however it has ended."""
        self._is_over = True
        self._pay()

    def _ask(self) -> None:
        limit = self._spending.reached()
        if limit:
            log.warning("llm_limit", limit=limit)
            self._call.note(events.LlmLimitReached(limit=limit))
            self._call.metrics.llm_limits.labels(limit).inc()
            raise SpendingLimit(self._agent, f"llm_limits.{limit} is reached")
        self._count_request()
        self._count(self._asked, 0)

    def _count_request(self) -> None:
        self._spending.asks()
        self._call.metrics.llm_requests.inc()
        self._call.used("llm", self._provider, None, requests=1)

    def _count(self, read: int, written: int) -> None:
        self._input += read
        self._output += written
        self._outcome.tokens += read + written

    def _pay(self, *, is_correction: bool = False) -> None:
        """Tell limits and metrics what they do not know yet; a metric never falls."""
        read, written = self._input - self._paid[0], self._output - self._paid[1]
        self._paid = (self._input, self._output)
        held, kept = (now - old for now, old in zip(self._cached, self._cached_paid, strict=True))
        self._cached_paid = self._cached
        self._charge(read, written, self._billed, (held, kept), is_correction=is_correction)

    def _waste(self, wasted: Wasted) -> None:
        """Count a request that was made beside this one and given up."""
        read, written = wasted.input_tokens, wasted.output_tokens
        self._count_request()
        self._outcome.tokens += read + written
        self._charge(read, written, wasted.billed)
        self._call.metrics.llm_tokens_wasted.inc(read + written)

    def _charge(
        self,
        read: int,
        written: int,
        billed: Billed | None,
        cached: tuple[int, int] = (0, 0),
        *,
        is_correction: bool = False,
    ) -> None:
        cost = self._spending.used(
            read, written, billed, cached=cached, is_correction=is_correction
        )
        if billed is not None:
            billed.paid(Paid(read, written, cost))
        has_prices = self._spending.has_prices if billed is None else billed.has_prices
        known = cost if has_prices else None
        counts = {"input_tokens": read, "output_tokens": written, "cached_tokens": cached[0]}
        self._call.used("llm", self._provider, known, **counts)
        self._call.metrics.llm_cached_tokens.inc(max(0, cached[0]))
        metrics = self._call.metrics
        metrics.llm_tokens.labels("input").inc(max(0, read))
        metrics.llm_tokens.labels("output").inc(max(0, written))
        metrics.llm_cost.inc(max(0.0, cost))
        for observer in self._call.observers:
            observer.spent(read, written)
