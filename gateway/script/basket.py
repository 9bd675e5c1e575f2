"""A sentence -> the items, counts and options it names.  Corrections are in `order`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.script.model import Form, Menu
from gateway.script.numbers import HOMOPHONES, count
from gateway.script.state import Line
from gateway.script.words import starts, tokens

# "a lot of sugar" is sugar, and its "a" counts nothing.
_AMOUNT = re.compile(
    r"\b(?:a lot of|lots of|a (?:little )?bit of|a little|a splash of|a dash of|a touch of|some|"
    r"(?:that|this|the|last|first|second|other) 1)\b"
)
_AND = frozenset({"and", "plus", "also", "then"})


@dataclass(frozen=True, slots=True)
class Symbol:
    """One meaningful piece of a sentence about an order."""

    kind: str
    """item, option, count, and, comma or word."""
    value: str = ""
    group: str = ""
    number: int = 0
    is_plural: bool = False
    is_doubtful: bool = False
    """A count that may as well be the word "to" or "for"."""


@dataclass(frozen=True, slots=True)
class Basket:
    """What a sentence names."""

    lines: tuple[Line, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    """Options without an item."""
    quantity: int | None = None
    """A count without an item."""
    counted: tuple[bool, ...] = ()
    """For each line, whether its count was said."""


def symbols(menu: Menu, text: str) -> tuple[Symbol, ...]:
    """Read the pieces of a sentence, longest phrases first."""
    heard = tuple(_AMOUNT.sub(" ", " ".join(tokens(text))).split())
    found = tuple(_scan(menu.forms, heard))
    return tuple(piece for at, piece in enumerate(found) if not _is_idle(found, at))


def read(menu: Menu, text: str) -> Basket:
    """Read the order lines of a sentence: "two large lattes and a tea with milk"."""
    return assemble(menu, symbols(menu, text))


def _scan(forms: Sequence[Form], heard: tuple[str, ...]) -> Iterator[Symbol]:
    index = 0
    while index < len(heard):
        form = next((form for form in forms if starts(form.words, heard, index)), None)
        if form:
            index += len(form.words)
            last = heard[index - 1]
            is_plural = last != form.words[-1] and last.endswith("s")
            yield Symbol(form.kind, form.value, form.group, is_plural=is_plural)
        else:
            piece, used = _other(heard, index)
            yield piece
            index += used


def _other(heard: tuple[str, ...], index: int) -> tuple[Symbol, int]:
    word = heard[index]
    if word == ",":
        return Symbol("comma"), 1
    if word in _AND:
        return Symbol("and", word), 1
    number, used = count(heard, index)
    if used:
        return Symbol("count", word, number=number), used
    if word in HOMOPHONES:
        return Symbol("count", word, number=int(HOMOPHONES[word]), is_doubtful=True), 1
    return Symbol("word", word), 1


def _is_idle(found: Sequence[Symbol], at: int) -> bool:
    """Return whether a homophone is no count: only before a plural ("to lattes") it is one."""
    if not found[at].is_doubtful:
        return False
    following = next((piece for piece in found[at + 1 :] if piece.kind != "option"), None)
    return following is None or following.kind != "item" or not following.is_plural


@dataclass(slots=True)
class _Bundle:
    """Count and options that wait for their item."""

    quantity: int | None
    options: list[tuple[str, str]]


class _Assembly:
    """Puts symbols together to lines, in one pass."""

    def __init__(self, menu: Menu) -> None:
        self.lines: list[Line] = []
        self.counted: list[bool] = []
        self.waiting = _Bundle(None, [])
        self.orphans: list[_Bundle] = []
        self._menu = menu
        self._last = -1

    def take(self, piece: Symbol) -> None:
        if piece.kind == "count":
            if self.waiting.options and self.waiting.quantity is not None:
                self._set_aside()
            self.waiting.quantity = piece.number
        elif piece.kind == "option":
            self.waiting.options.append((piece.group, piece.value))
        elif piece.kind == "item":
            self._add(piece.value)
        elif piece.kind in {"and", "comma"}:
            self._boundary(is_weak=piece.kind == "comma")

    def finish(self) -> Basket:
        left = [*self.orphans, self.waiting]
        if self.lines:
            for bundle in left:
                self._attach(bundle)
            self._count_behind()
            return Basket(tuple(self.lines), counted=tuple(self.counted))
        options = dict(option for bundle in left for option in bundle.options)
        return Basket((), tuple(options.items()), self.waiting.quantity)

    def _count_behind(self) -> None:
        """Accept a count that follows its item: "make the lattes four"."""
        number = self.waiting.quantity
        if number and not self.waiting.options and not self.counted[self._last]:
            line = self.lines[self._last]
            self.lines[self._last] = replace(line, quantity=min(number, self._menu.max_quantity))
            self.counted[self._last] = True

    def _set_aside(self) -> None:
        if self.lines and self.lines[self._last].quantity > (self.waiting.quantity or 0):
            self._attach(self.waiting)
        else:
            self.orphans.append(self.waiting)
        self.waiting = _Bundle(None, [])

    def _boundary(self, *, is_weak: bool) -> None:
        if not self.waiting.options:
            return
        if self.waiting.quantity is not None:
            if not is_weak or self.lines:
                self._set_aside()
        elif self.lines:
            self._attach(self.waiting)
            self.waiting = _Bundle(None, [])

    def _add(self, item: str) -> None:
        bundle = self.waiting
        for orphan in self.orphans:
            if orphan.quantity is not None and bundle.quantity is not None:
                self._append(item, orphan)
            else:
                bundle.options = orphan.options + bundle.options
                bundle.quantity = bundle.quantity or orphan.quantity
        self._append(item, bundle)
        self.waiting, self.orphans = _Bundle(None, []), []

    def _append(self, item: str, bundle: _Bundle) -> None:
        quantity = min(1 if bundle.quantity is None else bundle.quantity, self._menu.max_quantity)
        if quantity:
            line = with_options(self._menu, Line(item, quantity), bundle.options)
            self.lines.append(line)
            self.counted.append(bundle.quantity is not None)
            self._last = len(self.lines) - 1

    def _attach(self, bundle: _Bundle) -> None:
        """Apply options to the last line, or to a part of it ("two teas, one with milk")."""
        if not bundle.options:
            return
        line = self.lines[self._last]
        part = bundle.quantity or line.quantity
        if part < line.quantity:
            self.lines[self._last] = replace(line, quantity=line.quantity - part)
            self.lines.append(
                with_options(self._menu, replace(line, quantity=part), bundle.options)
            )
            self.counted.append(True)
        else:
            self.lines[self._last] = with_options(self._menu, line, bundle.options)


def assemble(menu: Menu, pieces: Sequence[Symbol]) -> Basket:
    """Put symbols together to order lines."""
    assembly = _Assembly(menu)
    for piece in pieces:
        assembly.take(piece)
    return assembly.finish()


def with_options(menu: Menu, line: Line, options: Sequence[tuple[str, str]]) -> Line:
    """Set options of a line, those that its item can have, in the menu's order."""
    chosen = {**dict(line.options), **dict(options)}
    fitting = tuple(
        (group, chosen[group])
        for group, option in menu.options.items()
        if group in chosen and option.fits(line.item)
    )
    return replace(line, options=fitting)
