"""Taking the caller's answer to the question that a flow has put."""

from __future__ import annotations

from gateway.providers.contracts import UserMessage
from gateway.script.draft import Draft
from gateway.script.flow import ask_more, give_up, go_to, missing_option
from gateway.script.numbers import digit_string
from gateway.script.order import change_order
from gateway.script.order_answers import take_default, take_option, take_order
from gateway.script.slots import digits_wanted, only_yes_or_no, yes_or_no
from gateway.script.state import Value
from gateway.script.words import find, vocabulary, words

_MOST_TRIES = 3
_MARKS = vocabulary("no actually sorry said meant mean wait change wrong correction instead not")
_SPOKEN_VALUES = frozenset(
    {"digits", "phone_number", "time", "quantity", "choice", "spelling", "email"}
)


def take(draft: Draft, message: UserMessage) -> bool:
    """Use a message as the answer that the present flow waits for.

    Returns:
        False when it is no answer to that; the draft is then unchanged.
    """
    text = message.text
    if draft.frame.phase == "confirm":
        return _correct_confirmed(draft, text)
    if draft.frame.phase == "which":
        return _which(draft, message)
    if draft.frame.phase == "read_back":
        return correct_earlier(draft, text, is_named=True) or _correct_read_back(draft, text)
    if draft.slot.type == "items":
        is_option = draft.frame.phase == "option"
        return (is_option and take_option(draft, message)) or take_order(draft, text)
    return (
        correct_earlier(draft, text, is_named=True)
        or _fill(draft, message)
        or correct_earlier(draft, text, is_named=False)
    )


def take_yes_or_no(draft: Draft, message: UserMessage, *, is_strict: bool) -> bool:
    """Use a yes or no where one was asked for; strict = only if nothing else was said."""
    if draft.frame.phase not in {"confirm", "read_back"}:
        return False
    read = only_yes_or_no(message.text) if is_strict else yes_or_no(message.text)
    if not is_strict and read is None and message.choice in {"yes", "no"}:
        read = message.choice
    if read is None:
        return False
    answer_yes_or_no(draft, read)
    return True


def answer_yes_or_no(draft: Draft, read: str) -> None:
    """Answer a confirmation, or a value that was read back."""
    if draft.frame.phase == "read_back":
        _close_read_back(draft, read)
    elif read == "yes":
        draft.advance()
    else:
        _refuse(draft)


def retry(draft: Draft) -> None:
    """The answer was not understood: ask again, differently, or give up."""
    frame, step = draft.frame, draft.step
    slot = draft.slot if step.ask else None
    tries = frame.tries + 1
    if tries < (slot.max_tries if slot else _MOST_TRIES):
        draft.stay(frame.phase, tries=tries, tries_before=frame.tries_before)
        return
    missing = missing_option(draft, step.ask) if frame.phase == "option" else None
    if missing and take_default(draft, *missing):
        ask_more(draft)
    else:
        give_up(draft, slot.on_fail if slot else "")


def _close_read_back(draft: Draft, read: str) -> None:
    if read == "yes":
        draft.confirm(draft.step.ask)
        draft.advance()
        return
    draft.clear([draft.step.ask])
    if draft.frame.tries + 1 >= draft.slot.max_tries:
        give_up(draft, draft.slot.on_fail)
    else:
        draft.stay("ask", tries=draft.frame.tries + 1)


def _refuse(draft: Draft) -> None:
    step = draft.step
    names = draft.named_slots(step.confirm)
    if step.otherwise:
        go_to(draft, step.otherwise)
    elif not names:
        draft.advance()
    elif len(names) == 1 and not draft.order(names[0]):
        _ask_anew(draft, names[0])
    else:
        draft.stay("which")


def _ask_anew(draft: Draft, name: str) -> None:
    at = _asking_step(draft, name)
    if at is None:
        draft.stay("confirm", tries=draft.frame.tries + 1)
        return
    draft.clear([name])
    draft.stay("ask", step=at)


def _asking_step(draft: Draft, name: str) -> int | None:
    steps = draft.script.flows[draft.frame.flow].steps
    return next((at for at, step in enumerate(steps) if step.ask == name), None)


def _correct_confirmed(draft: Draft, text: str) -> bool:
    """Apply a correction given in the answer to a confirmation; it is then asked again."""
    names = draft.named_slots(draft.step.confirm)
    for name in names:
        if draft.script.slots[name].type == "items":
            return _change_confirmed(draft, name, text)
    heard = words(text)
    for name in reversed(names):
        if draft.script.slots[name].type in _SPOKEN_VALUES:
            value = draft.find(name, text, is_asked=len(names) == 1)
            if value and value != draft.state.slot(name):
                draft.set(name, value)
                draft.confirm(name)
                draft.stay("confirm")
                return True
    for name in names:
        if _MARKS & set(heard) and find(words(draft.label(name)), heard) >= 0:
            if draft.script.slots[name].type == "name" and (value := _new_name(draft, name, text)):
                draft.set(name, value)
                draft.stay("confirm")
            else:
                _ask_anew(draft, name)
            return True
    return False


def _new_name(draft: Draft, name: str, text: str) -> Value | None:
    """Accept a name from "no, the name is Bob", not from "the name is wrong"."""
    value = draft.find(name, text)
    is_name = isinstance(value, str) and yes_or_no(value) is None and not _MARKS & set(words(value))
    said = words(draft.label(name))
    return value if is_name and value is not None and words(str(value)) != said else None


def _change_confirmed(draft: Draft, name: str, text: str) -> bool:
    change = change_order(draft.menu(name), draft.order(name), text)
    if change is None:
        return False
    if change.kind == "done":
        draft.advance()
        return True
    draft.set(name, change.order)
    at = _asking_step(draft, name)
    if at is not None and (not change.order or missing_option(draft, name)):
        draft.stay("option" if change.order else "ask", step=at)
    else:
        draft.stay("confirm")
    return True


def _which(draft: Draft, message: UserMessage) -> bool:
    if _correct_confirmed(draft, message.text):
        return True
    heard = words(message.text)
    names = draft.named_slots(draft.step.confirm)
    for name in names:
        label = draft.label(name)
        if find(words(label), heard) >= 0 or message.choice == label:
            if not draft.order(name):
                _ask_anew(draft, name)
            return True
    if len(names) == 1 and not draft.order(names[0]):
        _ask_anew(draft, names[0])
        return True
    return False


def _correct_read_back(draft: Draft, text: str) -> bool:
    if draft.slot.type not in _SPOKEN_VALUES | {"name"}:
        return False
    if draft.slot.type == "name" and not _MARKS & set(words(text)):
        return False
    value = draft.find(draft.step.ask, text)
    if value is None:
        return False
    draft.set(draft.step.ask, value)
    _read_back(draft)
    return True


def _fill(draft: Draft, message: UserMessage) -> bool:
    name, slot = draft.step.ask, draft.slot
    value = draft.find(name, message.text)
    if value is None and message.choice is not None:
        value = draft.find(name, message.choice)
    if value is None:
        is_number = slot.type in {"digits", "phone_number"}
        return is_number and _take_partial(draft, message.text)
    close(draft, value)
    return True


def close(draft: Draft, value: Value) -> None:
    """Fill the slot that was asked for, and read it back where that is wanted."""
    draft.set(draft.step.ask, value)
    if draft.slot.read_back:
        _read_back(draft)
    else:
        draft.advance()


def _read_back(draft: Draft) -> None:
    """Read a new value back; what was not understood before still counts."""
    tries = draft.frame.tries
    draft.stay("read_back", tries=tries, tries_before=tries)


def _take_partial(draft: Draft, text: str) -> bool:
    """Join digits that come in pieces; keep them while they are too few."""
    wanted, before = digits_wanted(draft.slot), draft.frame.partial
    more = digit_string(text, {length - len(before) for length in wanted})
    # One digit within other words is more likely a word.
    if not more or (len(more) == 1 and len(words(text)) > 1) or len(before + more) > wanted[-1]:
        return False
    if len(before + more) in wanted:
        close(draft, before + more)
    else:
        draft.stay("ask", tries=draft.frame.tries, partial=before + more)
    return True


def correct_earlier(draft: Draft, text: str, *, is_named: bool) -> bool:
    """Accept "sorry, my name is Anna" while asking for something else; then ask that again.

    Args:
        draft: what to change.
        text: what was recognized.
        is_named: only slots whose label is in the sentence.
    """
    heard = words(text)
    steps = draft.script.flows[draft.frame.flow].steps[: draft.frame.step]
    if not _MARKS & set(heard) or draft.slot.type == "text":
        return False
    for name in reversed([step.ask for step in steps if step.ask]):
        if is_named and find(words(draft.label(name)), heard) < 0:
            continue
        if value := _corrected(draft, name, text):
            draft.set(name, value)
            draft.confirm(name)
            draft.stay(draft.frame.phase)
            return True
    return False


def _corrected(draft: Draft, name: str, text: str) -> Value | None:
    kind = draft.script.slots[name].type
    if kind == "items":
        change = change_order(draft.menu(name), draft.order(name), text)
        return change.order if change and change.kind != "done" else None
    if draft.state.slot(name) is None:
        return None
    if kind == "name":
        return _new_name(draft, name, text)
    return draft.find(name, text, is_asked=False) if kind in _SPOKEN_VALUES else None
