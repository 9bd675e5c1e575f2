"""What a script file may hold: intents, slots, menus, flows.  Pure data; see docs/script.md."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.script.words import tokens

Text = Annotated[str, Field(min_length=1)]
Key = Annotated[str, Field(pattern=r"^[0-9*#]$")]
SlotType = Literal[
    "digits",
    "phone_number",
    "time",
    "yes_no",
    "quantity",
    "choice",
    "name",
    "spelling",
    "email",
    "text",
    "items",
]
END = "end"
"""Flow name that means: leave this flow."""


class Part(BaseModel):
    """A table of a script: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Main(Part):
    """`[main]`: what is said outside of any flow."""

    greeting: Text
    again: Text = "Is there anything else I can do for you?"
    """Said when a flow has ended."""
    unknown: tuple[Text, ...] = ("Sorry, I did not get that.",)
    """Said one after the other while nothing is understood; then `give_up` starts."""
    silence: str = ""
    """For a caller who says nothing; empty = the agent's own words."""
    give_up: str = ""
    """Flow that starts when `unknown`, or the tries of a slot, are used up."""
    done: str = ""
    """Flow that starts when the caller wants nothing else."""
    welcome: Text = "Sure. What can I do for you?"
    """Said to a bare yes after `again`."""
    cancelled: Text = "All right, I cancelled that."
    tool_failed: Text = "I am sorry, that did not work."
    yes_or_no: tuple[Text, ...] = (
        "Sorry, was that a yes or a no?",
        "Please say yes or no, or press 1 for yes and 2 for no.",
    )
    """Said while the answer to a yes/no question is not understood."""
    yes_key: Key = "1"
    """Telephone key that means yes where a yes/no question was put."""
    no_key: Key = "2"
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Least score of an intent outside of flows."""
    interrupt_threshold: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Least score of an intent while a flow waits for an answer."""

    @model_validator(mode="after")
    def _two_keys(self) -> Main:
        if self.yes_key == self.no_key:
            raise ValueError("yes_key and no_key are the same")
        return self


class Intent(Part):
    """`[intents.NAME]`: something callers want, how they say it, and what happens then."""

    phrases: tuple[Text, ...] = ()
    """Whole sentences; near misses count."""
    keywords: tuple[Text, ...] = ()
    """Words or short phrases of which one is enough."""
    all: tuple[Text, ...] = ()
    """Every one of these must be there."""
    any: tuple[Text, ...] = ()
    """At least one of these must be there."""
    none: tuple[Text, ...] = ()
    """None of these may be there."""
    mentions: tuple[str, ...] = ()
    """Slots: a value for one of them in the sentence means this intent."""
    label: str = ""
    """How the spoken menu names it; recognition expects it after `unknown`."""
    key: Key | None = None
    """Telephone key that means it."""
    inside: Literal["return", "leave", "ignore"] = "return"
    """In the middle of a flow: answer and return to it, leave it, or do not listen for this."""
    say: str = ""
    flow: str = ""
    action: Literal["", "repeat", "cancel", "restart"] = ""

    @model_validator(mode="after")
    def _one_outcome(self) -> Intent:
        if sum(map(bool, (self.say, self.flow, self.action))) != 1:
            raise ValueError("give exactly one of say, flow and action")
        if not (self.phrases or self.keywords or self.all or self.any or self.mentions or self.key):
            raise ValueError(
                "nothing can reach it: give phrases, keywords, all, any, mentions or key"
            )
        return self


class Slot(Part):
    """`[slots.NAME]`: one thing to learn from the caller."""

    type: SlotType
    ask: Text
    reprompts: tuple[Text, ...] = ()
    """Said one after the other while the answer is not understood; empty = `ask` again."""
    silence: str = ""
    """For a caller who says nothing; empty = `ask`."""
    max_tries: Annotated[int, Field(ge=1, le=10)] = 3
    """Answers that may fail before `on_fail`."""
    on_fail: str = ""
    """Flow that then starts (or `end`); empty = main.give_up."""
    read_back: str = ""
    """Yes/no question that repeats the value, e.g. "I have {phone}. Is that right?"."""
    label: str = ""
    """How callers name it in "change the ..."; empty = the slot's name."""
    ahead: bool | None = None
    """Fill it from the sentence that starts the flow; default: see `is_ahead`."""
    keep: bool = False
    """Keep the value when its flow starts anew (the caller's name, say)."""
    min_digits: Annotated[int, Field(ge=1)] = 1
    """Types digits and phone_number."""
    max_digits: Annotated[int, Field(ge=1)] = 20
    go_on: Text = "Go on."
    """Said when only a part of the digits has come."""
    min: int = 1
    """Type quantity."""
    max: int = 99
    choices: dict[str, tuple[str, ...]] = {}
    """Type choice: value = other ways to say it."""
    keys: dict[Key, str] = {}
    """Types choice and yes_no: telephone key = value."""
    menu: str = ""
    """Type items: the `[menus.NAME]` to order from."""
    more: str = "Anything else?"
    """Type items: asked after each change."""
    added: Text = "Okay, {change}."
    changed: Text = "Okay, I changed that to {change}."
    removed: Text = "Okay, I removed {change}."
    nothing: Text = "You have not ordered anything yet."
    """Type items: said when the caller is done with an empty list."""

    @model_validator(mode="after")
    def _fits_type(self) -> Slot:
        if (self.type == "choice") != bool(self.choices):
            raise ValueError("choices belong to type choice, which needs them")
        if (self.type == "items") != bool(self.menu):
            raise ValueError("menu belongs to type items, which needs it")
        if self.min_digits > self.max_digits or self.min > self.max:
            raise ValueError("the minimum is above the maximum")
        answers = ("yes", "no") if self.type == "yes_no" else self.choices
        if unknown := [value for value in self.keys.values() if value not in answers]:
            raise ValueError(f"keys name no choice: {', '.join(unknown)}")
        return self

    @property
    def is_ahead(self) -> bool:
        """Whether the sentence that starts a flow may already hold it."""
        asked_only = {"name", "spelling", "email", "text", "yes_no"}
        return self.type not in asked_only if self.ahead is None else self.ahead


class Option(Part):
    """`[menus.NAME.options.GROUP]`: something an item can be had with."""

    values: dict[str, tuple[str, ...]]
    """Value = other ways to say it."""
    ask: str = ""
    """Asked where it was not said, e.g. "What size for the {item}?"; empty = not asked."""
    default: str = ""
    """Taken when the answer is not understood."""
    place: Literal["before", "with"] = "before"
    """Read back before the item's name ("a large tea") or after it ("a tea with milk")."""
    items: tuple[str, ...] = ()
    """Only for these items; empty = all."""
    unasked: tuple[str, ...] = ()
    """Items that may have it, but for which it is not asked."""

    def fits(self, item: str) -> bool:
        """Return whether an item can have it."""
        return not self.items or item in self.items

    def is_asked(self, item: str) -> bool:
        """Return whether it has to be asked for where it was not said."""
        return bool(self.ask) and self.fits(item) and item not in self.unasked


class Form(NamedTuple):
    """One way to say an item or an option."""

    words: tuple[str, ...]
    kind: Literal["item", "option"]
    value: str
    group: str = ""


class Menu(Part):
    """`[menus.NAME]`: what can be ordered."""

    items: dict[str, tuple[str, ...]]
    """Item = other ways to say it; plurals are understood."""
    plurals: dict[str, str] = {}
    """Spoken plurals that are not formed with s or es."""
    options: dict[str, Option] = {}
    max_quantity: Annotated[int, Field(ge=1)] = 50

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        """All that callers may say for items and options, longest first."""
        forms = [
            Form(tokens(form), "item", item)
            for item, more in self.items.items()
            for form in (item, *more, *filter(None, [self.plurals.get(item)]))
        ]
        forms += [
            Form(tokens(form), "option", value, group)
            for group, option in self.options.items()
            for value, more in option.values.items()
            for form in (value, *more)
        ]
        return tuple(sorted((form for form in forms if form.words), key=lambda f: -len(f.words)))


class Step(Part):
    """`[[flows.NAME.steps]]`: exactly one of `ask`, `confirm`, `call`, `start`, or only `say`."""

    say: str = ""
    """Spoken; before a `call` it covers the wait."""
    ask: str = ""
    """Slot to fill, skipped when it is filled."""
    confirm: str = ""
    """Yes/no question; a correction in the answer is applied and asked again."""
    otherwise: str = ""
    """After a no: flow to go to, or `end`; empty = ask what to change."""
    change: Text = "What should I change?"
    call: str = ""
    """Function tool."""
    args: dict[str, str] = {}
    """Its arguments; "{slot}" alone passes the value as it is."""
    save: str = ""
    """Name under which templates find the tool's result."""
    failed: str = ""
    """Spoken when the tool fails or is missing; empty = main.tool_failed."""
    on_error: str = ""
    """Flow to go to then; empty = `end`."""
    start: str = ""
    """Flow to go to; `end` leaves this one."""
    when: dict[str, str] = {}
    """Only if each named value equals this; "*" = any value, "" = none."""

    @model_validator(mode="after")
    def _one_kind(self) -> Step:
        kinds = sum(map(bool, (self.ask, self.confirm, self.call, self.start)))
        if kinds > 1 or not (kinds or self.say):
            raise ValueError("give exactly one of ask, confirm, call and start, or say alone")
        return self


class Flow(Part):
    """`[flows.NAME]`: steps, one after the other."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1)]


class Script(Part):
    """A whole file."""

    main: Main
    intents: dict[str, Intent] = {}
    slots: dict[str, Slot] = {}
    menus: dict[str, Menu] = {}
    flows: dict[str, Flow] = {}
