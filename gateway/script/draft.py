"""The reply in the making: the one mutable thing of a step, dropped when the step is done."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from gateway.providers.contracts import Expect, ToolCall
from gateway.script.model import Menu, Script, Slot, Step
from gateway.script.order import change_order
from gateway.script.slots import extract
from gateway.script.speech import PLACE, fill
from gateway.script.state import Frame, Order, Phase, State, Value


class Draft:
    """Collects what is said and how the state changes."""

    def __init__(self, script: Script, state: State, tools: Collection[str] | None) -> None:
        self.script = script
        self.state = state
        self.said: list[str] = []
        self.call: ToolCall | None = None
        self.expect: Expect | None = None
        """Set as soon as the reply waits for the caller."""
        self._tools = tools

    def has_tool(self, name: str) -> bool:
        """Return whether a tool can be called; all can when none were listed."""
        return self._tools is None or name in self._tools

    def say(self, template: str, **extra: str) -> None:
        """Add to the reply, filled with values."""
        if text := fill(self.script, self.state, template, extra):
            self.said.append(text[:1].upper() + text[1:])

    def wait(self, expect: Expect) -> None:
        """End the reply: the caller's turn."""
        self.expect = expect

    @property
    def frame(self) -> Frame:
        """The flow that has the floor."""
        return self.state.frames[-1]

    @property
    def step(self) -> Step:
        """The step it stands at."""
        return self.script.flows[self.frame.flow].steps[self.frame.step]

    @property
    def slot(self) -> Slot:
        """The slot that this step asks for."""
        return self.script.slots[self.step.ask]

    def menu(self, slot: str) -> Menu:
        """The menu of an `items` slot."""
        return self.script.menus[self.script.slots[slot].menu]

    def order(self, slot: str) -> Order:
        """The value of an `items` slot."""
        value = self.state.slot(slot)
        return value if isinstance(value, tuple) else ()

    def stay(
        self,
        phase: Phase | None,
        *,
        step: int | None = None,
        tries: int = 0,
        tries_before: int = 0,
        partial: str = "",
    ) -> None:
        """Put the present flow to a step and what it waits for there."""
        at = self.frame.step if step is None else step
        frame = Frame(self.frame.flow, at, phase, tries, tries_before, partial)
        self.state = replace(self.state, frames=(*self.state.frames[:-1], frame))

    def advance(self) -> None:
        """Go to the next step."""
        self.stay(None, step=self.frame.step + 1)

    def leave(self) -> None:
        """End the present flow."""
        self.state = replace(self.state, frames=self.state.frames[:-1])

    def leave_all(self) -> None:
        """End all flows."""
        self.state = replace(self.state, frames=())

    def enter(self, flow: str, text: str = "") -> None:
        """Start a flow on top, with what the caller's sentence already tells."""
        names = [step.ask for step in self.script.flows[flow].steps if step.ask]
        self.clear(name for name in names if not self.script.slots[name].keep)
        self.state = replace(self.state, frames=(*self.state.frames, Frame(flow)))
        for name in names:
            slot = self.script.slots[name]
            if text and slot.is_ahead and (value := self.find(name, text, is_asked=False)):
                self.set(name, value)

    def find(self, name: str, text: str, *, is_asked: bool = True) -> Value | None:
        """Find a value for a slot in a sentence; for `items`, a fresh order."""
        slot = self.script.slots[name]
        if slot.type != "items":
            return extract(slot, text, is_asked=is_asked)
        change = change_order(self.menu(name), (), text)
        return change.order if change and change.kind == "added" else None

    def set(self, name: str, value: Value) -> None:
        """Fill a slot, or change it: it must then be confirmed anew."""
        self.clear([name])
        self.state = replace(self.state, slots=(*self.state.slots, (name, value)))

    def clear(self, names: Iterable[str]) -> None:
        """Empty slots."""
        gone = set(names)
        self.state = replace(
            self.state,
            slots=tuple(pair for pair in self.state.slots if pair[0] not in gone),
            confirmed=tuple(name for name in self.state.confirmed if name not in gone),
        )

    def confirm(self, name: str) -> None:
        """Note that the caller confirmed a slot's value."""
        self.state = replace(self.state, confirmed=(*self.state.confirmed, name))

    def label(self, name: str) -> str:
        """How callers name a slot."""
        return self.script.slots[name].label or name.replace("_", " ")

    def named_slots(self, template: str) -> list[str]:
        """Return which slots a template speaks of, in order."""
        names = [place.group(1) for place in PLACE.finditer(template)]
        return [name for name in dict.fromkeys(names) if name in self.script.slots]
