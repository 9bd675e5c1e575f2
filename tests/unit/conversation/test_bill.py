"""What a request has cost: estimated until the model says it, whenever that is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gateway.call.line import CallFacts
from gateway.call.live_call import Spent
from gateway.config.models import LlmLimits
from gateway.conversation.bill import Bill
from gateway.conversation.day_ledger import DayLedger
from gateway.conversation.reply import Outcome
from gateway.conversation.spending import Spending, SpendingLimit
from gateway.conversation.tokens import tokens_in
from gateway.providers.contracts import (
    AskedAgain,
    AssistantMessage,
    Expect,
    Memo,
    ReplyRequest,
    TextDelta,
    ToolCall,
    ToolSpec,
    Usage,
    UserMessage,
)
from gateway.telemetry.metrics import Metrics

PRICES = {"input_cost_per_million": 1, "output_cost_per_million": 10}


class Desk:
    """A call as far as a bill needs one."""

    def __init__(self, **limits: float) -> None:
        self.spent = Spent()
        self.outcome = Outcome()
        self.notes: list[str] = []
        self.metrics = Metrics()
        call = SimpleNamespace(
            metrics=self.metrics,
            note=lambda event: self.notes.append(event.limit),
            used=lambda *_, **__: None,
            observers=[],
        )
        facts = CallFacts("id", "in", "100", "+4930123", source="192.0.2.1:5060")
        spending = Spending(LlmLimits(**(PRICES | limits)), self.spent, facts, DayLedger(None))
        self.ask = lambda request: Bill("bot", call, spending, self.outcome, request)  # type: ignore[arg-type]

    @property
    def counted(self) -> tuple[float, float, float]:
        """Requests, input and output, as the metrics tell them."""
        metrics = self.metrics
        tokens = [metrics.llm_tokens.labels(way)._value.get() for way in ("input", "output")]
        return (metrics.llm_requests.labels()._value.get(), *tokens)


def request(instructions="x" * 400, messages=(), tools=()):
    return ReplyRequest(instructions=instructions, messages=messages, tools=tools)


def counted(*events, **what):
    desk = Desk()
    bill = desk.ask(request(**what))
    for event in events:
        bill.see(event)
    bill.close()
    assert desk.spent.tokens == desk.outcome.tokens
    return desk.outcome.tokens


def test_a_request_costs_though_nothing_came_back():
    assert counted() == 100


def test_the_history_is_paid_for_as_it_is_sent():
    long = (AssistantMessage("Hello there. " * 40), UserMessage("How are you? " * 40))
    assert counted(messages=long) - counted() == 2 * 4 + 1040 // 4


def test_a_message_costs_its_text_and_not_how_it_is_kept_in_memory():
    assert counted(messages=(UserMessage("Yes."),)) - counted() == 4 + 1


def test_tools_are_paid_for():
    tool = ToolSpec("order", "Order it.", {"type": "object"})
    assert 10 <= counted(tools=(tool,)) - counted() <= 16


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("The house is open from nine in the morning.", 9, 12),
        ("Das Haus ist ab neun Uhr geöffnet.", 8, 12),
        ("Дом открыт утром каждый день.", 8, 14),
        ("我们早上九点开门。", 6, 10),
        ("朝九時に開店します。", 7, 11),
        ("아침 아홉 시에 문을 엽니다.", 8, 13),
        ("", 0, 0),
        ("\ud800", 1, 1),
    ],
)
def test_other_scripts_cost_more_per_letter(text, least, most):
    assert least <= tokens_in(text) <= most


def test_text_and_tool_calls_are_estimated():
    assert counted(TextDelta("a")) == 101
    assert counted(TextDelta("a" * 40)) == 110
    assert counted(*[TextDelta("a")] * 40) == 110  # however it was cut
    assert counted(ToolCall("1", "order", "x" * 40)) == 112


def test_the_models_own_count_replaces_the_estimate():
    assert counted(TextDelta("a" * 400), Usage(70, 90)) == 160


@pytest.mark.parametrize(
    ("usage", "tokens"), [(Usage(70, None), 80), (Usage(None, 90), 190), (Usage(None, None), 110)]
)
def test_a_count_that_is_not_told_stays_an_estimate(usage, tokens):
    assert counted(TextDelta("a" * 40), usage) == tokens


def test_a_count_that_comes_late_replaces_the_estimate_everywhere():
    desk = Desk()
    bill = desk.ask(request())
    bill.see(TextDelta("a" * 40))
    bill.close()
    assert desk.counted == (1, 100, 10)
    bill.settle(Usage(150, 4))
    bill.settle(Usage(150, 4))  # told twice
    assert desk.spent == Spent(1, 154, pytest.approx(150e-6 + 40e-6))
    assert desk.outcome.tokens == 154
    assert desk.counted == (1, 150, 10)  # a metric never falls


@pytest.mark.parametrize(
    ("prices", "cost"),
    [
        ({}, 100),
        ({"cached_input_cost_per_million": 0.1}, 100 - 60 * 0.9),
        ({"cached_input_cost_per_million": 0.1, "cache_write_cost_per_million": 1.25},
         100 - 60 * 0.9 + 20 * 0.25),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_late", [False, True])
def test_what_a_cache_held_has_its_own_price(prices, cost, is_late):
    desk = Desk(**prices)
    bill = desk.ask(request())
    usage = Usage(100, 0, cached_tokens=60, cache_write_tokens=20)
    if not is_late:
        bill.see(usage)
    bill.close()
    if is_late:
        bill.settle(usage)
        bill.settle(usage)  # told twice
    assert desk.spent.cost == pytest.approx(cost / 1e6)
    assert desk.spent.tokens == 100
    assert desk.metrics.llm_cached_tokens.labels()._value.get() == 60


def test_a_further_try_has_a_cache_of_its_own():
    desk = Desk(cached_input_cost_per_million=0.5)
    bill = desk.ask(request())
    for _ in range(2):
        bill.see(Usage(100, 0, cached_tokens=100))
        bill.see(AskedAgain(was_taken=True))
    bill.see(Usage(100, 0))
    bill.close()
    assert desk.spent.cost == pytest.approx((50 + 50 + 100) / 1e6)


def test_a_second_request_adds_up():
    desk = Desk()
    desk.ask(request()).see(Usage(70, 90))
    desk.ask(request())
    assert desk.outcome.tokens == 160 + 100


def test_what_comes_after_the_count_is_estimated_again():
    assert counted(Usage(70, 90), TextDelta("a" * 40)) == 170


def test_other_events_cost_nothing():
    assert counted(Memo("x" * 1000), Expect("yes_no")) == 100


@pytest.mark.parametrize(("was_taken", "read"), [(False, 70), (True, 170)])
def test_a_further_try_is_another_request(was_taken, read):
    desk = Desk()
    bill = desk.ask(request())
    bill.see(AskedAgain(was_taken))
    bill.see(Usage(70, 90))
    bill.close()
    assert desk.counted == (2, read, 90)
    assert (desk.spent.requests, desk.spent.tokens) == (2, read + 90)
    assert desk.outcome.tokens == read + 90


def test_a_further_try_beyond_the_limit_is_not_made():
    desk = Desk(requests_per_call=2)
    bill = desk.ask(request())
    bill.see(AskedAgain())
    with pytest.raises(SpendingLimit, match="requests_per_call"):
        bill.see(AskedAgain())
    assert desk.spent.requests == 2
    assert desk.notes == ["requests_per_call"]
