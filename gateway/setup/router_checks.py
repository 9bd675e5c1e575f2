"""One `[routers.NAME]` table and the prices of one engine, by themselves.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zoneinfo import available_timezones

from gateway.config.checks import Fault
from gateway.config.faults import did_you_mean
from gateway.config.models import CapConfig, EnginePrices, RoutedKind, RouterConfig, RuleConfig
from gateway.routing.hours import Hours

_HEDGED = ("llm", "tts")
_OF_MODELS = frozenset((
    "input_cost_per_million", "output_cost_per_million", "cached_input_cost_per_million",
    "cache_write_cost_per_million",
))  # fmt: skip
_PRICES: Mapping[RoutedKind, frozenset[str]] = {
    "llm": _OF_MODELS,
    "stt": frozenset(("cost_per_minute",)),
    "tts": frozenset(("cost_per_million_characters", "cost_per_minute")),
    "s2s": frozenset(EnginePrices.model_fields) - {*_OF_MODELS, "cost_per_million_characters"},
}


def router_faults(router: RouterConfig, kind: RoutedKind | None = None) -> Iterator[Fault]:
    """Yield what is wrong with a router; with a kind only what is wrong for that."""
    if kind is not None:
        yield from _kind_faults(router, kind)
        return
    if not (router.try_ or router.split):
        yield ("try",), 'names no engine: write try = ["NAME", "OTHER"]'
    for index, name in enumerate(router.try_):
        if name in router.try_[:index]:
            yield ("try", index), "is there twice"
    if router.split and not any(router.split.values()):
        yield ("split",), "has no weight above 0"
    if router.hedge_after_ms and len(dict.fromkeys((*router.try_, *router.split))) < 2:
        yield ("hedge_after_ms",), "needs a second engine in try"
    if router.timezone and router.timezone not in available_timezones():
        near = did_you_mean(router.timezone, sorted(available_timezones()))
        yield ("timezone",), f'no time zone "{router.timezone}"{near.partition("; known")[0]}'
    for index, rule in enumerate(router.when):
        yield from (((("when", index, *loc), text)) for loc, text in _rule_faults(rule))
    yield from _cap_faults(router.cap)


def _cap_faults(cap: CapConfig) -> Iterator[Fault]:
    has_limit = bool(cap.tokens_per_call or cap.cost_per_call or cap.cost_per_day)
    if has_limit and not cap.then:
        yield ("cap", "then"), "is missing: the engine that is used beyond the limit"
    if cap.then and not has_limit:
        yield ("cap", "then"), "has no effect without tokens_per_call, cost_per_call, cost_per_day"


def price_faults(prices: EnginePrices, kind: RoutedKind) -> Iterator[Fault]:
    """Yield prices that an engine of this kind does not have."""
    for key in sorted(prices.model_fields_set - _PRICES[kind]):
        yield ("prices", key), f"is no price of {kind}; known: {', '.join(sorted(_PRICES[kind]))}"


def _kind_faults(router: RouterConfig, kind: RoutedKind) -> Iterator[Fault]:
    if router.hedge_after_ms and kind not in _HEDGED:
        yield ("hedge_after_ms",), f"has no meaning for {kind}: leave it out"
    for index, rule in enumerate(router.when):
        if rule.turn and kind != "llm":
            text = f"has no meaning for {kind}, which is chosen once for a call: leave it out"
            yield ("when", index, "turn"), text
    if router.cap.tokens_per_call and kind not in {"llm", "s2s"}:
        yield ("cap", "tokens_per_call"), f"has no meaning for {kind}: write cost_per_call"


def _rule_faults(rule: RuleConfig) -> Iterator[Fault]:
    conditions = ("caller_prefix", "called", "called_prefix", "header", "hours", "language", "turn")
    if not any(getattr(rule, name) for name in conditions):
        yield (), f"has no condition; known: {', '.join(conditions)}"
    if rule.hours:
        try:
            Hours.parse(rule.hours)
        except ValueError as error:
            yield ("hours",), str(error)
