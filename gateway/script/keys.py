"""Telephone keys: the innermost question goes first, then the script's intents.

What a question does not take goes outwards: a menu keeps the digits for itself, but `0`, `*` and
`#` mean what the intents say unless the menu has them; a question that takes no keys at all (a
name, a message) leaves every key to the intents.
"""

from __future__ import annotations

from typing import Literal

from gateway.providers.contracts import UserMessage
from gateway.script.answers import answer_yes_or_no, close, take
from gateway.script.draft import Draft
from gateway.script.slots import digits_wanted

Taken = Literal["taken", "refused", "outwards"]
"""Used; the question's own but wrong; left to the intents."""
_COMMON = frozenset({"0", "*", "#"})
_NUMBERS = frozenset({"digits", "phone_number", "quantity", "time"})


def take_keys(draft: Draft, message: UserMessage) -> Taken:
    """Use keys as the answer that the present flow waits for."""
    keys, phase = message.text, draft.frame.phase
    if phase in {"confirm", "read_back"}:
        return _yes_or_no(draft, keys)
    if phase != "ask":
        return "outwards"
    slot = draft.slot
    known = slot.keys or (_yes_no_keys(draft) if slot.type == "yes_no" else {})
    if known:
        return _own(draft, keys, known)
    if slot.type not in _NUMBERS or keys in {"*", "#"}:
        return "outwards"
    if slot.type in {"digits", "phone_number"}:
        return _number(draft, message)
    return "taken" if take(draft, message) else "refused"


def _yes_no_keys(draft: Draft) -> dict[str, str]:
    main = draft.script.main
    return {main.yes_key: "yes", main.no_key: "no"}


def _yes_or_no(draft: Draft, keys: str) -> Taken:
    read = _yes_no_keys(draft).get(keys)
    if read is None:
        return "outwards" if keys in _COMMON else "refused"
    answer_yes_or_no(draft, read)
    return "taken"


def _own(draft: Draft, keys: str, known: dict[str, str]) -> Taken:
    if keys not in known:
        return "outwards" if keys in _COMMON else "refused"
    close(draft, known[keys])
    return "taken"


def _number(draft: Draft, message: UserMessage) -> Taken:
    """Accept a number whole, or as the rest of one; ended too early it is wrong, not a part."""
    keys, before, wanted = message.text, draft.frame.partial, digits_wanted(draft.slot)
    if not keys.isdecimal():
        return "refused"
    for number in (before + keys, keys):
        if len(number) in wanted:
            close(draft, number)
            return "taken"
    if message.typed != "ended" and len(before + keys) < wanted.start:
        draft.stay("ask", tries=draft.frame.tries, partial=before + keys)
        return "taken"
    return "refused"
