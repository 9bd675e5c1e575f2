"""What a request has cost: estimated until the model says it."""

from __future__ import annotations

from gateway.conversation.reply import Outcome
from gateway.conversation.token_count import TokenCount
from gateway.providers.contracts import (
    AssistantMessage,
    Expect,
    Memo,
    ReplyRequest,
    TextDelta,
    ToolCall,
    Usage,
    UserMessage,
)


def request(instructions="x" * 400, messages=(), tools=()):
    return ReplyRequest(instructions=instructions, messages=messages, tools=tools, memo=None)


def counted(*events, **what):
    outcome = Outcome()
    count = TokenCount(outcome, request(**what))
    for event in events:
        count.see(event)
    return outcome.tokens


def test_a_request_costs_though_nothing_came_back():
    assert counted() == 100


def test_the_history_is_paid_for():
    long = (AssistantMessage("Hello there. " * 40), UserMessage("How are you? " * 40))
    assert counted(messages=long) - counted() >= 1040 // 4


def test_text_and_tool_calls_are_estimated():
    assert counted(TextDelta("a")) == 101
    assert counted(TextDelta("a" * 40)) == 110
    assert counted(ToolCall("1", "order", "x" * 40)) == 111


def test_the_models_own_count_replaces_the_estimate():
    assert counted(TextDelta("a" * 400), Usage(70, 90)) == 160


def test_a_second_request_adds_up():
    outcome = Outcome()
    TokenCount(outcome, request()).see(Usage(70, 90))
    TokenCount(outcome, request())
    assert outcome.tokens == 160 + 100


def test_what_comes_after_the_count_is_estimated_again():
    assert counted(Usage(70, 90), TextDelta("a" * 40)) == 170


def test_other_events_cost_nothing():
    assert counted(Memo("x" * 1000), Expect("yes_no")) == 100
