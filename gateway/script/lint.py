"""Faults that only show when the parts of a script are seen together."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from gateway.script.model import END, Flow, Intent, Script, Slot, Step
from gateway.script.speech import PLACE

Loc = tuple[str | int, ...]
Fault = tuple[Loc, str]


def faults(script: Script) -> list[Fault]:
    """Find names that lead nowhere, what is never reached, templates with unknown places."""
    return [
        *_main(script),
        *(
            fault
            for name, intent in script.intents.items()
            for fault in _intent(script, name, intent)
        ),
        *(fault for name, slot in script.slots.items() for fault in _slot(script, name, slot)),
        *(fault for name in script.menus for fault in _menu(script, name)),
        *(fault for name, flow in script.flows.items() for fault in _flow(script, name, flow)),
        *_shadowed(script),
        *_unreached(script),
    ]


def _unknown(kind: str, name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f'no {kind} "{name}"' + (f' (did you mean "{near[0]}"?)' if near else "")


def _main(script: Script) -> Iterator[Fault]:
    for key in ("give_up", "done"):
        name = getattr(script.main, key)
        if name and name not in script.flows:
            yield ("main", key), _unknown("flow", name, script.flows)
    for key in ("greeting", "again", "silence", "welcome", "cancelled", "tool_failed"):
        yield from _template(script, ("main", key), getattr(script.main, key), set())


def _intent(script: Script, name: str, intent: Intent) -> Iterator[Fault]:
    loc: Loc = ("intents", name)
    if intent.flow and intent.flow not in script.flows:
        yield (*loc, "flow"), _unknown("flow", intent.flow, script.flows)
    for slot in intent.mentions:
        if slot not in script.slots:
            yield (*loc, "mentions"), _unknown("slot", slot, script.slots)
    yield from _template(script, (*loc, "say"), intent.say, _saved(script))


def _slot(script: Script, name: str, slot: Slot) -> Iterator[Fault]:
    loc: Loc = ("slots", name)
    if slot.menu and slot.menu not in script.menus:
        yield (*loc, "menu"), _unknown("menu", slot.menu, script.menus)
    if slot.on_fail and slot.on_fail not in {*script.flows, END}:
        yield (*loc, "on_fail"), _unknown("flow", slot.on_fail, script.flows)
    known = _saved(script)
    for key in ("ask", "read_back", "silence", "go_on", "more", "nothing"):
        yield from _template(script, (*loc, key), getattr(slot, key), known)
    for key in ("added", "changed", "removed"):
        yield from _template(script, (*loc, key), getattr(slot, key), {*known, "change"})
    for index, text in enumerate(slot.reprompts):
        yield from _template(script, (*loc, "reprompts", index), text, known)


def _menu(script: Script, name: str) -> Iterator[Fault]:
    menu = script.menus[name]
    loc: Loc = ("menus", name)
    for item in menu.plurals:
        if item not in menu.items:
            yield (*loc, "plurals", item), _unknown("item", item, menu.items)
    for group, option in menu.options.items():
        here: Loc = (*loc, "options", group)
        for item in (*option.items, *option.unasked):
            if item not in menu.items:
                yield (*here, "items"), _unknown("item", item, menu.items)
        if option.default and option.default not in option.values:
            yield (*here, "default"), _unknown("value", option.default, option.values)
        yield from _template(script, (*here, "ask"), option.ask, {"item"})


def _flow(script: Script, name: str, flow: Flow) -> Iterator[Fault]:
    for index, step in enumerate(flow.steps):
        loc: Loc = ("flows", name, "steps", index)
        if step.ask and step.ask not in script.slots:
            yield (*loc, "ask"), _unknown("slot", step.ask, script.slots)
        for key in ("start", "on_error", "otherwise"):
            target = getattr(step, key)
            if target and target not in {*script.flows, END}:
                yield (*loc, key), _unknown("flow", target, script.flows)
        yield from _step_templates(script, loc, step)


def _step_templates(script: Script, loc: Loc, step: Step) -> Iterator[Fault]:
    known = _saved(script)
    for key in ("say", "confirm", "change", "failed"):
        yield from _template(script, (*loc, key), getattr(step, key), known)
    for arg, template in step.args.items():
        yield from _template(script, (*loc, "args", arg), template, known)
    for path in step.when:
        name = path.partition(".")[0]
        if name not in {*script.slots, *known}:
            yield (*loc, "when"), _unknown("slot or result", name, {*script.slots, *known})


def _saved(script: Script) -> set[str]:
    return {step.save for flow in script.flows.values() for step in flow.steps if step.save}


def _template(script: Script, loc: Loc, text: str, extra: set[str]) -> Iterator[Fault]:
    known = {*script.slots, *extra}
    for place in PLACE.finditer(text):
        if place.group(1) not in known:
            yield loc, _unknown("slot or result", place.group(1), known)
    if "{" in PLACE.sub("", text) or "}" in PLACE.sub("", text):
        yield loc, "a brace that is no {slot}, {result.field} or {slot:digits}"


def _shadowed(script: Script) -> Iterator[Fault]:
    """Find phrases and keys that an earlier intent already has: they would never be reached."""
    owners: dict[str, str] = {}
    for name, intent in script.intents.items():
        claims = [*intent.phrases, *([intent.key] if intent.key else [])]
        taken = {claim: owners[claim.lower()] for claim in claims if claim.lower() in owners}
        for claim, owner in taken.items():
            yield ("intents", name), f'"{claim}" already means "{owner}"'
        owners |= {claim.lower(): name for claim in claims if claim not in taken}


def _unreached(script: Script) -> Iterator[Fault]:
    targets = {script.main.give_up, script.main.done}
    targets |= {intent.flow for intent in script.intents.values()}
    targets |= {slot.on_fail for slot in script.slots.values()}
    for flow in script.flows.values():
        for step in flow.steps:
            targets |= {step.start, step.on_error, step.otherwise}
    for name in script.flows:
        if name not in targets:
            yield ("flows", name), "no intent or step starts this flow"
