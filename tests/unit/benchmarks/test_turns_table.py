"""The table and the pictures over rows made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.turns import plot, store, table
from benchmarks.turns.store import Store


def answer(variant: str, gap_ms: float | None, fate: str = "clean", **more: Any) -> dict[str, Any]:
    return {
        "variant": variant,
        "fate": fate,
        "gap_ms": gap_ms,
        "gateway_gap_ms": None if gap_ms is None else gap_ms - 5,
        "share_ms": None,
        "early": fate == "false_start",
        "early_stop_ms": 40.0 if fate == "false_start" else None,
        "overlap_ms": 60.0,
        "reopened": 0,
        "slowest_stage": "endpointing_ms",
        **{f"{name}_ms": 100.0 for name in table.STAGES},
        **more,
    }


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(store, "RESULTS", tmp_path)
    return Store("hand")


def line(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(name))


def test_rows_are_on_disk_as_soon_as_a_call_is_over(results: Store) -> None:
    rows = results.start("gap", {"seed": 1})
    rows.add(answer("gap", 400.0))
    rows.fail("SipError: 486")
    rows.add(answer("gap", 500.0))
    assert [row["gap_ms"] for row in results.rows("gap")] == [400.0, 500.0]
    assert list(results.conditions()) == ["gap"]


def test_the_table_counts_fates_and_orders_gaps(results: Store) -> None:
    gaps = [400.0, 500.0, 600.0, None]
    fates = ["clean", "false_start", "cut_off", "unanswered"]
    rows = [answer("gap", gap, fate) for gap, fate in zip(gaps, fates, strict=True)]
    results.start("gap", {}).add(*rows)
    text = table.text([results])
    assert "p50 500  p90 580" in line(text, "orders, offline script")
    assert "25.0 %  (1 of 4)" in line(text, "false starts")
    assert "25.0 %  (1 of 4)" in line(text, "cut-offs")
    assert "p50 5 " in line(text, "outside minus inside")


def test_two_runs_stand_side_by_side(results: Store) -> None:
    results.start("gap", {}).add(answer("gap", 700.0))
    other = Store("after")
    other.start("gap", {}).add(answer("gap", 300.0))
    found = line(table.text([results, other]), "orders, offline script")
    assert found.index("p50 700") < found.index("p50 300")


def test_lost_replies_are_per_time_of_bot_speech(results: Store) -> None:
    def held(variant: str, *seams: list[float], lost: bool = False) -> dict[str, Any]:
        return {
            "variant": variant,
            "lost": lost,
            "bot_speech_s": 60.0,
            "words": 0,
            "seams": list(seams),
        }

    results.start("noise", {}).add(
        held("quiet"),
        held("noise -30 dBFS", [1.0, 400.0, 0.0, 0.0, 120, 100], lost=True),
        held("noise -30 dBFS", [2.0, 300.0, 0.0, 0.0, 50, 100]),
    )
    results.start("echo", {}).add(held("quiet"), held("echo"), held("echo"))
    text = table.text([results])
    assert "5.00  (1 in 2.0 min" in line(text, "noise -30 dBFS: replies lost per 10 min")
    assert "1 of 2, worst 1.20" in line(text, "clicks at seams")
    assert "0.00  (0 in 2.0 min" in line(text, "echo: replies lost per min")


def test_four_calls_are_compared_with_one(results: Store) -> None:
    rows = [answer("one", 400.0), answer("one", 400.0), answer("four", 500.0)]
    results.start("four", {}).add(*rows)
    assert "+25 %" in line(table.text([results]), "four calls at once")


def test_nothing_measured_is_said(results: Store) -> None:
    assert table.text([results]) == "nothing measured"
    assert list(plot.draw(results)) == []


def test_pictures_are_drawn_of_what_there_is(results: Store) -> None:
    results.start("gap", {}).add(answer("gap", 400.0), answer("gap", 900.0))
    for value, gap in ((300, 350.0), (500, 550.0)):
        sweep = Store(f"hand/sweep/turn.whole_ms={value}")
        sweep.start("gap", {}).add(answer("gap", gap, "false_start"), answer("gap", gap))
    paths = list(plot.draw(results))
    assert [path.name for path in paths] == ["response-gap.svg", "trade-off.svg"]
    drawn = paths[1].read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    assert "turn.whole_ms=300" in drawn
