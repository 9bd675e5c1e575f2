"""What a call, a caller and a day may cost, and what is said when it is spent."""

from __future__ import annotations

import asyncio
import fcntl
import json
from collections.abc import Iterator

import pytest

from gateway.call.line import CallFacts
from gateway.call.live_call import Spent
from gateway.config.models import FillerConfig, LlmLimits, SpeculationConfig
from gateway.conversation.day_ledger import ALL, DayLedger
from gateway.conversation.spending import Spending
from gateway.providers.contracts import Usage
from tests.support.scene import Scene, text

OFF = {"filler": FillerConfig(after_ms=0), "speculation": SpeculationConfig(enabled=False)}


def facts(caller: str = "+4930123", source: str = "192.0.2.1:5060") -> CallFacts:
    return CallFacts("id", "in", "100", caller, source=source)


def spending(ledger: DayLedger, who: CallFacts | None = None, **limits: float) -> Spending:
    return Spending(LlmLimits(**limits), Spent(), who or facts(), ledger)


@pytest.mark.parametrize(
    ("limits", "reached"),
    [
        ({"requests_per_call": 3}, "requests_per_call"),
        ({"tokens_per_call": 300}, "tokens_per_call"),
        ({"cost_per_call": 0.0009, "input_cost_per_million": 1, "output_cost_per_million": 10},
         "cost_per_call"),
        ({"requests_per_caller_day": 3}, "requests_per_caller_day"),
        ({"tokens_per_day": 300}, "tokens_per_day"),
    ],
)  # fmt: skip
def test_a_limit_is_reached_by_the_third_request_and_not_before(limits, reached):
    count = spending(DayLedger(None), **limits)
    for _ in range(3):
        assert count.reached() == ""
        count.asks()
        count.used(80, 22)
    assert count.reached() == reached


def test_nothing_is_limited_by_zero():
    none = {"requests_per_call": 0, "tokens_per_call": 0}
    count = spending(DayLedger(None), **none)
    for _ in range(2000):
        count.asks()
        count.used(10_000, 1000)
    assert count.reached() == ""


def settle(*ledgers: DayLedger) -> None:
    """Let their threads do all that there is to do."""
    for ledger in ledgers:
        assert asyncio.run(ledger._writer.settled(10))


@pytest.fixture
def ledgers(tmp_path) -> Iterator[list[DayLedger]]:
    """Those of three workers."""
    made = [DayLedger(tmp_path / "llm.json", key="k") for _ in range(3)]
    yield made
    for ledger in made:
        ledger.close()


def test_the_calls_of_one_caller_count_together_and_those_of_another_do_not(tmp_path, ledgers):
    limits = {"requests_per_caller_day": 2}
    for ledger in ledgers[:2]:
        spending(ledger, **limits).asks()
        settle(ledger)
    count = spending(ledgers[2], **limits)
    settle(ledgers[2])
    assert count.reached() == "requests_per_caller_day"
    assert spending(ledgers[2], facts("+4930999"), **limits).reached() == ""
    assert "4930123" not in (tmp_path / "llm.json").read_text()
    assert (tmp_path / "llm.json").stat().st_mode & 0o777 == 0o600


def test_a_file_that_another_process_has_locked_makes_nobody_wait(tmp_path):
    path = tmp_path / "llm.json"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ledger = DayLedger(path)
        count = spending(ledger, requests_per_caller_day=3)
        for _ in range(3):
            assert count.reached() == ""
            count.asks()
        assert count.reached() == "requests_per_caller_day"
        assert path.read_text() == ""
    ledger.close()
    ((requests, _, _),) = json.loads(path.read_text())[ALL].values()
    assert requests == 3


def test_nothing_is_counted_twice_or_lost_while_many_count(ledgers):
    for _ in range(100):
        for ledger in ledgers:
            ledger.add((ALL,), Spent(1, 2, 0.5))
    settle(*ledgers)
    for ledger in ledgers:
        ledger.refresh()
    settle(*ledgers)
    assert [ledger.spent(ALL) for ledger in ledgers] == [Spent(300, 600, 150.0)] * 3


def test_who_is_forgotten_is_not_brought_back_by_a_late_correction(ledgers):
    count = spending(ledgers[0], requests_per_caller_day=9)
    count.asks()
    count.used(100, 20)
    settle(ledgers[0])
    assert asyncio.run(ledgers[1].forget("+4930123"))
    count.used(-50, 0, is_correction=True)
    settle(ledgers[0])
    assert ledgers[0].spent(ledgers[0].key_of("+4930123")) == Spent()
    assert ledgers[0].spent(ALL).tokens == 70


def test_what_cannot_be_forgotten_is_said(tmp_path):
    (tmp_path / "llm.json").write_text("[1]")
    ledger = DayLedger(tmp_path / "llm.json")
    assert not asyncio.run(ledger.forget("+4930123"))
    ledger.close()


def test_another_run_hashes_otherwise():
    assert DayLedger(None).key_of("+4930123") != DayLedger(None).key_of("+4930123")


def test_who_hides_his_number_is_known_by_his_address():
    ledger, limits = DayLedger(None), {"requests_per_caller_day": 1}
    spending(ledger, facts("", "192.0.2.1:5060"), **limits).asks()
    assert spending(ledger, facts("", "192.0.2.1:9"), **limits).reached()
    assert not spending(ledger, facts("", "192.0.2.2:5060"), **limits).reached()


def test_a_day_passes(tmp_path):
    now = [3600.0 * 100]
    ledger = DayLedger(tmp_path / "llm.json", lambda: now[0])
    ledger.add((ALL,), Spent(1, 5, 0.5))
    now[0] += 3600 * 23
    ledger.add((ALL,), Spent(1, 5, 0.5))
    assert ledger.spent(ALL) == Spent(2, 10, 1.0)
    settle(ledger)
    assert ledger.spent(ALL) == Spent(2, 10, 1.0)
    now[0] += 3600
    assert ledger.spent(ALL) == Spent(1, 5, 0.5)
    now[0] += 3600 * 24
    assert ledger.spent(ALL) == Spent()
    ledger.close()


@pytest.mark.parametrize(
    "content",
    ["nonsense", "[1]", '{"all": 1}', '{"all": {"5": [1]}}', '{"all": {"x": []}}', "\xe4"],
)
def test_a_broken_ledger_stops_nobody_and_the_process_counts_alone(tmp_path, content):
    path = tmp_path / "llm.json"
    path.write_text(content)
    ledger = DayLedger(path, lambda: 3600.0 * 5)
    ledger.add((ALL,), Spent(1))
    assert ledger.spent(ALL).requests == 1
    settle(ledger)
    ledger.add((ALL,), Spent(1))
    assert ledger.spent(ALL).requests == 2
    ledger.close()


def test_beyond_a_limit_it_gives_up_and_the_call_ends():
    async def script(scene):
        for at in (3, 7, 11):
            await scene.says(at, 0.5)
        await scene.until(20)

    limits = LlmLimits(requests_per_call=2)
    answer = [*text("Fine."), Usage(50, 5)]
    scene = Scene([answer] * 5, ["One?", "Two?", "Three?"], llm_limits=limits,
                  give_up="Enough for today.", **OFF).play(script)  # fmt: skip
    assert len(scene.llm.requests) == 2
    heard = [turn.bot_text_heard for turn in scene.notes.turns]
    assert heard[-1] == "Enough for today."
    assert heard.count("Fine.") == 2
    assert scene.ending is not None
    assert scene.ending.reason == "failed"
    assert "requests_per_call" in scene.ending.text
    assert scene.data("llm_limit") == [{"limit": "requests_per_call"}]
    metrics = scene.call.metrics
    assert metrics.llm_requests.labels()._value.get() == 2
    assert metrics.llm_limits.labels("requests_per_call")._value.get() == 1
    assert scene.call.spent.tokens == 110


def test_a_request_that_was_cut_off_counts_too():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(6, 0.5)
        await scene.until(12)

    scene = Scene([[60.0], text("Fine.")], ["One?", "Two?"], **OFF).play(script)
    assert scene.call.spent.requests == 2
    assert scene.call.spent.tokens > 0
