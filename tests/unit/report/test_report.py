"""Figures by variant, with intervals that hold what they promise."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import numpy as np
import pytest

from gateway.records.model import CallRecord, RouteRecord, SpentRecord, ToolUse, TurnRecord
from gateway.report.figures import NO_VARIANT, grouped, outcome_of, report_of
from gateway.report.intervals import estimate, replicates, share, share_difference
from gateway.report.tables import csv_of, json_of, text_of

AT = datetime(2026, 11, 29, tzinfo=UTC)


def call(number: int, variant: str, gap_ms: float, cost: float, outcome: str = "") -> CallRecord:
    result = json.dumps({"outcome": outcome}) if outcome else "{}"
    turn = TurnRecord(
        index=1, bot_text_generated="Yes.", response_gap_ms=gap_ms, interrupted=number % 4 == 0,
        tools=(ToolUse(name="book", result=result),), error="x" if number % 10 == 0 else None,
    )  # fmt: skip
    return CallRecord(
        call_id=f"c{number}", direction="in", started_at=AT, answered_at=AT, turns=(turn,),
        variant=f"r={variant}" if variant else "", spent=SpentRecord(tokens=100, cost=cost),
        routes=(RouteRecord(router="r", variant=variant, switches=number % 2),),
    )  # fmt: skip


def calls() -> list[CallRecord]:
    rng = np.random.default_rng(7)
    slow = [call(n, "b", rng.normal(900, 50), 0.02, "booked") for n in range(60)]
    return [*(call(n, "a", rng.normal(500, 50), 0.01) for n in range(60)), *slow, call(1, "", 1, 0)]


def test_variants_are_compared_and_what_differs_is_said() -> None:
    report = report_of(grouped(calls()))
    assert [(row.variant, row.calls) for row in report.rows] == [
        (NO_VARIANT, 1), ("r=a", 60), ("r=b", 60)
    ]  # fmt: skip
    _, a, b = report.rows
    gap = a.figures["gap_p50_ms"]
    assert gap is not None
    assert gap.low < 500 < gap.high
    assert gap.high - gap.low < 60
    interrupted = b.figures["interruptions"]
    assert interrupted is not None
    assert interrupted.value == 0.25
    assert report.compared == ("r=a", "r=b")
    assert report.differences["gap_p50_ms"].is_sure
    assert 350 < report.differences["gap_p50_ms"].value < 450
    assert report.differences["outcome booked"].is_sure
    assert not report.differences["interruptions"].is_sure
    assert not report.differences["failures"].is_sure


def test_one_router_of_several() -> None:
    record = call(1, "a", 500, 0.01).model_copy(update={"variant": "other=x,r=a"})
    assert list(grouped([record], "r")) == ["a"]
    assert list(grouped([record], "none")) == [NO_VARIANT]


def test_the_three_forms_hold_the_same_figures() -> None:
    report = report_of(grouped(calls()))
    text = text_of(report)
    assert "r=b minus r=a:" in text
    assert any(line.endswith("differs") for line in text.splitlines())
    assert any(line.endswith("not decided") for line in text.splitlines())
    rows = list(csv.DictReader(io.StringIO(csv_of(report))))
    whole = json.loads(json_of(report))
    for row, shown in zip(rows, whole["variants"], strict=True):
        assert row["variant"] == shown["variant"]
        assert float(row["cost"]) == shown["cost"]["value"]
    assert whole["differences"]["gap_p50_ms"]["is_sure"] is True


def test_nothing_to_report_on_is_no_crash() -> None:
    unanswered = call(1, "a", 1, 1).model_copy(update={"answered_at": None})
    assert grouped([unanswered]) == {}
    silent = call(1, "a", 1, 1).model_copy(update={"turns": ()})
    (row,) = report_of(grouped([silent])).rows
    assert row.figures["gap_p50_ms"] is None
    assert row.figures["interruptions"] is None
    assert "-" in text_of(report_of(grouped([silent])))


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ('{"outcome": "booked"}', "booked"),
        ('{"outcome": 3}', ""),
        ("no JSON", ""),
        ("[1]", ""),
    ],
)
def test_outcomes_are_what_tools_report(result: str, outcome: str) -> None:
    turn = TurnRecord(index=1, tools=(ToolUse(name="t", result=result),))
    assert outcome_of(call(1, "a", 1, 1).model_copy(update={"turns": (turn,)})) == outcome


def test_wilsons_interval_is_that_of_the_books() -> None:
    found = share(1, 10)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.0179, 0.4042)
    assert share(0, 0) is None
    none, all_ = share(0, 10), share(10, 10)
    assert none is not None
    assert all_ is not None
    assert (none.low, all_.high) == pytest.approx((0.0, 1.0))
    assert share_difference(all_, none).is_sure


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(100):
        sample = [[value] for value in rng.normal(100, 10, 60)]
        drawn = replicates(sample, lambda values: float(values.mean()), trial)
        found = estimate(0.0, drawn)
        hits += found.low <= 100 <= found.high
    assert 86 <= hits <= 100
