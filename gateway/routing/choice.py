"""Which engine a call gets, by rules, by weight and in which order.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal

from gateway.config.models import CapConfig, RouterConfig, RuleConfig
from gateway.routing.hours import Hours

Turn = Literal["", "short", "long"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What a choice depends on, fixed for a call."""

    call_id: str
    caller: str = ""
    called: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names."""
    language: str = "en"
    began: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    """In the time zone of the router."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What comes first, why, and what follows when it fails."""

    order: tuple[str, ...]
    rule: str = ""
    """`when[N]`, `cap` or empty."""


def variant_of(router: RouterConfig, name: str, at: Situation) -> str:
    """Return the side of the split that a call is on; empty where there is no split.

    The same caller, or call, is always on the same side, as long as names and weights stay.

    Args:
        router: its `split` and `sticky`.
        name: of the router: another one splits in another way.
        at: the call.
    """
    weights = {key: weight for key, weight in router.split.items() if weight > 0}
    if not weights:
        return ""
    has_number = any(map(str.isdigit, at.caller))
    key = at.caller if router.sticky == "caller" and has_number else at.call_id
    digest = sha256(f"{name}\0{key}".encode(errors="replace")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64 * sum(weights.values())
    for variant, weight in weights.items():
        place -= weight
        if place < 0:
            return variant
    return next(reversed(weights))


def choose(
    router: RouterConfig, variant: str, at: Situation, turn_words: int | None, *, is_capped: bool
) -> Choice:
    """Return which engines are asked in which order.

    Args:
        router: the rules.
        variant: of the call, as `variant_of` says.
        at: the call.
        turn_words: words of the caller's turn; None where the choice is for a whole call.
        is_capped: a limit of `cap` is reached: nothing but `then` may be used.
    """
    if is_capped and router.cap.then:
        return Choice((router.cap.then,), "cap")
    rest = router.try_ or tuple(router.split)
    for index, rule in enumerate(router.when):
        if fits(rule, at, turn_words, router.short_turn_words):
            return Choice(_unique(rule.use, *rest), f"when[{index}]")
    return Choice(_unique(variant, *rest))


def fits(rule: RuleConfig, at: Situation, turn_words: int | None, short_words: int) -> bool:
    """Return whether all conditions of a rule hold."""
    language = at.language.lower()
    wanted = rule.language.lower()
    return (
        at.caller.startswith(rule.caller_prefix)
        and rule.called in {"", at.called}
        and at.called.startswith(rule.called_prefix)
        and all(at.headers.get(name.lower()) == value for name, value in rule.header.items())
        and (not wanted or language == wanted or language.startswith(f"{wanted}-"))
        and (not rule.hours or Hours.parse(rule.hours).hold(at.began))
        and (not rule.turn or rule.turn == _length(turn_words, short_words))
    )


def is_over(cap: CapConfig, tokens: int, cost: float, cost_of_day: float) -> bool:
    """Return whether a limit is reached."""
    return (
        0 < cap.tokens_per_call <= tokens
        or 0 < cap.cost_per_call <= cost
        or 0 < cap.cost_per_day <= cost_of_day
    )


def usable(
    order: tuple[str, ...], allows: Callable[[str], bool], is_avoided: Callable[[str], bool]
) -> tuple[str, ...]:
    """Return the engines to ask: those at rest are left out, unless all are.

    Those that have failed in this call come last.
    """
    allowed = tuple(name for name in order if allows(name)) or order
    well = (name for name in allowed if not is_avoided(name))
    return (*well, *(name for name in allowed if is_avoided(name)))


def _length(turn_words: int | None, short_words: int) -> Turn:
    if turn_words is None:
        return ""
    return "short" if turn_words <= short_words else "long"


def _unique(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
