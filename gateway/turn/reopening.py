"""Decide whether a caller that cuts a reply goes on with the turn that it answers.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.turn.events import TurnEnded

REACTION_MS = 300
"""A caller does not react sooner to what begins to be heard: until then speech is the rest of what
was being said before."""
_ASKED_MS = 600
"""After this much of a question it may be answered already."""


@dataclass(frozen=True, slots=True)
class CutReply:
    """What the rule needs to know of a reply that the caller has cut."""

    played_ms: int
    asks: bool
    """It holds a question, or expects an answer."""
    has_acted: bool = False
    """A tool with side effects was begun: the reply cannot be taken back."""


def may_reopen(turn: TurnEnded | None, reply: CutReply, reopen_ms: int) -> bool:
    """Return whether the caller goes on with `turn`, so that its answer is taken back.

    A caller that reacts to the bot after a complete answer begins something new.  So does a
    caller that speaks after a question of the bot, unless the turn before looked open.

    Args:
        turn: what the reply answers; None = no spoken turn, which cannot be reopened.
        reply: as far as it was heard.
        reopen_ms: how much of a reply may have been heard at most (`turn.reopen_ms`).
    """
    if turn is None or reply.has_acted:
        return False
    is_open = reply.played_ms < REACTION_MS or turn.evidence != "expected"
    looked_done = turn.evidence == "whole" and reply.played_ms >= _ASKED_MS
    return is_open and not (looked_done and reply.asks) and reply.played_ms < reopen_ms
