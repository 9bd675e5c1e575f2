"""Values and templates -> the words that are spoken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from gateway.script.clock import say_time
from gateway.script.email_address import say_email
from gateway.script.model import Menu, Script
from gateway.script.numbers import say_digits, say_number
from gateway.script.spelling import say_spelled
from gateway.script.state import Line, Order, State, Value

PLACE = re.compile(r"\{([A-Za-z_][\w-]*)((?:\.[\w-]+)*)(?::(digits|number|plain))?\}")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
_PIECE_WORDS = 3


def sentences(text: str) -> list[str]:
    """Split a text after ".", "?" and "!"."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


def pieces(text: str) -> Iterator[str]:
    """Cut a reply into groups of a few words; joined they are the text again."""
    parts = re.findall(r"\S+\s*", text)
    for at in range(0, len(parts), _PIECE_WORDS):
        yield "".join(parts[at : at + _PIECE_WORDS])


def join_spoken(parts: Iterable[str]) -> str:
    """List things: "a tea", "a tea and a latte", "a tea, a latte and a mocha"."""
    listed = list(parts)
    return " and ".join(filter(None, [", ".join(listed[:-1]), *listed[-1:]]))


def say_order(menu: Menu, lines: Order) -> str:
    """Read an order back: "two large lattes with oat milk and a tea"."""
    return join_spoken(_say_line(menu, line) for line in lines) or "nothing"


def _say_line(menu: Menu, line: Line) -> str:
    before = [v for group, v in line.options if menu.options[group].place == "before"]
    behind = [v for group, v in line.options if menu.options[group].place == "with"]
    noun = line.item if line.quantity == 1 else menu.plurals.get(line.item, _plural(line.item))
    words = " ".join([*before, noun])
    count = (
        ("an" if words[:1].lower() in "aeiou" else "a")
        if line.quantity == 1
        else say_number(line.quantity)
    )
    return f"{count} {words}" + (f" with {join_spoken(behind)}" if behind else "")


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def say_value(script: Script, name: str, value: Value) -> str:
    """Speak a slot's value in the way of its type."""
    slot = script.slots[name]
    if isinstance(value, tuple):
        return say_order(script.menus[slot.menu], value)
    if slot.type in {"digits", "phone_number"}:
        return say_digits(value)
    if slot.type == "quantity":
        return say_number(int(value))
    plain = {"time": say_time, "spelling": say_spelled, "email": say_email}
    return plain[slot.type](value) if slot.type in plain else value


def raw_value(script: Script, name: str, value: Value) -> object:
    """Return a slot's value as a tool gets it: counts as int, orders as objects, else text."""
    if isinstance(value, tuple):
        return [{**asdict(line), "options": dict(line.options)} for line in value]
    slot_type = script.slots[name].type
    if slot_type == "yes_no":
        return value == "yes"
    return int(value) if slot_type == "quantity" else value


def lookup(script: Script, state: State, name: str, path: str) -> object:
    """Find what `{name.path}` stands for, as a tool gets it; None when it is not there (yet)."""
    value = state.slot(name)
    if value is not None:
        found: object = raw_value(script, name, value)
    else:
        found = json.loads(dict(state.results).get(name, "null"))
    for key in path.split(".")[1:]:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def fill(script: Script, state: State, template: str, extra: Mapping[str, str]) -> str:
    """Fill a template with spoken values; `extra` are texts that only this template knows."""

    def spoken(place: re.Match[str]) -> str:
        name, path, style = place.group(1), place.group(2), place.group(3)
        if name in extra:
            return extra[name]
        value = state.slot(name)
        if value is not None and not path and not style:
            return say_value(script, name, value)
        return _say(lookup(script, state, name, path), style or "number")

    return " ".join(PLACE.sub(spoken, template).split())


def _say(value: object, style: str) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return join_spoken(_say(part, style) for part in value)
    if isinstance(value, dict):
        return join_spoken(_say(part, style) for part in value.values())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if style == "digits":
        return say_digits(str(value))
    return say_number(value) if isinstance(value, int) and style == "number" else str(value)


def arguments(script: Script, state: State, args: Mapping[str, str]) -> str:
    """Build a tool's JSON arguments; an open slot alone is left out."""
    filled: dict[str, object] = {}
    for name, template in args.items():
        alone = PLACE.fullmatch(template)
        if alone:
            value = lookup(script, state, alone.group(1), alone.group(2))
            if value is not None:
                filled[name] = value
        else:
            filled[name] = PLACE.sub(
                lambda place: str(lookup(script, state, place[1], place[2]) or ""), template
            )
    return json.dumps(filled, ensure_ascii=False)


def fixed_texts(script: Script) -> tuple[str, ...]:
    """List what is always said in the same words: whole replies, greeting first; sentences."""
    texts = [text for text in _all_texts(script) if text]
    whole = [text for text in texts if "{" not in text]
    single = [part for text in texts for part in sentences(text) if "{" not in part]
    return tuple(dict.fromkeys([*whole, *single]))


def _all_texts(script: Script) -> Iterator[str]:
    main = script.main
    yield from (main.greeting, main.again, *main.unknown, main.silence, main.welcome)
    yield from (main.cancelled, main.tool_failed, *main.yes_or_no)
    for intent in script.intents.values():
        yield intent.say
    for flow in script.flows.values():
        for step in flow.steps:
            yield from (step.say, step.confirm, step.failed)
            yield step.change if step.confirm and not step.otherwise else ""
    for slot in script.slots.values():
        yield from (slot.ask, *slot.reprompts, slot.silence, slot.read_back)
        yield slot.go_on if slot.type in {"digits", "phone_number"} else ""
        yield from (slot.more, slot.nothing) if slot.type == "items" else ()
