"""Running a flow: step after step until the caller or a tool has to answer."""

from __future__ import annotations

from dataclasses import replace

from gateway.providers.contracts import Expect, ExpectKind, ToolCall
from gateway.script.draft import Draft
from gateway.script.model import END, Slot, Step
from gateway.script.slots import digits_wanted
from gateway.script.speech import arguments, fill, lookup, say_order
from gateway.script.state import Line, Order, PendingTool

_MOST_STEPS = 100
"""Steps of one reply: a script whose flows start each other for ever must not hang a call."""
ENDING_TOOLS = frozenset({"hang_up", "transfer_call"})
_KINDS: dict[str, ExpectKind] = {
    "time": "time",
    "quantity": "quantity",
    "name": "name",
    "spelling": "spelling",
    "email": "email",
}
"""What recognition and endpointing should expect for a slot type; "free" for the rest."""
YES_NO = Expect("yes_no", ("yes", "no"))


def run(draft: Draft) -> None:
    """Run until the reply waits for the caller or a tool, or no flow is left."""
    for _ in range(_MOST_STEPS):
        if draft.call or draft.expect:
            return
        if not draft.state.frames:
            break
        if draft.frame.step >= len(draft.script.flows[draft.frame.flow].steps):
            draft.leave()
        elif draft.frame.phase is not None:
            put_question(draft)
        else:
            _run_step(draft)
    else:
        draft.leave_all()
    if not (draft.call or draft.expect):
        offer_more(draft)


def offer_more(draft: Draft) -> None:
    """Ask whether there is anything else: no flow is running."""
    draft.state = replace(draft.state, offered=True, tries=0)
    draft.say(draft.script.main.again)
    draft.wait(Expect(reprompt=draft.script.main.silence))


def _run_step(draft: Draft) -> None:
    step = draft.step
    if not all(_holds(draft, name, wanted) for name, wanted in step.when.items()):
        draft.advance()
    elif step.call:
        _call(draft, step)
    elif step.ask:
        _ask(draft, step)
    elif step.confirm:
        draft.say(step.say)
        draft.stay("confirm")
    else:
        draft.say(step.say)
        go_to(draft, step.start) if step.start else draft.advance()


def _holds(draft: Draft, path: str, wanted: str) -> bool:
    name, dot, rest = path.partition(".")
    value = lookup(draft.script, draft.state, name, dot + rest)
    if wanted in {"", "*"}:
        return (value not in (None, "", [])) == (wanted == "*")
    plain = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    return plain.lower() == wanted.lower()


def go_to(draft: Draft, flow: str) -> None:
    """Leave the present flow for another one, or for what waits below it."""
    draft.leave()
    if flow != END and flow not in {frame.flow for frame in draft.state.frames}:
        draft.enter(flow)


def give_up(draft: Draft, flow: str) -> None:
    """Start the flow for hopeless cases; if even that one fails, say goodbye."""
    running = {frame.flow for frame in draft.state.frames}
    target = flow or draft.script.main.give_up
    if target == END:
        draft.leave()
        return
    if target in running:
        target = draft.script.main.done
    draft.leave_all()
    if target and target not in running:
        draft.enter(target)


def _call(draft: Draft, step: Step) -> None:
    if draft.has_tool(step.call) or step.call == "hang_up":
        draft.say(step.say)
    if draft.has_tool(step.call):
        call_tool(draft, step)
    elif step.call == "hang_up":
        end(draft)
    else:
        fail_call(draft)


def call_tool(draft: Draft, step: Step) -> None:
    """Call a step's tool; nothing more is said before."""
    call_id = f"call_{draft.state.turn}_{step.call}"
    args = arguments(draft.script, draft.state, step.args)
    draft.call = ToolCall(call_id, step.call, args, is_followed=step.call in ENDING_TOOLS)
    draft.state = replace(draft.state, pending=PendingTool(call_id, step.call))


def end(draft: Draft) -> None:
    """Say nothing more: the call is over, or should be."""
    draft.leave_all()
    draft.wait(Expect())


def fail_call(draft: Draft) -> None:
    """Speak that a tool failed and go on as the step says."""
    step = draft.step
    draft.say(step.failed or draft.script.main.tool_failed)
    go_to(draft, step.on_error or END)


def _ask(draft: Draft, step: Step) -> None:
    slot, value = draft.slot, draft.state.slot(step.ask)
    if slot.type == "items":
        draft.say(step.say)
        if order := draft.order(step.ask):
            draft.say(slot.added, change=say_order(draft.menu(step.ask), order))
            ask_more(draft)
        else:
            draft.stay("ask")
    elif value is None:
        draft.say(step.say)
        draft.stay("ask")
    elif slot.read_back and step.ask not in draft.state.confirmed:
        draft.stay("read_back")
    else:
        draft.advance()


def ask_more(draft: Draft) -> None:
    """After a change of an order: ask for what is missing, else whether there is more."""
    missing = missing_option(draft, draft.step.ask)
    draft.stay("option" if missing else "more")


def missing_option(draft: Draft, slot: str) -> tuple[int, str] | None:
    """Find the first order line that lacks an option that is asked for.

    Returns:
        The line's index and the option's group.
    """
    for index, line in enumerate(draft.order(slot)):
        for group, option in draft.menu(slot).options.items():
            if option.is_asked(line.item) and not line.option(group):
                return index, group
    return None


def put_question(draft: Draft) -> None:
    """Say the present question, or its re-prompt, and wait."""
    text, expect, extra = _question(draft)
    silence = fill(draft.script, draft.state, expect.reprompt or text, extra)
    draft.say(text, **extra)
    draft.wait(replace(expect, reprompt=silence))


def _question(draft: Draft) -> tuple[str, Expect, dict[str, str]]:
    step, phase = draft.step, draft.frame.phase
    tries = draft.frame.tries - draft.frame.tries_before
    yes_or_no = draft.script.main.yes_or_no
    if phase == "confirm":
        return _nth(step.confirm, yes_or_no, tries), replace(YES_NO, reprompt=step.confirm), {}
    if phase == "which":
        labels = tuple(draft.label(name) for name in draft.named_slots(step.confirm))
        return step.change, Expect("choice", labels) if len(labels) > 1 else Expect(), {}
    slot = draft.slot
    if phase == "read_back":
        return _nth(slot.read_back, yes_or_no, tries), replace(YES_NO, reprompt=slot.read_back), {}
    if phase == "more":
        return (
            _nth(slot.more, slot.reprompts, tries),
            Expect(reprompt=slot.silence or slot.more),
            {},
        )
    if phase == "option" and (missing := missing_option(draft, step.ask)):
        return _option_question(draft, *missing)
    return _slot_question(slot, tries, draft.frame.partial)


def _nth(first: str, later: tuple[str, ...], tries: int) -> str:
    return later[min(tries, len(later)) - 1] if tries and later else first


def _option_question(draft: Draft, index: int, group: str) -> tuple[str, Expect, dict[str, str]]:
    menu, line = draft.menu(draft.step.ask), draft.order(draft.step.ask)[index]
    option = menu.options[group]
    noun = say_order(menu, (Line(line.item, line.quantity),))
    item = noun.split(" ", 1)[1]
    return option.ask, Expect("choice", tuple(option.values)), {"item": item}


def _slot_question(slot: Slot, tries: int, partial: str) -> tuple[str, Expect, dict[str, str]]:
    text = slot.go_on if partial else _nth(slot.ask, slot.reprompts, tries)
    silence = slot.silence or slot.ask
    if slot.type == "choice":
        return text, Expect("choice", tuple(slot.choices), reprompt=silence), {}
    if slot.type == "yes_no":
        return text, replace(YES_NO, reprompt=silence), {}
    if slot.type in {"digits", "phone_number"}:
        wanted = digits_wanted(slot)
        left = wanted[0] - len(partial) if len(wanted) == 1 else None
        return text, Expect(slot.type, digits=left, reprompt=silence), {}
    return text, Expect(_KINDS.get(slot.type, "free"), reprompt=silence), {}


def tell_change(draft: Draft, kind: str, touched: Order) -> None:
    """Speak the change of the order."""
    slot = draft.slot
    template = {"added": slot.added, "changed": slot.changed, "removed": slot.removed}[kind]
    draft.say(template, change=say_order(draft.menu(draft.step.ask), touched))
