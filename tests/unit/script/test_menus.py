"""Who takes a key or a word: the innermost question, what is about to be done, or the intents."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.providers.contracts import Expect, TextDelta, ToolCall, ToolResult, UserMessage
from gateway.script.engine import step
from gateway.script.loader import FRONT_DESK, load_script
from tests.support.dialogue import script_of
from tests.support.menus import BILLING

IVR = script_of(
    """
    [main]
    greeting = "Hello."
    again = "What else?"
    unknown = ["What was that?", "I still did not get it."]
    give_up = "operator"
    done = "bye"
    cancelled = "Cancelled."
    welcome = "What can I do?"
"""
    + BILLING
    + """
    [intents.hours]
    key = "3"
    phrases = ["when do you open"]
    say = "At nine."

    [intents.operator]
    key = "0"
    phrases = ["talk to a person"]
    inside = "leave"
    flow = "operator"

    [intents.repeat]
    key = "#"
    phrases = ["say that again"]
    action = "repeat"

    [intents.never_mind]
    phrases = ["never mind"]
    action = "cancel"

    [intents.account]
    key = "4"
    phrases = ["my account"]
    flow = "account"

    [intents.note]
    key = "5"
    phrases = ["leave a note"]
    flow = "note"

    [intents.size]
    key = "6"
    phrases = ["how many"]
    flow = "size"

    [slots.sure]
    type = "yes_no"
    ask = "Are you a customer?"

    [slots.text]
    type = "text"
    ask = "Your note?"
    reprompts = ["Please say it."]

    [slots.count]
    type = "quantity"
    ask = "How many?"

    [[flows.billing.steps]]
    ask = "sure"
    [[flows.billing.steps]]
    say = "{kind}, customer {sure}."

    [[flows.account.steps]]
    ask = "account"
    [[flows.account.steps]]
    say = "Account {account}."

    [[flows.note.steps]]
    ask = "text"
    [[flows.note.steps]]
    confirm = "Your note: {text} Shall I send it?"
    otherwise = "end"
    [[flows.note.steps]]
    call = "mail"
    args = { text = "{text}" }

    [[flows.size.steps]]
    ask = "count"
    [[flows.size.steps]]
    say = "You said {count}."

    [[flows.operator.steps]]
    say = "I will connect you."
    call = "transfer_call"
    args = { target = "operator" }
    failed = "Nobody answers. Please leave a note."
    on_error = "note"

    [[flows.bye.steps]]
    say = "Goodbye."
    call = "hang_up"
"""
)


def typed(keys: str) -> UserMessage:
    """`12.` = typed until a pause, `12` = to the end."""
    return UserMessage(keys.rstrip("."), typed="paused" if keys.endswith(".") else "ended")


def cut(text: str) -> UserMessage:
    """Words that cut the bot off before its question was heard."""
    return UserMessage(text, is_answer=False)


RESULTS = {"undone": (True, True), "busy": (True, False), "done": (False, False)}


def message_of(said, state):
    """Make a message: a result of the pending call, keys, or words."""
    if said in RESULTS:
        return ToolResult(state.pending.call_id, state.pending.name, "{}", *RESULTS[said])
    if not isinstance(said, str):
        return said
    return typed(said) if said[0] in "0123456789*#" else UserMessage(said)


def talk(*said, script=IVR):
    """Give the last reply: its text, and the tool that it calls."""
    events, state = step(script, None, None)
    for each in said:
        events, state = step(script, state, message_of(each, state))
    text = next((e.text for e in events if isinstance(e, TextDelta)), "")
    called = next((e.name for e in events if isinstance(e, ToolCall)), "")
    return text, called


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        # a menu within a menu has its own keys
        (["1"], "Invoice or refund?"),
        (["1", "2"], "Are you a customer?"),
        (["1", "1"], "Are you a customer?"),
        (["1", "two"], "Are you a customer?"),  # press it or say it
        (["1", UserMessage("2.")], "Are you a customer?"),
        # a digit that it has not is wrong, whatever the outer menu has
        (["1", "3"], "One for an invoice, two for a refund."),
        (["1", "9"], "One for an invoice, two for a refund."),
        (["1", "12"], "One for an invoice, two for a refund."),
        # 0, * and # are the script's
        (["1", "0"], "I will connect you."),
        (["1", "#"], "Invoice or refund?"),
        # yes and no have keys
        (["1", "2", "1"], "Refund, customer yes. What else?"),
        (["1", "2", "2"], "Refund, customer no. What else?"),
        (["1", "2", "3"], "Are you a customer?"),
        (["5", "call me", "1"], ""),
        (["5", "call me", "2"], "What else?"),
        (["5", "call me", "0"], "I will connect you."),
        # a number ended too early is no part of the next one
        (["4", "1002"], "Six digits, please."),
        (["4", "1002", "123456"], "Account one two three, four five six. What else?"),
        (["4", "1002.", "34"], "Account one zero zero, two three four. What else?"),
        (["4", "1002."], "Go on."),
        (["4", "1002.", "12."], "Account one zero zero, two one two. What else?"),
        (["4", "1002.", "123456"], "Account one two three, four five six. What else?"),
        (["4", "1002.", "123"], "Six digits, please."),
        (["4", "1234567"], "Six digits, please."),
        (["4", "*"], "Six digits, please."),
        # keys are no text; they are what the outer menu says, or wrong
        (["5", "7"], "Please say it."),
        (["5", "77"], "Please say it."),
        (["5", "0"], "I will connect you."),
        (["5", "3"], "At nine. Your note?"),
        # a count takes digits
        (["6", "3"], "You said three. What else?"),
        (["6", "#"], "How many?"),
        # outside of everything the intents have them
        (["3"], "At nine. What else?"),
        (["7"], "What was that?"),
        (["3", "1"], "Invoice or refund?"),
    ],
)
def test_keys(messages, text):
    assert talk(*messages)[0] == text


@pytest.mark.parametrize(
    ("over", "text", "called"),
    [
        # over "I will connect you": a nod, a key, a word of thanks change nothing
        ("1", "", "transfer_call"),
        ("okay", "", "transfer_call"),
        ("thank you", "", "transfer_call"),
        ("blue bananas", "", "transfer_call"),
        ("say that again", "", "transfer_call"),
        # who does not want it says so
        ("no", "Cancelled. What else?", ""),
        ("wait", "Cancelled. What else?", ""),
        ("no, hold on please", "Cancelled. What else?", ""),
        ("never mind", "Cancelled. What else?", ""),
        # or wants something else
        ("when do you open", "At nine. What else?", ""),
        ("billing", "Invoice or refund?", ""),
    ],
)
def test_over_the_announcement_of_a_transfer(over, text, called):
    assert talk("0", "undone", over) == (text, called)
    assert talk("0", over) == (text, called)  # also where nothing was said of the call


def test_words_over_an_announcement_are_never_an_answer_to_what_follows():
    assert talk("0", "undone", "okay", "done")[0] == ""  # nothing to say: it is done


def test_a_transfer_that_fails_is_answered_by_the_script():
    assert talk("0", "busy") == ("Nobody answers. Please leave a note. Your note?", "")


@pytest.mark.parametrize("over", ["thank you", "1", "bye bye", "okay goodbye"])
def test_over_a_goodbye_it_is_hung_up(over):
    assert talk("3", "no", "undone", over)[1] == "hang_up"


@pytest.mark.parametrize("over", ["wait", "no", "hold on"])
def test_who_says_wait_over_a_goodbye_is_not_hung_up(over):
    assert talk("3", "no", "undone", over) == ("Cancelled. What else?", "")


@pytest.mark.parametrize(
    ("messages", "text", "called"),
    [
        # "anything else?" was not heard: no is no answer to it
        (["3", cut("No.")], "What can I do?", ""),
        (["3", cut("Stop.")], "What can I do?", ""),
        (["3", cut("No, wait.")], "What can I do?", ""),
        (["3", cut("Yes.")], "What can I do?", ""),
        (["3", cut("billing")], "Invoice or refund?", ""),
        (["3", cut("blue bananas")], "What was that?", ""),
        (["3", "no"], "Goodbye.", "hang_up"),
        # what follows is an answer again
        (["3", cut("No."), "no"], "What was that?", ""),
        # in a flow the question is put again; it costs no try
        (["1", cut("Stop.")], "Invoice or refund?", ""),
        (["1", cut("No.")], "Invoice or refund?", ""),
        (["1", "2", cut("No.")], "Are you a customer?", ""),
        (["1", "2", cut("Yes.")], "Are you a customer?", ""),
        (["1", cut("a refund please")], "Are you a customer?", ""),  # surely meant for it
        (["1", cut("talk to a person")], "I will connect you.", "transfer_call"),
        # interrupting words are not the message
        (["5", cut("hold on")], "Your note?", ""),
        (["5", cut("it is about my bike")], "Your note?", ""),
        # a yes to what was not heard does nothing, a no does
        (["5", "call me", cut("yes")], "Your note: call me Shall I send it?", ""),
        (["5", "call me", cut("no")], "What else?", ""),
        # a question that was put before has been heard
        (["1", "2", "perhaps", cut("Yes.")], "Refund, customer yes. What else?", ""),
        (["3", "hm", cut("no")], "What can I do?", ""),
        # keys are typed ahead
        (["1", replace(typed("2"), is_answer=False)], "Are you a customer?", ""),
    ],
)
def test_before_the_question_was_heard(messages, text, called):
    assert talk(*messages) == (text, called)


@pytest.mark.parametrize("word", ["No.", "Stop.", "no thanks", "Wait.", "Nope."])
def test_the_front_desk_does_not_hang_up_on_who_breaks_off_a_reply(word):
    desk = load_script(FRONT_DESK)
    said, called = talk("what are your opening hours", cut(word), script=desk)
    assert (said, called) == ("Sure. What can I do for you?", "")


def test_only_what_is_new_is_heard():
    joined = UserMessage("1 2", typed="ended", news="2")
    assert talk("1", joined)[0] == "Are you a customer?"


def test_what_a_question_expects_from_the_keys():
    _, state = step(IVR, None, None)
    expected = []
    for message in ("4", "1002."):
        events, state = step(IVR, state, typed(message))
        expected += [e.digits for e in events if isinstance(e, Expect)]
    assert expected == [6, 2]


SAID = ("1", "2", "3", "0", "4", "5", "#", "*", "123456", "no", "yes", "stop", "hm", "7",
        "talk to a person", "never mind", "say that again", "call me", *RESULTS)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SAID), st.booleans()), max_size=10))
def test_any_order_of_keys_words_and_results_has_a_reply(turns):
    _, state = step(IVR, None, None)
    for said, is_heard in turns:
        if said in RESULTS and state.pending is None:
            continue
        message = message_of(said, state)
        if isinstance(message, UserMessage) and not message.typed:
            message = replace(message, is_answer=is_heard)
        events, state = step(IVR, state, message)
        assert isinstance(events[-1], Expect | ToolCall)
