"""A caller who cuts a reply goes on with the turn before it, or begins a new one."""

import pytest

from gateway.turn.events import TurnEnded
from gateway.turn.reopening import CutReply, may_reopen

REOPEN_MS = 800


def turn(evidence: str) -> TurnEnded:
    return TurnEnded(
        now=8000, onset=0, speech_end=6000, text="I want a tea", choice=None,
        evidence=evidence, waited_ms=250, stt_ms=50,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("evidence", "played_ms", "asks", "reopens"),
    [
        # nothing was heard of the reply: whatever the turn looked like, it goes on
        ("whole", 0, True, True),
        ("expected", 0, True, True),
        ("unfinished", 0, False, True),
        # an answer that was expected, complete: what follows the bot's first words is new
        ("expected", 299, False, True),
        ("expected", 300, False, False),
        # a whole sentence: it goes on until the bot's question may have been understood
        ("whole", 599, True, True),
        ("whole", 600, True, False),
        ("whole", 600, False, True),
        # a turn that looked open goes on even after a question
        ("doubtful", 600, True, True),
        ("unfinished", 799, True, True),
        # too much was heard
        ("unfinished", 800, False, False),
        ("whole", 800, False, False),
    ],
)
def test_the_rule(evidence: str, played_ms: int, asks: bool, reopens: bool) -> None:
    assert may_reopen(turn(evidence), CutReply(played_ms, asks), REOPEN_MS) is reopens


def test_what_a_tool_has_done_is_not_taken_back() -> None:
    assert not may_reopen(turn("unfinished"), CutReply(0, asks=False, has_acted=True), REOPEN_MS)


def test_a_greeting_and_keys_answer_no_turn() -> None:
    assert not may_reopen(None, CutReply(0, asks=False), REOPEN_MS)
