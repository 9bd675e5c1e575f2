"""Rules of the engine, each on the smallest script that shows it."""

from __future__ import annotations

import pytest

from gateway.providers.contracts import Expect, TextDelta, ToolCall, ToolResult, UserMessage
from gateway.script.engine import step
from tests.support.dialogue import Dialogue, script_of

TABLE = script_of("""
    [main]
    greeting = "Bistro, hello."
    again = "What else?"
    unknown = ["What was that?"]
    give_up = "sorry"
    done = "bye"

    [intents.book]
    phrases = ["book a table"]
    flow = "book"

    [intents.hours]
    phrases = ["when do you open"]
    say = "At nine."

    [intents.music]
    phrases = ["play music"]
    inside = "ignore"
    say = "La la la."

    [intents.complain]
    phrases = ["I want to complain"]
    inside = "leave"
    say = "We are sorry."

    [intents.pin]
    phrases = ["enter my pin"]
    flow = "pin"

    [slots.people]
    type = "quantity"
    ask = "For how many?"
    reprompts = ["How many people?", "Please say a number."]
    max = 8
    label = "people"

    [slots.at]
    type = "time"
    ask = "At what time?"
    label = "time"

    [slots.pin]
    type = "digits"
    ask = "Your pin?"
    min_digits = 4
    max_digits = 4
    max_tries = 2
    on_fail = "end"

    [[flows.book.steps]]
    ask = "people"
    [[flows.book.steps]]
    ask = "at"
    [[flows.book.steps]]
    confirm = "A table for {people} at {at}?"
    [[flows.book.steps]]
    call = "book"
    args = { people = "{people}", at = "{at}", note = "for {people}" }
    save = "table"
    [[flows.book.steps]]
    say = "You have table {table}."

    [[flows.pin.steps]]
    ask = "pin"
    [[flows.pin.steps]]
    say = "Thank you."

    [[flows.sorry.steps]]
    say = "I give up."

    [[flows.bye.steps]]
    say = "Bye."
    call = "hang_up"
""")


def talk(*lines: str) -> list[str]:
    call = Dialogue(TABLE, {"book": lambda people, at, note: people + 10})
    return [call.say(line) for line in lines]


def test_slots_are_taken_from_the_first_sentence_and_the_rest_is_asked() -> None:
    assert talk("book a table", "four", "half past seven", "yes") == [
        "For how many?",
        "At what time?",
        "A table for four at seven thirty in the evening?",
        "You have table fourteen. What else?",
    ]
    assert talk("book a table for two at eight pm")[0] == (
        "A table for two at eight in the evening?"
    )


def test_arguments_keep_their_type() -> None:
    call = Dialogue(TABLE, {"book": lambda people, at, note: 1})
    for line in ("book a table for two at eight pm", "yes"):
        call.say(line)
    assert call.calls == [("book", {"people": 2, "at": "20:00", "note": "for 2"})]


@pytest.mark.parametrize(
    ("correction", "answer"),
    [
        ("no, for three", "A table for three at eight in the evening?"),
        ("no, at nine pm", "A table for two at nine in the evening?"),
        ("change the time", "At what time?"),
        ("no", "What should I change?"),
    ],
)
def test_a_confirmation_can_be_corrected(correction: str, answer: str) -> None:
    assert talk("book a table for two at eight pm", correction)[1] == answer


def test_an_earlier_answer_can_be_corrected_in_mid_flow() -> None:
    call = Dialogue(TABLE)
    call.say("book a table")
    call.say("two")
    assert call.say("sorry, I meant three people") == "At what time?"
    assert call.say("noon") == "A table for three at noon?"


def test_reprompts_escalate_and_then_it_gives_up() -> None:
    assert talk("book a table", "blue", "green", "red") == [
        "For how many?", "How many people?", "Please say a number.", "I give up. What else?",
    ]  # fmt: skip


def test_an_answer_out_of_range_is_not_taken() -> None:
    assert talk("book a table", "twelve")[1] == "How many people?"


def test_on_fail_end_leaves_the_flow() -> None:
    assert talk("enter my pin", "apple", "pear")[1:] == ["Your pin?", "What else?"]


def test_digits_may_come_in_pieces_and_from_keys() -> None:
    call = Dialogue(TABLE)
    call.say("enter my pin")
    assert call.expect == Expect("digits", digits=4, reprompt="Your pin?")
    assert call.say("1") == "Go on."
    assert call.expect.digits == 3
    assert call.say("two three") == "Go on."
    assert call.say("for") == "Thank you. What else?"


def test_intents_in_the_middle_of_a_flow() -> None:
    assert talk("book a table", "when do you open")[1] == "At nine. For how many?"
    assert talk("book a table", "play music")[1] == "How many people?"
    assert talk("book a table", "I want to complain", "three")[1:] == [
        "We are sorry. What else?", "What was that?",
    ]  # fmt: skip


def test_yes_after_the_offer_asks_what_and_no_ends_the_call() -> None:
    assert talk("when do you open", "yes please") == [
        "At nine. What else?", "Sure. What can I do for you?",
    ]  # fmt: skip
    assert talk("when do you open", "no thanks")[1] == "Bye."


def test_a_bare_no_that_nobody_asked_for_is_not_understood() -> None:
    assert talk("no")[0] == "What was that?"


def test_words_over_a_tool_that_was_dropped_are_answered_and_it_is_called_again() -> None:
    call = Dialogue(TABLE, {"book": lambda people, at, note: 1})
    call.say("book a table for two at eight pm")
    events, waiting = step(TABLE, call.state, UserMessage("yes"))
    assert isinstance(events[-1], ToolCall)
    again, after = step(TABLE, waiting, UserMessage("when do you open"))
    assert again[0] == TextDelta("At nine.")
    assert isinstance(again[-1], ToolCall)
    assert again[-1].name == "book"
    late, same = step(TABLE, after, ToolResult(events[-1].id, "book", "1"))
    assert [type(event) for event in late] == [Expect]
    assert same.pending == after.pending


def test_a_result_that_is_no_json_is_text() -> None:
    call = Dialogue(TABLE)
    call.say("book a table for two at eight pm")
    events, state = step(TABLE, call.state, UserMessage("yes"))
    assert isinstance(events[-1], ToolCall)
    events, _ = step(TABLE, state, ToolResult(events[-1].id, "book", "by the window"))
    assert events[0] == TextDelta("You have table by the window. What else?")


def test_braces_that_a_caller_or_a_tool_says_are_no_places() -> None:
    call = Dialogue(TABLE, {"book": lambda people, at, note: "{people} {nothing}"})
    call.say("book a table for two at eight pm")
    assert call.say("yes") == "You have table {people} {nothing}. What else?"


def test_flows_that_start_each_other_for_ever_end() -> None:
    script = script_of("""
        [main]
        greeting = "Hi."
        again = "What else?"
        [intents.go]
        phrases = ["go round"]
        flow = "ping"
        [[flows.ping.steps]]
        start = "pong"
        [[flows.pong.steps]]
        start = "ping"
    """)
    assert Dialogue(script).say("go round") == "What else?"


def test_it_explains_itself() -> None:
    call = Dialogue(TABLE)
    call.say("when do you open today")
    assert call.state is not None
    assert call.state.explain.startswith("intent hours 0.9")
    assert "when do you open" in call.state.explain


ACCOUNT = script_of("""
    [main]
    greeting = "Hello."
    again = "What else?"
    give_up = "sorry"

    [intents.account]
    phrases = ["open an account"]
    flow = "account"

    [intents.hotel]
    phrases = ["is there a hotel", "hotel"]
    say = "There is one."

    [slots.surname]
    type = "spelling"
    ask = "Please spell your surname."
    reprompts = ["Letter by letter, please."]
    read_back = "I have {surname}. Right?"
    label = "surname"

    [slots.mail]
    type = "email"
    ask = "Your e-mail address?"
    label = "e-mail"

    [[flows.account.steps]]
    ask = "surname"
    [[flows.account.steps]]
    ask = "mail"
    [[flows.account.steps]]
    confirm = "{surname}, {mail}. Is that right?"
    [[flows.account.steps]]
    call = "open_account"
    args = { surname = "{surname}", mail = "{mail}" }
    [[flows.sorry.steps]]
    say = "I give up."
""")


def test_spelled_names_and_addresses_from_the_question_to_the_tool() -> None:
    talk = Dialogue(ACCOUNT, {"open_account": lambda surname, mail: 1})
    assert talk.say("open an account") == "Please spell your surname."
    assert talk.expect == Expect("spelling", reprompt="Please spell your surname.")
    assert talk.say("Smith") == "Letter by letter, please."
    assert talk.say("Is there a hotel?") == "There is one. Letter by letter, please."
    assert talk.say("S M I T T") == "I have S, M, I, T, T. Right?"
    assert talk.expect.kind == "yes_no"
    assert talk.say("No, S M I T H") == "I have S, M, I, T, H. Right?"
    assert talk.say("yes") == "Your e-mail address?"
    assert talk.expect.kind == "email"
    confirm = "S, M, I, T, H, john dot smith at example dot com. Is that right?"
    assert talk.say("john dot smith at example dot com") == confirm
    changed = confirm.replace("john dot smith", "jo")
    assert talk.say("No, it's jo at example dot com") == changed
    assert talk.say("yes") == "What else?"
    assert talk.calls == [("open_account", {"surname": "SMITH", "mail": "jo@example.com"})]


def test_a_code_word_is_an_answer_before_it_is_an_intent() -> None:
    talk = Dialogue(ACCOUNT)
    talk.say("open an account")
    assert talk.say("Hotel, Alpha, Lima, Lima.") == "I have H, A, L, L. Right?"


def test_an_earlier_address_is_corrected_in_passing() -> None:
    talk = Dialogue(ACCOUNT)
    talk.say("open an account")
    talk.say("L E E")
    talk.say("yes")
    talk.say("jo at example dot com")
    assert talk.say("the e-mail is wrong") == "Your e-mail address?"
    assert talk.say("j lee at example dot com").startswith("L, E, E, jlee at example dot com.")
