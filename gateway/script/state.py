"""What a dialogue remembers between two turns: immutable, comparable, picklable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gateway.providers.contracts import Expect


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order."""

    item: str
    quantity: int = 1
    options: tuple[tuple[str, str], ...] = ()
    """(group, value), in the order of the menu's groups."""

    def option(self, group: str) -> str:
        """Return the value of an option group, empty when it has none."""
        return dict(self.options).get(group, "")


Order = tuple[Line, ...]
Value = str | Order
"""A slot's value in canonical form: digits, "HH:MM", "yes"/"no", a count, a choice, free text."""

Phase = Literal["ask", "read_back", "more", "option", "confirm", "which"]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a flow stands."""

    flow: str
    step: int = 0
    phase: Phase | None = None
    """None = the step is about to run; else what it waits for."""
    tries: int = 0
    """Answers that were not understood, or were refused when they were read back."""
    tries_before: int = 0
    """How many of them came before the present question."""
    partial: str = ""
    """Digits heard so far of a number that comes in pieces."""


@dataclass(frozen=True, slots=True)
class PendingTool:
    """A tool call that was asked for and not yet answered."""

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class State:
    """All that a dialogue remembers."""

    frames: tuple[Frame, ...] = ()
    """Running flows; the last one has the floor."""
    slots: tuple[tuple[str, Value], ...] = ()
    confirmed: tuple[str, ...] = ()
    """Slots that the caller confirmed when they were read back."""
    results: tuple[tuple[str, str], ...] = ()
    """Saved tool results: name, JSON text."""
    pending: PendingTool | None = None
    turn: int = 0
    """Messages taken so far; makes tool call ids unique."""
    tries: int = 0
    """Turns outside of flows that were not understood."""
    offered: bool = False
    """The last thing said was "anything else?"."""
    said: str = ""
    """The last reply, for "say that again"."""
    expect: Expect = field(default_factory=Expect)
    """What the last reply expects."""
    is_repeated: bool = False
    """The last reply has put the same question again: it was heard before."""
    explain: str = ""
    """Why the last message was understood as it was; for logs."""

    def slot(self, name: str) -> Value | None:
        """Return a slot's value, None while it is open."""
        return dict(self.slots).get(name)
