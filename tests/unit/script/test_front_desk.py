"""The example that callers meet when nothing is configured: whole dialogues."""

from __future__ import annotations

import pytest

from gateway.providers.contracts import Expect
from gateway.script.examples import front_desk_tools as tools
from gateway.script.loader import FRONT_DESK, load_script
from tests.support.dialogue import Dialogue

SCRIPT = load_script(FRONT_DESK)
LABELS = ("opening hours", "order drinks", "leave a message", "talk to a person")
AGAIN = "Is there anything else I can do for you?"
UNKNOWN = (
    "Sorry, I did not get that. "
    "You can ask for our opening hours, order drinks, or leave a message."
)
PLACED = f"Thank you. Your order number is seven. It will be ready in nine minutes. {AGAIN}"


@pytest.fixture
def call() -> Dialogue:
    fakes = {
        "opening_hours": tools.opening_hours,
        "take_message": lambda name, phone, text: {"number": 1},
        "place_order": lambda items: {"number": 7, "minutes": 9},
    }
    return Dialogue(SCRIPT, fakes)


DIALOGUES = {
    "opening hours of a day": [
        ("Are you open on Sunday?", f"We are closed on Sunday. {AGAIN}"),
        ("and saturday? when do you open", f"We are open from eight to four on Saturday. {AGAIN}"),
        ("No, thank you.", "Thank you for calling. Goodbye!"),
    ],
    "opening hours in general": [
        (
            "What are your opening hours?",
            "We are open from seven to six on weekdays, and from eight to four on Saturday. "
            f"On Sunday we are closed. {AGAIN}",
        ),
    ],
    "order with a correction": [
        (
            "I'd like two large lattes and a tea, please.",
            "Two large lattes and a tea, got it. What size tea: small, medium or large?",
        ),
        ("small", "Anything else?"),
        (
            "Actually, make that three lattes.",
            "Okay, now it is three large lattes. Anything else?",
        ),
        (
            "That's all.",
            "So that is a small tea and three large lattes. Shall I place the order?",
        ),
        (
            "no, a mocha instead of the tea",
            "So that is three large lattes and a small mocha. Shall I place the order?",
        ),
        ("Yes, please.", PLACED),
    ],
    "question in the middle of an order": [
        ("I want to order", "What would you like to drink?"),
        ("a cappuccino", "A cappuccino, got it. What size cappuccino: small, medium or large?"),
        (
            "are you open tomorrow on saturday",
            "We are open from eight to four on Saturday. "
            "What size cappuccino: small, medium or large?",
        ),
        ("large", "Anything else?"),
        ("where are you?", "We are at twelve Market Street, next to the station. Anything else?"),
        ("no", "So that is a large cappuccino. Shall I place the order?"),
        ("yeah", PLACED),
    ],
    "order that is cancelled": [
        ("two espressos", "Two espressos, got it. Anything else?"),
        ("cancel my order", f"All right, I cancelled that. {AGAIN}"),
        ("goodbye", "Thank you for calling. Goodbye!"),
    ],
    "change after the confirmation": [
        ("an espresso", "An espresso, got it. Anything else?"),
        ("no thanks", "So that is an espresso. Shall I place the order?"),
        ("No.", "What should I change?"),
        ("make it two", "So that is two espressos. Shall I place the order?"),
        ("correct", PLACED),
    ],
    "message": [
        ("Can I leave a message?", "Sure. What is your name?"),
        ("This is Anna Lee.", "Thank you, Anna Lee. What number can we call you back on?"),
        ("five five five", "Go on."),
        ("oh one nine eight", "I have five five five, zero one nine eight. Is that right?"),
        ("No, it's 555-0199.", "I have five five five, zero one nine nine. Is that right?"),
        (
            "Sorry, my name is Anna Leigh, not Lee.",
            "I have five five five, zero one nine nine. Is that right?",
        ),
        ("That's right.", "And what is your message?"),
        (
            "The cake is ready.",
            "A message from Anna Leigh at five five five, zero one nine nine: The cake is ready. "
            "Shall I pass it on?",
        ),
        ("no", "What should I change: the name, the number, or the message?"),
        ("the name", "Sure. What is your name?"),
        (
            "Hanna Lee",
            "A message from Hanna Lee at five five five, zero one nine nine: The cake is ready. "
            "Shall I pass it on?",
        ),
        ("yes", f"Thank you. I will pass your message on. {AGAIN}"),
    ],
    "not understood, then a person": [
        (
            "colourless green ideas",
            "Sorry, I did not get that. You can ask for our opening hours, order drinks, or leave "
            "a message.",
        ),
        (
            "sleep furiously",
            "I still did not understand. Please say opening hours, order drinks, leave a message, "
            "or talk to a person.",
        ),
        ("mumble", "Would you like to talk to a person?"),
        ("yes", "One moment please, I will put you through."),
    ],
    "keys": [
        ("2", "What would you like to drink?"),
        ("0", "One moment please, I will put you through."),
    ],
    "small talk": [
        ("um, hello there", "Hello. How can I help you?"),
        ("can I get a tea", "A tea, got it. What size tea: small, medium or large?"),
        ("can you transfer me to a person", "One moment please, I will put you through."),
    ],
    "say that again": [
        ("blue cheese", UNKNOWN),
        ("Pardon?", UNKNOWN),
        ("start over", "Sure. What can I do for you?"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(call: Dialogue, name: str) -> None:
    for said, answer in DIALOGUES[name]:
        assert call.say(said) == answer, said


def test_an_order_reaches_its_tool_with_all_options(call: Dialogue) -> None:
    for line in ("a small mocha with oat milk and two large teas", "that's it", "yes"):
        call.say(line)
    mocha = {"item": "mocha", "quantity": 1, "options": {"size": "small", "milk": "oat milk"}}
    tea = {"item": "tea", "quantity": 2, "options": {"size": "large"}}
    assert call.calls == [("place_order", {"items": [mocha, tea]})]


def test_goodbye_hangs_up_after_the_sentence_and_says_nothing_more(call: Dialogue) -> None:
    assert call.say("bye bye") == "Thank you for calling. Goodbye!"
    assert call.calls == [("hang_up", {})]


def test_a_transfer_names_its_target(call: Dialogue) -> None:
    call.say("can I speak to someone please")
    assert call.calls == [("transfer_call", {"target": "operator"})]


@pytest.mark.parametrize(
    ("lines", "expect"),
    [
        ([], Expect(reprompt=SCRIPT.main.silence)),
        (
            ["a latte"],
            Expect(
                "choice",
                ("small", "medium", "large", "eight ounce", "twelve ounce", "sixteen ounce",
                 "twenty ounce"),
                reprompt="What size latte: small, medium or large?",
            ),
        ),
        (
            ["an espresso", "no"],
            Expect("yes_no", ("yes", "no"),
                   reprompt="So that is an espresso. Shall I place the order?"),
        ),
        (["message"], Expect("name", reprompt="Sure. What is your name?")),
        (
            ["message", "Anna"],
            Expect("phone_number", reprompt="What number can we call you back on?"),
        ),
        (
            ["gibberish"],
            Expect("choice", LABELS,
                   reprompt=SCRIPT.main.silence),
        ),
    ],
)  # fmt: skip
def test_what_is_expected_next(call: Dialogue, lines: list[str], expect: Expect) -> None:
    for line in lines:
        call.say(line)
    assert call.expect == expect


def test_a_sure_choice_stands_in_for_text_that_was_not_understood(call: Dialogue) -> None:
    call.say("gibberish")
    assert call.say("leaf amass age", choice="leave a message") == "Sure. What is your name?"


def test_a_failing_tool_leads_to_a_person() -> None:
    def place_order(items: object) -> None:
        raise ValueError("the printer is on fire")

    call = Dialogue(SCRIPT, {"place_order": place_order})
    call.say("an espresso")
    call.say("no")
    answer = call.say("yes")
    assert answer == (
        "I am sorry, I could not place your order. Would you like to talk to a person?"
    )


def test_without_tools_it_says_so_and_goes_on() -> None:
    call = Dialogue(SCRIPT, listed=())
    assert call.say("operator") == (
        "I am sorry, nobody can take your call right now. You can leave a message instead. " + AGAIN
    )
    assert call.say("no") == "Thank you for calling. Goodbye!"
    assert call.calls == []


def test_the_tools_of_the_example_work() -> None:
    assert tools.opening_hours("sunday")["is_open"] is False
    assert tools.opening_hours("monday") == {
        "day": "on Monday", "is_open": True, "opens": "seven", "closes": "six",
    }  # fmt: skip
    assert tools.opening_hours("today")["day"] == "today"
    first = tools.place_order([{"item": "tea", "quantity": 2, "options": {}}])
    second = tools.place_order([{"item": "tea", "quantity": 40, "options": {}}])
    assert second["number"] == first["number"] + 1
    assert (first["minutes"], second["minutes"]) == (7, 30)
    with pytest.raises(ValueError, match="empty"):
        tools.place_order([])


def test_a_misheard_wish_never_hangs_up(call: Dialogue) -> None:
    assert call.say("Can you see that again, please?") == UNKNOWN
    assert call.calls == []
