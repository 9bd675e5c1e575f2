"""Changing an order by voice: add, remove, replace, "make it three", "no, a mocha"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gateway.script.basket import Basket, Symbol, assemble, symbols, with_options
from gateway.script.model import Menu
from gateway.script.numbers import HOMOPHONES
from gateway.script.state import Line, Order
from gateway.script.words import find, tokens, vocabulary, words

_REMOVE = [
    phrase.split()
    for phrase in (
        *("remove", "delete", "drop", "forget", "scratch", "cancel", "without", "lose", "undo"),
        *("take off", "take out", "take away", "do not want", "no more", "get rid of", "not"),
    )
]
_CORRECT = vocabulary(
    "no nope actually sorry said meant mean wait instead rather make change changed switch swap "
    "correction replace should"
)
_SWAP = vocabulary("change swap replace switch make not")
_ADD = vocabulary("also add another more plus extra as too additionally")
_DONE = [
    phrase.split()
    for phrase in (
        *("that is all", "that is it", "that will be all", "that would be all", "that will do"),
        *("that is everything", "nothing else", "nothing more", "i am done", "i am good"),
        *("i am fine", "all done", "all set", "finished", "no thank you", "no thanks", "not today"),
    )
]
_BARE_NO = vocabulary("no nope nah now know nothing not that thank thanks you okay done")
_SPLIT = re.compile(
    r"(?:\s*,\s*|\s+and\s+|\s+but\s+)"
    r"(?=(?:also\s+|please\s+)?"
    r"(?:add|remove|make|change|cancel|drop|delete|swap|replace|forget|take off)\b)",
    re.IGNORECASE,
)

Kind = Literal["added", "changed", "removed", "done"]


@dataclass(frozen=True, slots=True)
class Change:
    """What a sentence did to an order."""

    kind: Kind
    order: Order
    touched: Order
    """The lines to read back: new, changed, or removed."""


def change_order(menu: Menu, order: Order, text: str) -> Change | None:
    """Apply what a caller said to an order.

    Args:
        menu: what can be had.
        order: the lines so far; the last one is what "it" and "that" mean.
        text: what was recognized.

    Returns:
        The change, `done` when the caller wants nothing more, None when nothing was understood.
    """
    if is_done(menu, text):
        return Change("done", order, ())
    changes: list[Change] = []
    for clause in _SPLIT.split(text):
        now = changes[-1].order if changes else order
        if change := _change(menu, now, clause):
            changes.append(change)
    if not changes:
        return None
    kinds = {change.kind for change in changes}
    if len(kinds) == 1:
        touched = tuple(line for change in changes for line in change.touched)
        return Change(changes[0].kind, changes[-1].order, touched)
    kept = tuple(line for c in changes if c.kind != "removed" for line in c.touched)
    return Change("changed", changes[-1].order, kept)


def is_done(menu: Menu, text: str) -> bool:
    """Return whether a caller wants nothing more: "that's all", "no thanks"."""
    heard = words(text)
    if not heard or any(piece.kind in {"item", "option"} for piece in symbols(menu, text)):
        return False
    return all(word in _BARE_NO for word in heard) or _has_any(_DONE, heard)


def _has_any(phrases: Sequence[Sequence[str]], heard: Sequence[str]) -> bool:
    return any(find(tuple(phrase), tuple(heard)) >= 0 for phrase in phrases)


def _change(menu: Menu, order: Order, text: str) -> Change | None:
    pieces = symbols(menu, text)
    basket = assemble(menu, pieces)
    heard = words(text)
    if order:
        if replaced := _replace_named(menu, order, pieces, heard):
            return replaced
        if _removes(menu, text, basket):
            return _remove(menu, order, pieces, basket)
        is_addition = bool(_ADD & set(heard)) and not {"instead", "rather"} & set(heard)
        if _CORRECT & set(heard) and not is_addition:
            return _correct(menu, order, basket, heard)
    if basket.lines:
        return Change("added", _merge(menu, (*order, *basket.lines)), basket.lines)
    return _loose(menu, order, basket, heard) if order else None


def _removes(menu: Menu, text: str, basket: Basket) -> bool:
    """Distinguish "remove the tea" and "no tea" from "no, tea" and "no, I said tea"."""
    heard, parts = words(text), tokens(text)
    if _has_any(_REMOVE, heard):
        return not {"instead", "rather"} & set(heard)
    if parts[:1] != ("no",) or parts[1:2] == (",",) or len(heard) > 4 or _CORRECT & set(heard[1:]):
        return False
    if basket.lines:
        return not any(basket.counted)
    # An option that is asked for cannot be left out: "no large" is a correction.
    return any(not menu.options[group].ask for group, _ in basket.options)


def _replace_named(
    menu: Menu, order: Order, pieces: Sequence[Symbol], heard: Sequence[str]
) -> Change | None:
    """Accept "B instead of A", "B not A", "change the A to B", "swap A for B"."""
    at = [index for index, piece in enumerate(pieces) if piece.kind == "item"]
    if len(at) != 2 or pieces[at[0]].value == pieces[at[1]].value:
        return None
    inner = pieces[at[0] : at[1]]
    between = {piece.value for piece in inner}
    is_one_clause = all(piece.kind != "and" for piece in inner)
    ahead = {piece.value for piece in pieces[: at[0]]}
    if {"instead", "of"} <= between or "than" in between or "not" in between:
        old_at, new_from, new_to = at[1], 0, at[1]
    elif is_one_clause and (_SWAP & ahead or {"instead", "of"} <= ahead):
        old_at, new_from, new_to = at[0], at[0] + 1, len(pieces)
    else:
        return None
    target = _index_of(order, pieces[old_at].value)
    fresh = assemble(menu, pieces[new_from:new_to])
    if target is None or not fresh.lines:
        return None
    return _put(menu, order, target, fresh.lines[0], was_counted=_is_counted(fresh, heard))


def _is_counted(basket: Basket, heard: Sequence[str]) -> bool:
    """An "a" is no count in "make it a mocha": the count stays."""
    return bool(basket.counted and basket.counted[0]) and (
        basket.lines[0].quantity != 1 or "1" in heard
    )


def _put(menu: Menu, order: Order, target: int, fresh: Line, *, was_counted: bool) -> Change:
    old = order[target]
    new = replace(old, item=fresh.item, quantity=fresh.quantity if was_counted else old.quantity)
    new = with_options(menu, new, fresh.options)
    return _changed(order, target, new)


def _changed(order: Order, target: int, new: Line) -> Change:
    # The changed line becomes the last: the next "it" means this one.
    rest = (*order[:target], *order[target + 1 :])
    return Change("changed", (*rest, new), (new,))


def _correct(menu: Menu, order: Order, basket: Basket, heard: Sequence[str]) -> Change | None:
    if not basket.lines:
        return _loose(menu, order, basket, heard)
    fresh = basket.lines[0]
    target = _index_of(order, fresh.item)
    counted = _is_counted(basket, heard)
    if target is None:
        first = _put(menu, order, len(order) - 1, fresh, was_counted=counted)
    else:
        line = order[target]
        quantity = fresh.quantity if counted else line.quantity
        first = _changed(
            order, target, with_options(menu, replace(line, quantity=quantity), fresh.options)
        )
    if len(basket.lines) == 1:
        return first
    return Change(
        "changed", _merge(menu, (*first.order, *basket.lines[1:])), first.touched + basket.lines[1:]
    )


def _loose(menu: Menu, order: Order, basket: Basket, heard: Sequence[str]) -> Change | None:
    """Accept what names no item: "make it three", "large", "one more", "both with milk"."""
    quantity = basket.quantity
    if quantity is None and {"make", "said"} & set(heard) and heard[-1] in HOMOPHONES:
        quantity = int(HOMOPHONES[heard[-1]])
    if basket.options and {"all", "both", "everything", "each"} & set(heard):
        lines = tuple(with_options(menu, line, basket.options) for line in order)
        return Change("changed", lines, lines)
    last = order[-1]
    if {"another", "more"} & set(heard) and quantity and not basket.options:
        more = replace(last, quantity=min(last.quantity + quantity, menu.max_quantity))
        return _changed(order, len(order) - 1, more)
    new = with_options(menu, last, basket.options)
    if quantity and (_CORRECT & set(heard)) and _counts(heard, quantity):
        new = replace(new, quantity=min(quantity, menu.max_quantity))
    if new == last and not (quantity and _CORRECT & set(heard)):
        return None
    return _changed(order, len(order) - 1, new)


def _counts(heard: Sequence[str], quantity: int) -> bool:
    """An "a" alone is no count: "make it a large" keeps the quantity."""
    return quantity != 1 or "1" in heard or "single" in heard


def _remove(menu: Menu, order: Order, pieces: Sequence[Symbol], basket: Basket) -> Change | None:
    named = {piece.value for piece in pieces if piece.kind == "item"}
    if not named:
        return (
            _remove_options(order, basket) if basket.options else _drop(order, len(order) - 1, None)
        )
    change: Change | None = None
    for line, was_counted in zip(basket.lines, basket.counted, strict=True):
        now = change.order if change else order
        target = _index_of(now, line.item, line.options)
        if target is None:
            continue
        part = line.quantity if was_counted and line.quantity < now[target].quantity else None
        dropped = _drop(now, target, part)
        change = replace(dropped, touched=(change.touched if change else ()) + dropped.touched)
    return change


def _drop(order: Order, target: int, part: int | None) -> Change:
    line = order[target]
    if part is None:
        return Change("removed", (*order[:target], *order[target + 1 :]), (line,))
    left = replace(line, quantity=line.quantity - part)
    kept = (*order[:target], *order[target + 1 :], left)
    return Change("removed", kept, (replace(line, quantity=part),))


def _remove_options(order: Order, basket: Basket) -> Change | None:
    unwanted = set(basket.options)
    for target in reversed(range(len(order))):
        line = order[target]
        if unwanted & set(line.options):
            kept = tuple(option for option in line.options if option not in unwanted)
            return _changed(order, target, replace(line, options=kept))
    return None


def _index_of(order: Order, item: str, options: Sequence[tuple[str, str]] = ()) -> int | None:
    """Find the latest line of an item, one with these options if there is."""
    same = [index for index, line in enumerate(order) if line.item == item]
    fitting = [index for index in same if set(options) <= set(order[index].options)]
    candidates = fitting or same
    return candidates[-1] if candidates else None


def _merge(menu: Menu, lines: Sequence[Line]) -> Order:
    """Join equal lines."""
    merged: dict[tuple[str, tuple[tuple[str, str], ...]], Line] = {}
    for line in lines:
        key = (line.item, line.options)
        old = merged.pop(key, None)
        quantity = min(line.quantity + (old.quantity if old else 0), menu.max_quantity)
        merged[key] = replace(line, quantity=quantity)
    return tuple(merged.values())
