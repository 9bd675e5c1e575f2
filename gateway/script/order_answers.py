"""Taking the caller's answer while an order is taken."""

from __future__ import annotations

from dataclasses import replace

from gateway.providers.contracts import UserMessage
from gateway.script.basket import Symbol, assemble, symbols, with_options
from gateway.script.draft import Draft
from gateway.script.flow import ask_more, missing_option, tell_change
from gateway.script.order import change_order, is_done
from gateway.script.slots import nearest
from gateway.script.state import Line
from gateway.script.words import words


def take_done(draft: Draft, text: str) -> bool:
    """Use "that's all" where an order is taken: before any intent, it does not mean the call."""
    name = draft.step.ask
    if not name or draft.slot.type != "items" or not is_done(draft.menu(name), text):
        return False
    if draft.frame.phase == "option":
        while missing := missing_option(draft, name):
            if not take_default(draft, *missing):
                return False
        draft.advance()
    elif draft.order(name):
        draft.advance()
    elif draft.frame.tries == 0:
        draft.say(draft.slot.nothing)
        draft.stay("ask", tries=1)
    else:
        draft.leave()
    return True


def take_default(draft: Draft, index: int, group: str) -> bool:
    """Set an option of an order line to its default; False when it has none."""
    menu = draft.menu(draft.step.ask)
    default = menu.options[group].default
    if default:
        order = list(draft.order(draft.step.ask))
        order[index] = with_options(menu, order[index], [(group, default)])
        draft.set(draft.step.ask, tuple(order))
    return bool(default)


def take_order(draft: Draft, text: str) -> bool:
    """Use a sentence as a change of the order; False when it is none."""
    name = draft.step.ask
    change = change_order(draft.menu(name), draft.order(name), text)
    if change is None or change.kind == "done":
        return False
    draft.set(name, change.order)
    tell_change(draft, change.kind, change.touched)
    if change.order:
        ask_more(draft)
    else:
        draft.stay("ask")
    return True


def take_option(draft: Draft, message: UserMessage) -> bool:
    """Accept "large" or "one large and one small" for the order line that was asked about."""
    name = draft.step.ask
    missing = missing_option(draft, name)
    pieces = symbols(draft.menu(name), message.text)
    if missing is None or any(piece.kind == "item" for piece in pieces):
        return False
    index, group = missing
    if not any(piece.kind == "option" for piece in pieces):
        guess = _guess_option(draft, group, message)
        if guess is None:
            return False
        pieces = (Symbol("option", guess, group),)
    draft.set(name, _answered(draft, index, pieces))
    ask_more(draft)
    return True


def _guess_option(draft: Draft, group: str, message: UserMessage) -> str | None:
    values = draft.menu(draft.step.ask).options[group].values
    if message.choice in values:
        return message.choice
    forms = [(value, form.lower()) for value, more in values.items() for form in (value, *more)]
    return nearest(forms, " ".join(words(message.text)))


def _answered(draft: Draft, index: int, pieces: tuple[Symbol, ...]) -> tuple[Line, ...]:
    menu, order = draft.menu(draft.step.ask), list(draft.order(draft.step.ask))
    line = order[index]
    if {"all", "both", "each"} & {
        piece.value for piece in pieces if piece.kind in {"word", "count"}
    }:
        options = [(piece.group, piece.value) for piece in pieces if piece.kind == "option"]
        return tuple(with_options(menu, each, options) for each in order)
    lead = (Symbol("count", number=line.quantity), Symbol("item", line.item), Symbol("and"))
    parts = assemble(menu, (*lead, *pieces)).lines
    new = [replace(part, options=with_options(menu, line, part.options).options) for part in parts]
    return (*order[:index], *new, *order[index + 1 :])
