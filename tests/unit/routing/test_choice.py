"""Which engine a call gets: rules, weights, order, limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.models import CapConfig, RouterConfig
from gateway.routing.choice import Situation, choose, is_over, usable, variant_of
from gateway.routing.hours import Hours

NIGHT = datetime(2026, 11, 28, 23, 0, tzinfo=UTC)  # a Saturday
CALL = Situation("c1", "+4930123", "5500", {"x-tier": "gold"}, "de-AT", NIGHT)
RULES = RouterConfig.model_validate(
    {
        "try": ["fast", "smart"],
        "when": [
            {"caller_prefix": "+44", "use": "british"},
            {"header": {"X-Tier": "silver"}, "use": "silver"},
            {"caller_prefix": "+49", "hours": "day", "use": "daily"},
            {"called": "5501", "use": "other"},
            {"turn": "short", "use": "quick"},
            {"language": "de", "turn": "long", "use": "german"},
            {"header": {"X-Tier": "gold"}, "use": "smart"},
        ],
    }
)


@pytest.mark.parametrize(
    ("words", "at", "order", "rule"),
    [
        (3, CALL, ("quick", "fast", "smart"), "when[4]"),
        (20, CALL, ("german", "fast", "smart"), "when[5]"),
        (None, CALL, ("smart", "fast"), "when[6]"),
        (None, replace(CALL, headers={}), ("fast", "smart"), ""),
        (None, replace(CALL, caller="+447"), ("british", "fast", "smart"), "when[0]"),
        (None, replace(CALL, began=NIGHT.replace(hour=12)), ("daily", "fast", "smart"), "when[2]"),
        (None, replace(CALL, called="5501"), ("other", "fast", "smart"), "when[3]"),
        (20, replace(CALL, language="den"), ("smart", "fast"), "when[6]"),
    ],
)
def test_the_first_rule_that_fits_wins(
    words: int | None, at: Situation, order: tuple[str, ...], rule: str
) -> None:
    choice = choose(RULES, "", at, words, is_capped=False)
    assert (choice.order, choice.rule) == (order, rule)


def test_beyond_a_limit_nothing_else_is_used() -> None:
    router = RULES.model_copy(update={"cap": CapConfig(cost_per_call=0.5, then="cheap")})
    assert choose(router, "", CALL, 3, is_capped=True).order == ("cheap",)


def test_a_split_puts_its_side_first() -> None:
    router = RouterConfig(try_=("fast", "smart"), split={"smart": 1, "fast": 0})
    assert variant_of(router, "r", CALL) == "smart"
    assert choose(router, "smart", CALL, None, is_capped=False).order == ("smart", "fast")


def test_a_split_alone_falls_back_to_its_other_side() -> None:
    router = RouterConfig(split={"a": 1, "b": 1})
    assert choose(router, "b", CALL, None, is_capped=False).order == ("b", "a")


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_caller_keeps_its_side_and_an_unknown_one_is_new_with_each_call(
    caller: str, call_id: str
) -> None:
    router = RouterConfig(split={"a": 50, "b": 50})
    here = variant_of(router, "r", replace(CALL, caller=caller, call_id=call_id))
    again = replace(CALL, caller=caller, call_id=f"{call_id}2")
    if any(map(str.isdigit, caller)):
        assert variant_of(router, "r", again) == here
    by_call = router.model_copy(update={"sticky": "call"})
    other = replace(CALL, caller=f"{caller}1", call_id=call_id)
    same = replace(CALL, caller=f"{caller}2", call_id=call_id)
    assert variant_of(by_call, "r", other) == variant_of(by_call, "r", same)


def test_weights_are_kept_and_routers_split_in_their_own_ways() -> None:
    router = RouterConfig(split={"a": 90, "b": 10})
    calls = [replace(CALL, caller=str(number)) for number in range(10_000)]
    sides = [variant_of(router, "r", call) for call in calls]
    assert 0.88 < sides.count("a") / len(sides) < 0.92
    others = [variant_of(router, "other", call) for call in calls]
    both = sum(x == y == "b" for x, y in zip(sides, others, strict=True))
    assert 50 < both < 170  # 1 %, not 10 %


def test_engines_at_rest_are_left_out_unless_all_are() -> None:
    order = ("a", "b", "c")
    assert usable(order, lambda name: name != "a", lambda _: False) == ("b", "c")
    assert usable(order, lambda _: False, lambda _: False) == order
    assert usable(order, lambda _: True, lambda name: name == "a") == ("b", "c", "a")


@pytest.mark.parametrize(
    ("cap", "over"),
    [
        (CapConfig(), False),
        (CapConfig(tokens_per_call=100), True),
        (CapConfig(tokens_per_call=101), False),
        (CapConfig(cost_per_call=0.5), True),
        (CapConfig(cost_per_call=0.6), False),
        (CapConfig(cost_per_day=9), True),
        (CapConfig(cost_per_day=11), False),
    ],
)
def test_limits(cap: CapConfig, over: bool) -> None:
    assert is_over(cap, 100, 0.5, 10.0) is over


@pytest.mark.parametrize(
    ("text", "day", "hour", "holds"),
    [
        ("night", 28, 23, True),
        ("night", 28, 5, True),
        ("night", 28, 6, False),
        ("08:00-18:00", 28, 8, True),
        ("08:00-18:00", 28, 18, False),
        ("mon-fri 8:00-18:00", 28, 9, False),
        ("mon-fri 8:00-18:00", 27, 9, True),
        ("fri-mon 08:00-18:00", 28, 9, True),
        ("fri-mon 08:00-18:00", 25, 9, False),
        ("fri 22:00-06:00", 28, 5, True),
        ("fri 22:00-06:00", 28, 23, False),
        ("sat,sun 00:00-23:59", 28, 9, True),
    ],
)
def test_hours(text: str, day: int, hour: int, holds: bool) -> None:
    assert Hours.parse(text).hold(datetime(2026, 11, day, hour, tzinfo=UTC)) is holds


@pytest.mark.parametrize("text", ["", "9-17", "25:00-26:00", "moo 08:00-09:00", "08:00-08:00"])
def test_hours_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Hours.parse(text)
