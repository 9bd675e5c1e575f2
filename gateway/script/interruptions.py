"""Words that cut a reply off: over something that was about to be done, or before a question.

They answer nothing that was not heard.  A "no" never does anything then; a "yes" confirms nothing.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.providers.contracts import UserMessage
from gateway.script.answers import correct_earlier, take, take_yes_or_no
from gateway.script.draft import Draft
from gateway.script.flow import ENDING_TOOLS, call_tool
from gateway.script.match import Match
from gateway.script.model import Script
from gateway.script.slots import is_stop, only_yes_or_no, yes_or_no

_VAGUE_TYPES = frozenset({"text", "name", "yes_no", "spelling", "email"})
"""Slots for which any word might be a value."""


def is_change_of_mind(script: Script, match: Match | None) -> bool:
    """Return whether words over an announcement mean something else than a nod."""
    if match is None or script.intents[match.intent].action == "repeat":
        return False
    return match.score >= script.main.interrupt_threshold


def over_call(draft: Draft, message: UserMessage) -> bool:
    """Accept words over what is said before a tool call, which was not made then.

    Returns:
        True when the call is dropped and there is nothing else in the words.
    """
    pending = draft.state.pending
    draft.state = replace(draft.state, pending=None)
    if pending is not None and pending.name not in ENDING_TOOLS:
        call_tool(draft, draft.step)
        return False
    if is_stop(message.text) and not message.typed:
        draft.say(draft.script.main.cancelled)
        draft.leave()
        return True
    call_tool(draft, draft.step)
    return False


def before_question(draft: Draft, message: UserMessage) -> bool:
    """Use what the words say anyhow; the question that was not heard is then repeated.

    Returns:
        False when there is nothing in them for this flow.
    """
    text = message.text
    phase = draft.frame.phase
    is_bare = is_stop(text) or only_yes_or_no(text) is not None
    if phase in {"confirm", "read_back"}:
        # What is read back comes first: a "no" then refers to it.
        is_no = yes_or_no(text) == "no"
        taken = is_no and take_yes_or_no(draft, message, is_strict=False)
        return taken or (not is_bare and take(draft, message))
    if is_bare or phase != "ask" or draft.slot.type == "items":
        return not is_bare and take(draft, message)
    if draft.slot.type in _VAGUE_TYPES:
        return correct_earlier(draft, text, is_named=True)
    return take(draft, message)
