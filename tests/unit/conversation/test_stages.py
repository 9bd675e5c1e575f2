"""The time to an answer is divided without remainder, and prepared work costs nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversation.stages import hidden_ms, slowest_stage, stages, summary_line
from gateway.records.model import FalseInterruption, ToolUse, TurnRecord

FIELDS = ("endpointing_ms", "llm_first_sentence_ms", "tts_first_audio_ms", "playout_start_ms")


def turn(gap_ms, *took_ms, **more):
    times = dict(zip(FIELDS, took_ms, strict=False))
    return TurnRecord(index=3, response_gap_ms=gap_ms, **times, **more)


@pytest.mark.parametrize(
    ("record", "parts", "hidden", "slowest"),
    [
        (turn(500, 340, 100, 40, 20), (340, 100, 40, 20), (0, 0), "endpointing_ms"),
        (turn(900, 340, 500, 40, 20), (340, 500, 40, 20), (0, 0), "llm_first_sentence_ms"),
        # prepared: ready before the decision, half of the voice late, all of it late
        (turn(370, 340, 210, 41, 30), (340, 0, 0, 30), (210, 41), "endpointing_ms"),
        (turn(390, 340, 210, 41, 30), (340, 0, 20, 30), (210, 21), "endpointing_ms"),
        (turn(500, 100, 400, 50, 30), (100, 320, 50, 30), (80, 0), "llm_first_sentence_ms"),
        # nobody accounts for 60 ms
        (turn(500, 340, 50, 30, 20), (340, 50, 30, 80), (0, 0), "endpointing_ms"),
        # a filler was heard before the model had said a word, or before the voice was ready
        (turn(900, 300, 2000, 40, 20, fillers=("Hm.",)), (300, 580, 0, 20), (0, 0), FIELDS[1]),
        (turn(900, 300, 100, 1500, 20, fillers=("Hm.",)), (300, 100, 480, 20), (0, 0), FIELDS[2]),
        (turn(900, 300, None, None, 20, fillers=("Hm.",)), (300, 580, 0, 20), (0, 0), FIELDS[1]),
        (turn(900, 950), (900, 0, 0, 0), (0, 0), "endpointing_ms"),
    ],
)
def test_stages(record, parts, hidden, slowest):
    *first, playout = parts
    assert stages(record) == (*first, 0, playout)
    assert hidden_ms(record) == hidden
    assert slowest_stage(record) == slowest


TIMES = st.one_of(st.none(), st.floats(0, 5000))


@given(st.floats(0, 9000), st.floats(0, 9000), TIMES, TIMES, TIMES, st.booleans())
def test_the_parts_are_the_gap(gap_ms, wait_ms, llm_ms, tts_ms, playout_ms, has_filler):
    fillers = ("Hm.",) if has_filler else ()
    record = turn(gap_ms, wait_ms, llm_ms, tts_ms, playout_ms, fillers=fillers)
    parts = stages(record)
    assert sum(parts) == pytest.approx(record.response_gap_ms)
    assert min(parts) >= -1e-6
    assert min(hidden_ms(record)) >= -1e-6


def test_a_turn_without_a_gap_has_no_stages():
    assert stages(TurnRecord(index=0)) is None
    assert slowest_stage(TurnRecord(index=0, endpointing_ms=300)) is None
    assert hidden_ms(TurnRecord(index=0)) == (0, 0)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            turn(370, 340, 210, 41, 30, caller_text="I'd like a latte", bot_text_heard="One."),
            "turn 3: gap 370 ms = wait 340 + llm 0 (hidden 210) + tts 0 (hidden 41) + playout 30; "
            "slowest: endpointing; 4 -> 1 words",
        ),
        (TurnRecord(index=0, bot_text_heard="Hello!"), "turn 0: 1 words"),
        (
            turn(
                900, 300, 2000, 40, 20, fillers=("Hm.",), answer_gap_ms=2400, interrupted=True,
                barge_in_stop_ms=85, reopened=True, error="timeout", caller_text="a\nb",
                bot_text_heard="word " * 20, tools=(ToolUse(name="book"),),
                false_interruptions=(FalseInterruption(at_s=1, evidence="noise", silent_ms=200),),
            ),
            "turn 3: gap 900 ms = wait 300 + llm 580 + tts 0 + playout 20; "
            "slowest: llm_first_sentence; fillers 1, answer 2400 ms; tools book; "
            "false interruption by noise; cut, silent after 85 ms; reopened; error: timeout; "
            "2 -> 20 words",
        ),
    ],
)  # fmt: skip
def test_summary_line(record, line):
    assert summary_line(record) == line
