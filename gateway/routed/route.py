"""Route: what one router chooses in one call, with all that is counted and recorded of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from gateway.call import events
from gateway.call.live_call import LiveCall, Spent
from gateway.config.engine_table import EngineTable, Plan
from gateway.config.models import AgentConfig, EnginePrices, NamedEngine, RoutedKind, RouterConfig
from gateway.conversation.call_variables import local_now
from gateway.conversation.day_ledger import DayLedger
from gateway.conversation.spending import Spending
from gateway.errors import ContextExceeded, ProviderError
from gateway.providers.contracts import Billed, Paid
from gateway.records.model import RoutedEngineRecord, RouteRecord
from gateway.routed.health import Health
from gateway.routing.choice import Situation, choose, is_over, usable, variant_of

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Router(Generic[E]):
    """A router and its engines, shared by all calls of a worker."""

    name: str
    kind: RoutedKind
    config: RouterConfig
    engines: Mapping[str, E]
    prices: Mapping[str, EnginePrices]
    """Of the engines; none of a router among them, which counts itself."""
    health: Health

    @classmethod
    def of(cls, kind: RoutedKind, plan: Plan, engines: Mapping[str, E]) -> Router[E]:
        """Make the router of a checked table."""
        config: RouterConfig = plan.router  # type: ignore[assignment]  # see `Plan`
        prices = {name: _prices(table) for name, table in plan.members.items()}
        known = {name: found for name, found in prices.items() if found is not None}
        return cls(plan.name, kind, config, engines, known, Health(plan.name, config))

    def of_call(self, call: LiveCall, config: AgentConfig) -> Router[E]:
        """Return it with the engines of one call, where a router is among them."""
        chosen: dict[str, E] = {}
        for name, engine in self.engines.items():
            choose: Callable[[LiveCall, AgentConfig], E] | None = getattr(engine, "of_call", None)
            chosen[name] = engine if choose is None else choose(call, config)
        return replace(self, engines=chosen)

    @property
    def firsts(self) -> tuple[str, ...]:
        """Engines that may be the first one of a call."""
        config = self.config
        rules = (rule.use for rule in config.when)
        return tuple(dict.fromkeys((*config.try_[:1], *config.split, *rules)))


def _prices(table: EngineTable) -> EnginePrices | None:
    if table.plan is not None:
        return None
    return table.prices if isinstance(table, NamedEngine) else EnginePrices()


class Route(Generic[E]):
    """Loop thread only.  Without a call it only decides: nothing is recorded."""

    def __init__(
        self, router: Router[E], call: LiveCall | None = None, agent: AgentConfig | None = None,
        *, keeps_s: float | None = None,
    ) -> None:  # fmt: skip
        """Choose.

        Args:
            router: what to choose from.
            call: for which; None = none.
            agent: that uses it.
            keeps_s: how long an engine that has failed in the call comes last; None = as long as
                its breaker rests.
        """
        self.router = router
        self._call = call
        self._ledger = DayLedger.of_machine()
        self._ledger_key = f"router {router.name}"
        agent = agent or AgentConfig()
        self._spending = None if call is None else Spending.of(call, agent.llm_limits)
        self._at = _situation(router.config, call, agent.language)
        self._keeps_s = router.config.breaker.rest_s if keeps_s is None else keeps_s
        self._avoided: dict[str, float] = {}
        self._records: dict[str, RoutedEngineRecord] = {}
        self.variant = "" if call is None else variant_of(router.config, router.name, self._at)
        if call is not None:
            record = RouteRecord(router=router.name, kind=router.kind, variant=self.variant)
            call.choose_route(record)
            known = call.routes[router.name]
            self._records = {each.engine: each for each in known.engines}
            if router.config.cap.cost_per_day:
                self._ledger.refresh()

    # --- what is asked ---

    def candidates(self, turn_words: int | None = None) -> tuple[str, ...]:
        """Return the engines to ask in their order; never empty.

        Args:
            turn_words: of the caller's turn, for a language model.
        """
        router, now = self.router, _now()
        choice = choose(
            router.config, self.variant, self._at, turn_words, is_capped=self._is_capped()
        )
        if self._call is not None and choice.rule != self._record.rule:
            self._change(rule=choice.rule)
        return usable(
            choice.order, router.health.allows, lambda name: self._avoided.get(name, 0.0) > now
        )

    def engine(self, name: str) -> E:
        """Return an engine by its name."""
        return self.router.engines[name]

    def asks(self, name: str) -> None:
        """Note that an engine is asked."""
        self.router.health.asks(name)
        self.count(name, requests=1)

    def worked(self, name: str) -> None:
        """Note that it has served a request."""
        self._outcome(name, "served")
        if self.router.health.worked(name):
            self._note(events.EngineBack(router=self.router.name, engine=name))
            if self._call is not None:
                self._call.metrics.breaker_open.labels(self.router.name, name).set(0)

    def failed(self, name: str, error: ProviderError) -> None:
        """Note that it has not; too long a history is no fault of its."""
        if isinstance(error, ContextExceeded):
            self.abandoned(name)
            return
        self.avoid(name)
        self.count(name, failures=1)
        self._outcome(name, "failed")
        if self._call is not None:
            self._call.metrics.provider_errors.labels(error.provider, error.kind).inc()
        self._health_failed(name, error)

    def overtaken(self, name: str, error: ProviderError) -> None:
        """Note that another engine was sooner, and this one silent until then."""
        self.avoid(name)
        self.count(name, overtaken=1)
        self._outcome(name, "overtaken")
        self._health_failed(name, error)

    def abandoned(self, name: str) -> None:
        """Note that a request was given up by no fault of the engine."""
        self.router.health.abandoned(name)

    def avoid(self, name: str) -> None:
        """Ask it last in this call for a while."""
        self._avoided[name] = _now() + self._keeps_s

    def switched(self, before: str, after: str, error: ProviderError) -> None:
        """Note that another engine goes on."""
        name = self.router.name
        if self._call is None:
            return
        self._change(switches=self._record.switches + 1)
        self._call.metrics.route_switches.labels(name, before).inc()
        self._note(
            events.EngineSwitched(
                router=name, engine=before, to=after, problem=str(error), cause=error.kind
            )
        )

    # --- what it costs ---

    def billed(self, name: str, *, is_free: bool = False) -> Billed | None:
        """Return how requests to a language model are counted; None for a router among them."""
        prices = self.router.prices.get(name)
        if prices is None:
            return None
        return Billed(
            prices.input_cost_per_million, prices.output_cost_per_million, is_free,
            partial(self._paid, name), prices.cached_input_cost_per_million,
            prices.cache_write_cost_per_million,
        )  # fmt: skip

    def wasted(self, name: str, tokens: int) -> None:
        """Count tokens of a request that was given up."""
        self.count(name, wasted_tokens=tokens)

    def heard(self, name: str, audio_s: float) -> None:
        """Count audio that a recognizer has got."""
        prices = self.router.prices.get(name)
        if prices is not None:
            self.count(name, audio_s=audio_s)
            self._cost(name, audio_s / 60 * prices.cost_per_minute)

    def spoke(self, name: str, characters: int, audio_s: float) -> None:
        """Count text that a voice has got, and its sound."""
        prices = self.router.prices.get(name)
        if prices is not None:
            self.count(name, characters=characters, audio_s=audio_s)
            cost = characters / 1e6 * prices.cost_per_million_characters
            self._cost(name, cost + audio_s / 60 * prices.cost_per_minute)

    def _cost(self, name: str, cost: float) -> None:
        """Count what is paid for time or characters: language models count at their own place."""
        if self._spending is not None and cost:
            self._spending.paid(0, cost)
            self._spend(name, cost)

    def _paid(self, name: str, paid: Paid) -> None:
        self.count(name, input_tokens=paid.input_tokens, output_tokens=paid.output_tokens)
        if self._call is not None:
            tokens = max(0, paid.input_tokens + paid.output_tokens)
            self._call.metrics.route_tokens.labels(self.router.name, name).inc(tokens)
        self._spend(name, paid.cost)

    def _spend(self, name: str, cost: float) -> None:
        prices = self.router.prices.get(name)
        if self._call is None or prices is None or not any(prices.model_dump().values()):
            return
        self.count(name, cost=cost)
        self._call.metrics.route_cost.labels(self.router.name, name).inc(max(0.0, cost))
        if self.router.config.cap.cost_per_day:
            self._ledger.add((self._ledger_key,), Spent(cost=cost))

    def _is_capped(self) -> bool:
        cap, records = self.router.config.cap, self._records.values()
        if not cap.then:
            return False
        tokens = sum(each.input_tokens + each.output_tokens for each in records)
        cost = sum(each.cost or 0.0 for each in records)
        of_day = self._ledger.spent(self._ledger_key).cost if cap.cost_per_day else 0.0
        return is_over(cap, tokens, cost, of_day)

    # --- the record ---

    @property
    def _record(self) -> RouteRecord:
        assert self._call is not None  # noqa: S101 - asked for where there is one
        return self._call.routes[self.router.name]

    def _change(self, **update: object) -> None:
        if self._call is not None:
            self._call.routes[self.router.name] = self._record.model_copy(update=update)

    def count(self, name: str, **more: float) -> None:
        """Add to what is recorded of an engine."""
        before = self._records.get(name) or RoutedEngineRecord(engine=name)
        update = {key: round((getattr(before, key) or 0) + add, 6) for key, add in more.items()}
        self._records[name] = before.model_copy(update=update)
        self._change(engines=tuple(self._records.values()))

    def _outcome(self, name: str, outcome: str) -> None:
        if self._call is not None:
            self._call.metrics.route_requests.labels(self.router.name, name, outcome).inc()

    def _health_failed(self, name: str, error: ProviderError) -> None:
        if not self.router.health.failed(name, error):
            return
        router = self.router.name
        self._note(
            events.EngineRests(router=router, engine=name, problem=str(error), cause=error.kind)
        )
        if self._call is not None:
            self._call.metrics.breaker_opened.labels(router, name).inc()
            self._call.metrics.breaker_open.labels(router, name).set(1)

    def _note(self, event: events.Event) -> None:
        if self._call is not None:
            self._call.note(event)


def _situation(config: RouterConfig, call: LiveCall | None, language: str) -> Situation:
    now = local_now(config.timezone)
    if call is None:
        return Situation("", language=language, began=now)
    facts = call.line.facts
    other = facts.caller if facts.direction == "in" else facts.called
    return Situation(facts.call_id, other, facts.called, facts.headers, language, now)


def _now() -> float:
    return asyncio.get_running_loop().time()
