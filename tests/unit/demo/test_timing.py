from __future__ import annotations

import pytest

from gateway.demo.next_steps import GATEWAY_TOML, NETWORK_TOML
from gateway.demo.timing import Spoken, TimedTurn, match_turns, spoken_lines, table
from gateway.demo.verdict import shortcomings
from gateway.records.model import CallRecord, ToolUse, TurnRecord
from gateway.setup.loader import load_config

ORDER = (
    '{"items": [{"item": "tea", "quantity": 1, "options": {"size": "large"}},'
    ' {"item": "espresso", "quantity": 1, "options": {}}]}'
)
PLACED = ToolUse(name="place_order", arguments=ORDER)
GREETING = TurnRecord(index=0, started_s=0.0, bot_text_heard="Hello.")
MENU = TurnRecord(
    index=1, started_s=4.1, caller_text="What?", response_gap_ms=640, barge_in_stop_ms=150
)
ANSWER = TurnRecord(index=2, started_s=8.05, caller_text="Two", response_gap_ms=None)
REST = TurnRecord(
    index=3, started_s=9.0, caller_text="teas.", response_gap_ms=700.4, tools=(PLACED,)
)
SPOKEN = [Spoken("What?", 4.0, 650.0), Spoken("Two, teas.", 8.0, 710.0, 160.0)]


def record(*turns: TurnRecord, reason: str = "bot_hung_up") -> CallRecord:
    values = {"call_id": "x", "direction": "in", "started_at": "2026-11-20T13:00:00Z"}
    return CallRecord.model_validate({**values, "end_reason": reason, "turns": turns})


def test_what_was_said_is_joined_with_its_measurement() -> None:
    measured = [{"text": "a", "response_gap_ms": 1.0}, {"text": "c", "barge_in_stop_ms": 2.0}]
    lines = spoken_lines([("a", 0.0), ("inaudible", 1.0), ("c", 2.0)], measured)
    assert lines == [Spoken("a", 0, 1.0), Spoken("inaudible", 1.0), Spoken("c", 2.0, None, 2.0)]


def test_turns_are_matched_by_time_and_cuts_by_what_they_cut() -> None:
    rows = match_turns(SPOKEN, [GREETING, MENU, ANSWER, REST])
    assert rows == [TimedTurn(SPOKEN[0], MENU), TimedTurn(SPOKEN[1], REST, cut=MENU)]


def test_a_sentence_that_the_gateway_missed_stays_alone() -> None:
    assert match_turns(SPOKEN, [GREETING, REST]) == [
        TimedTurn(SPOKEN[0]),
        TimedTurn(SPOKEN[1], REST),
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_table_holds_both_ends_and_fits(width: int) -> None:
    head, names, rule, first, second = table(
        match_turns(SPOKEN, [GREETING, MENU, ANSWER, REST]), width
    )
    assert first.split() == ["What?", "650", "640", "-", "-", "-", "-", "-", "-"]
    assert second.split()[-8:] == ["710", "700", "-", "-", "-", "-", "160", "150"]
    assert len(names) == len(rule) == len(first) == len(second) >= len(head)
    assert len(rule) <= max(width, 76)


def test_a_call_that_went_as_planned_has_no_shortcomings() -> None:
    rows = match_turns(SPOKEN, [GREETING, MENU, ANSWER, REST])
    assert shortcomings(record(GREETING, MENU, ANSWER, REST), rows, []) == []


@pytest.mark.parametrize(
    ("turns", "spoken", "problems", "reason", "expected"),
    [
        ([MENU, REST], SPOKEN, ["waited"], "bot_hung_up", "the caller waited"),
        ([MENU, REST], SPOKEN, [], "silence", "ended with silence"),
        ([MENU], SPOKEN, [], "bot_hung_up", "no reply to: Two, teas."),
        ([MENU], SPOKEN, [], "bot_hung_up", "0 orders"),
        ([MENU, REST], SPOKEN[:1], [], "bot_hung_up", "interrupted nothing"),
        (
            [MENU.model_copy(update={"barge_in_stop_ms": None}), REST],
            SPOKEN,
            [],
            "bot_hung_up",
            "noticed no interruption",
        ),
        (
            [
                MENU,
                REST.model_copy(
                    update={"tools": (ToolUse(name="place_order", arguments='{"items": []}'),)}
                ),
            ],
            SPOKEN,
            [],
            "bot_hung_up",
            "not 1 espresso, 1 large tea",
        ),
    ],
)
def test_what_went_wrong_is_said(turns, spoken, problems, reason, expected) -> None:
    found = shortcomings(record(*turns, reason=reason), match_turns(spoken, turns), problems)
    assert any(expected in fault for fault in found), found


def test_the_configuration_that_is_shown_is_valid(tmp_path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(GATEWAY_TOML)
    config = load_config(path, {"SIP_PASSWORD": "secret"})
    assert config.trunks[0].server == "sip.example.net"
    assert config.agents["reception"].llm.provider == "openai"
    path.write_text(NETWORK_TOML)
    config = load_config(path, {})
    assert config.sip.bind == "0.0.0.0"
    assert list(config.agents) == ["front-desk"]
