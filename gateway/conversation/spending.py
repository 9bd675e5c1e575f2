"""Spending: what a call, a caller and a day may cost at language models."""

from __future__ import annotations

from typing import Self

from gateway.call.line import CallFacts
from gateway.call.live_call import LiveCall, Spent
from gateway.config.models import LlmLimits
from gateway.conversation.day_ledger import ALL, DayLedger
from gateway.errors import ProviderRejected
from gateway.providers.contracts import Billed


class SpendingLimit(ProviderRejected):
    """A limit of `llm_limits` is reached: nothing more is asked."""


class Spending:
    """Counts one call's requests to a model and reports when a limit is reached."""

    def __init__(
        self, limits: LlmLimits, spent: Spent, facts: CallFacts, ledger: DayLedger
    ) -> None:
        """Count on.

        Args:
            limits: the agent's.
            spent: by this call so far, whatever agent it talked to.
            facts: the caller: a number, else an address.
            ledger: of the machine.
        """
        self._limits = limits
        self._spent = spent
        self._ledger = ledger
        who = facts.caller if facts.direction == "in" else facts.called
        who = who if any(map(str.isdigit, who)) else facts.source.rpartition(":")[0] or who
        self._caller = ledger.key_of(who)
        limit = limits
        self._by_caller = (
            limit.requests_per_caller_day, limit.tokens_per_caller_day, limit.cost_per_caller_day
        )  # fmt: skip
        self._by_day = (limit.requests_per_day, limit.tokens_per_day, limit.cost_per_day)
        if self._has_day_limits:
            ledger.refresh()

    @classmethod
    def of(cls, call: LiveCall, limits: LlmLimits) -> Self:
        """Count for a call, with the other workers of this machine."""
        return cls(limits, call.spent, call.line.facts, DayLedger.of_machine())

    @property
    def has_prices(self) -> bool:
        """True where the prices of a language model are set."""
        return bool(self._limits.input_cost_per_million or self._limits.output_cost_per_million)

    def reached(self) -> str:
        """Name the limit that is reached, such as `requests_per_call`; empty = none."""
        limit = self._limits
        by_call = (limit.requests_per_call, limit.tokens_per_call, limit.cost_per_call)
        if over := self._spent.over(*by_call):
            return f"{over}_per_call"
        if any(self._by_caller) and (
            over := self._ledger.spent(self._caller).over(*self._by_caller)
        ):
            return f"{over}_per_caller_day"
        if any(self._by_day) and (over := self._ledger.spent(ALL).over(*self._by_day)):
            return f"{over}_per_day"
        return ""

    def asks(self) -> None:
        """Count a request that is made now, even if it is cut off."""
        self._add(Spent(requests=1))

    def used(
        self,
        input_tokens: int,
        output_tokens: int,
        billed: Billed | None = None,
        *,
        cached: tuple[int, int] = (0, 0),
        is_correction: bool = False,
    ) -> float:
        """Count tokens, or correct what was counted; return what they cost.

        Args:
            input_tokens: all of them.
            output_tokens: likewise.
            billed: whose prices count; None = those of the limits.
            cached: of the input, how many the vendor's cache held and how many were written to it.
            is_correction: of what was counted before.
        """
        limit = billed or self._limits
        cost = input_tokens * limit.input_cost_per_million
        cost += output_tokens * limit.output_cost_per_million
        prices = (limit.cached_input_cost_per_million, limit.cache_write_cost_per_million)
        for tokens, price in zip(cached, prices, strict=True):
            cost += tokens * (price - limit.input_cost_per_million) if price else 0.0
        cost /= 1e6
        more = Spent(tokens=input_tokens + output_tokens, cost=cost)
        self._add(more, is_correction=is_correction)
        return cost

    def paid(self, tokens: int, cost: float) -> None:
        """Count tokens whose cost is known."""
        self._add(Spent(tokens=tokens, cost=cost))

    @property
    def _has_day_limits(self) -> bool:
        return any((*self._by_caller, *self._by_day))

    def _add(self, more: Spent, *, is_correction: bool = False) -> None:
        self._spent.add(more)
        if self._has_day_limits:
            self._ledger.add((self._caller, ALL), more, is_correction=is_correction)
