"""Did the call go as planned?  Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gateway.demo.timing import TimedTurn
from gateway.records.model import CallRecord, ToolUse

EXPECTED_ORDER = ["1 espresso", "1 large tea"]
"""What the caller of call.toml has ordered once the correction is understood."""


def shortcomings(
    record: CallRecord, rows: Sequence[TimedTurn], problems: Sequence[str]
) -> list[str]:
    """List what did not go as planned; empty = all well.

    Args:
        record: the gateway's record of the call.
        rows: the caller's sentences with the gateway's turns.
        problems: what the caller complained about.
    """
    found = [f"the caller {problem}" for problem in problems]
    if record.end_reason != "bot_hung_up":
        found.append(f"the call ended with {record.end_reason}, not with the bot's goodbye")
    found += [f"no reply to: {row.spoken.text}" for row in rows if _is_unanswered(row)]
    if not any(row.spoken.barge_in_stop_ms is not None for row in rows):
        found.append("the caller interrupted nothing")
    elif not any(row.cut for row in rows):
        found.append("the gateway noticed no interruption")
    return found + _about_the_order([tool for turn in record.turns for tool in turn.tools])


def _is_unanswered(row: TimedTurn) -> bool:
    return row.turn is None or row.spoken.response_gap_ms is None


def _about_the_order(tools: Sequence[ToolUse]) -> list[str]:
    placed = [tool for tool in tools if tool.name == "place_order" and not tool.is_error]
    if len(placed) != 1:
        return [f"{len(placed)} orders were placed, not one"]
    items = json.loads(placed[0].arguments)["items"]
    ordered = sorted(_in_words(item) for item in items)
    if ordered != EXPECTED_ORDER:
        return [f"the order is {', '.join(ordered)}, not {', '.join(EXPECTED_ORDER)}"]
    return []


def _in_words(item: dict[str, Any]) -> str:
    return " ".join([str(item["quantity"]), *item["options"].values(), item["item"]])
