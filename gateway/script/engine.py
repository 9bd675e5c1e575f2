"""One step of a dialogue: (script, state, message) -> (reply, new state).  Pure."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

from gateway.providers.contracts import (
    Expect,
    Message,
    TextDelta,
    ToolCall,
    ToolResult,
    UserMessage,
)
from gateway.script.answers import retry, take, take_yes_or_no
from gateway.script.draft import Draft
from gateway.script.flow import ENDING_TOOLS, end, fail_call, give_up, offer_more, run
from gateway.script.interruptions import before_question, is_change_of_mind, over_call
from gateway.script.keys import take_keys
from gateway.script.match import Match, best_intent
from gateway.script.model import Intent, Script
from gateway.script.order_answers import take_done
from gateway.script.slots import is_stop, key_of, only_yes_or_no
from gateway.script.state import State

Event = TextDelta | ToolCall | Expect
_NEARLY_EXACT = 0.97
_OPEN_TYPES = frozenset({"text", "name", "spelling", "email"})
"""Slots whose answers may hold any word."""


def step(
    script: Script,
    state: State | None,
    message: Message | None,
    tools: Collection[str] | None = None,
) -> tuple[tuple[Event, ...], State]:
    """Accept one message and reply.

    Args:
        script: what to talk about.
        state: what the last step returned; None at first.
        message: what the caller said or a tool returned; None = the call has been answered.
        tools: names of the tools that can be called; None = all.

    Returns:
        The reply (its text if any, then a tool call or what is expected next) and the new state.
    """
    before = state or State()
    draft = Draft(script, replace(before, turn=before.turn + 1, explain=""), tools)
    if message is None:
        draft.say(script.main.greeting)
        draft.wait(Expect(reprompt=script.main.silence))
    elif isinstance(message, ToolResult):
        _take_result(draft, message)
    elif isinstance(message, UserMessage):
        _hear(draft, _newest(message))
    else:
        draft.wait(before.expect)
    run(draft)
    return _finish(draft, before)


def _newest(message: UserMessage) -> UserMessage:
    """Leave out what was answered before."""
    return replace(message, text=message.news or message.text)


def _finish(draft: Draft, before: State) -> tuple[tuple[Event, ...], State]:
    text = " ".join(draft.said)
    events: list[Event] = [TextDelta(text)] if text else []
    if draft.call:
        return (*events, draft.call), replace(draft.state, said=text or before.said)
    expect = draft.expect or before.expect
    is_repeated = bool(before.turn) and _question_of(draft.state) == _question_of(before)
    new = replace(draft.state, said=text or before.said, expect=expect, is_repeated=is_repeated)
    return (*events, expect), new


def _question_of(state: State) -> object:
    """Return which question a reply ends with."""
    if not state.frames:
        return state.offered
    frame = state.frames[-1]
    return len(state.frames), frame.flow, frame.step, frame.phase


def _take_result(draft: Draft, result: ToolResult) -> None:
    pending = draft.state.pending
    if pending is None or pending.call_id != result.call_id or not draft.state.frames:
        draft.wait(draft.state.expect)  # a late result of something given up
        return
    if result.is_undone:  # what has cut it off is heard next
        draft.wait(draft.state.expect)
        return
    draft.state = replace(draft.state, pending=None, explain=f"result of {pending.name}")
    if result.is_error:
        fail_call(draft)
    elif pending.name in ENDING_TOOLS:
        end(draft)
    else:
        if name := draft.step.save:
            kept = tuple(pair for pair in draft.state.results if pair[0] != name)
            saved = (name, _json_text(result.content))
            draft.state = replace(draft.state, results=(*kept, saved))
        draft.advance()


def _json_text(content: str) -> str:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return json.dumps(content)
    return content


def _hear(draft: Draft, message: UserMessage) -> None:
    is_late = message.is_answer or draft.state.is_repeated  # its question was heard
    if draft.state.pending:
        _hear_over_call(draft, message)
    elif not draft.state.frames:
        _hear_outside(draft, message if is_late else replace(message, is_answer=False))
    elif message.typed or key_of(message.text):
        _take_keys(draft, message)
    elif is_late:
        _hear_in_flow(draft, message)
    else:
        _hear_before_question(draft, message)


def _hear_over_call(draft: Draft, message: UserMessage) -> None:
    match = None if message.typed else _match(draft, message.text)
    if match is not None and is_change_of_mind(draft.script, match):
        draft.state = replace(draft.state, pending=None)
        if draft.step.call in ENDING_TOOLS:
            draft.leave()
        _follow(draft, match, message)
    else:
        is_dropped = over_call(draft, message)
        _explain(draft, "over an announcement: " + ("stop" if is_dropped else "it goes on"))


def _hear_before_question(draft: Draft, message: UserMessage) -> None:
    match = _match(draft, message.text)
    if match and match.score >= _first_bar(draft):
        _follow(draft, match, message)
    elif before_question(draft, message):
        _explain(draft, "said before the question was heard")
    elif match and match.score >= draft.script.main.interrupt_threshold:
        _follow(draft, match, message)
    else:
        _explain(draft, "said before the question was heard: it is put again")


def _take_keys(draft: Draft, message: UserMessage) -> None:
    """Accept keys, or a spoken digit: the question goes first, then the intents."""
    keys = message.text if message.typed else key_of(message.text)
    taken = take_keys(draft, replace(message, text=keys))
    if taken == "taken":
        _explain(draft, f"keys {keys}")
        return
    match = _match(draft, keys) if taken == "outwards" else None
    if match is not None and match.score >= draft.script.main.interrupt_threshold:
        _follow(draft, match, message)
    elif message.typed or taken == "refused":
        _explain(draft, f"keys {keys}: not understood")
        retry(draft)
    else:
        _hear_in_flow(draft, message)


def _hear_in_flow(draft: Draft, message: UserMessage) -> None:
    main = draft.script.main
    match = _match(draft, message.text)
    if take_done(draft, message.text) or take_yes_or_no(draft, message, is_strict=True):
        _explain(draft, "answer: done, yes or no")
    elif match and match.score >= _first_bar(draft):
        _follow(draft, match, message)
    elif take(draft, message):
        _explain(draft, "answer")
    elif match and match.score >= main.interrupt_threshold:
        _follow(draft, match, message)
    elif take_yes_or_no(draft, message, is_strict=False):
        _explain(draft, "answer yes or no, with more")
    else:
        _explain(draft, f"not understood; nearest: {match}")
        retry(draft)


def _first_bar(draft: Draft) -> float:
    """Score from which an intent goes before an answer to the present question."""
    frame, asked = draft.frame, draft.step.ask
    is_open = frame.phase == "ask" and draft.script.slots[asked].type in _OPEN_TYPES
    return _NEARLY_EXACT if is_open else 0.9


def _hear_outside(draft: Draft, message: UserMessage) -> None:
    main, said, before = draft.script.main, only_yes_or_no(message.text), draft.state
    draft.state = replace(before, tries=0, offered=False)
    match = _match(draft, message.text)
    if (match is None or match.score < main.threshold) and message.choice:
        match = _match(draft, message.choice) or match
    was_asked = before.offered and message.is_answer
    if match and match.score >= main.threshold and not (was_asked and said):
        _follow(draft, match, message)
    elif not message.is_answer and (said or is_stop(message.text)):
        _explain(draft, "broke off")
        draft.say(main.welcome)
        draft.wait(Expect(reprompt=main.silence))
    elif before.offered and said == "no" and main.done:
        _explain(draft, "nothing else")
        draft.enter(main.done)
    elif before.offered and said:
        draft.say(main.welcome)
        draft.wait(Expect(reprompt=main.silence))
    else:
        _explain(draft, f"not understood; nearest: {match}")
        _unknown(draft, before.tries)


def _unknown(draft: Draft, tries: int) -> None:
    main = draft.script.main
    if tries >= len(main.unknown):
        give_up(draft, "")
        return
    labels = tuple(intent.label for intent in draft.script.intents.values() if intent.label)
    draft.state = replace(draft.state, tries=tries + 1)
    draft.say(main.unknown[tries])
    draft.wait(Expect("choice" if labels else "free", labels, reprompt=main.silence))


def _match(draft: Draft, text: str) -> Match | None:
    running = {frame.flow for frame in draft.state.frames}
    intents = {
        name: intent for name, intent in draft.script.intents.items() if _is_open(intent, running)
    }
    asked = {name for intent in intents.values() for name in intent.mentions}
    mentioned = frozenset(name for name in asked if draft.find(name, text, is_asked=False))
    return best_intent(intents, text, mentioned)


def _is_open(intent: Intent, running: set[str]) -> bool:
    return not running or (intent.inside != "ignore" and intent.flow not in running)


def _follow(draft: Draft, match: Match, message: UserMessage) -> None:
    intent, main = draft.script.intents[match.intent], draft.script.main
    _explain(draft, f"intent {match}")
    if intent.action == "repeat":
        draft.say(_literal(draft.state.said or main.greeting))
        draft.wait(draft.state.expect)
        return
    if intent.action == "cancel":
        draft.say(main.cancelled)
        draft.leave_all()
    elif intent.action == "restart":
        _restart(draft)
    else:
        if intent.inside == "leave":
            draft.leave_all()
        if intent.flow:
            is_key = message.typed or key_of(message.text)  # it is no value for the flow's slots
            draft.enter(intent.flow, "" if is_key else message.text)
        else:
            _answer(draft, intent.say)


def _literal(text: str) -> str:
    """Keep braces that were spoken text from being read as places of a template."""
    return text.replace("{", " ")


def _restart(draft: Draft) -> None:
    if draft.state.frames:
        first = draft.state.frames[0].flow
        draft.leave_all()
        draft.enter(first)
    else:
        draft.say(draft.script.main.welcome)
        draft.wait(Expect(reprompt=draft.script.main.silence))


def _answer(draft: Draft, text: str) -> None:
    draft.say(text)
    if draft.state.frames:
        return
    if text.rstrip().endswith("?"):
        draft.wait(Expect(reprompt=draft.script.main.silence))
    else:
        offer_more(draft)


def _explain(draft: Draft, text: str) -> None:
    draft.state = replace(draft.state, explain=text)
