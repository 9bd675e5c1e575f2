"""What a language model has asked for: by its words, its hint, its tool."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversation.asking import expected_by, hinted, without_hint
from gateway.providers.contracts import Expect
from tests.support.scene import Scene, call_of, text

ASKED = {
    "What is your phone number?": ("phone_number", None),
    "What's the best number to call you back?": ("phone_number", None),
    "What number can I reach you at?": ("phone_number", None),
    "Can I get your phone number? For example 555-1234.": ("phone_number", None),
    "Could you please give me your account number?": ("digits", None),
    "May I have your order number, please? It is on the receipt.": ("digits", None),
    "Please tell me the last four digits of your card.": ("digits", 4),
    "Great. Please say your 10-digit number now.": ("digits", 10),
    "Do you have a six-digit code?": ("digits", 6),
    "Please give me the code, it has four to six digits.": ("digits", None),
    "Please enter your PIN.": ("digits", None),
    "I'll need your customer ID.": ("digits", None),
    "Could you tell me your zip code?": ("digits", None),
    "Can you spell your last name for me?": ("spelling", None),
    "And your email address?": ("email", None),
    "What is your e-mail address?": ("email", None),
    "What's your date of birth?": ("date", None),
    "When were you born?": ("date", None),
    "Which day works for you?": ("time", None),
    "What time would you like to come?": ("time", None),
    "How many people?": ("quantity", None),
    "May I have your name, please?": ("name", None),
    "Who am I speaking with?": ("name", None),
    "Is that correct?": ("yes_no", None),
    "Is your phone number 555-1234 correct?": ("yes_no", None),
    "Shall I read your number back?": ("yes_no", None),
    "Did you get the email?": ("yes_no", None),
    "Your order number is 1234. Is there anything else?": ("yes_no", None),
}
NOTHING = [
    "",
    "Hello.",
    "How can I help you today?",
    "Would you like tea or coffee?",
    "I have noted your phone number. How can I help?",
    "Thanks, I sent the code to your phone.",
    "Your order number is 1234.",
    "Our phone number is 555.",
    "What is your address?",
]


@pytest.mark.parametrize(("said", "expected"), ASKED.items())
def test_a_question_tells_what_is_expected(said: str, expected: tuple[str, int | None]):
    for whole in (said, f"Thank you. {said}", f"I can do that.\n{said}"):
        found = expected_by(whole)
        assert found is not None
        assert (found.kind, found.digits, found.is_guess) == (*expected, True)


@pytest.mark.parametrize("said", NOTHING)
def test_what_asks_for_nothing_expects_nothing(said: str):
    assert expected_by(said) is None


@given(st.text())
def test_any_text_can_be_read(said: str):
    expected_by(said)
    without_hint(said)


@pytest.mark.parametrize(
    ("piece", "said", "expect"),
    [
        ("What is it? [expect digits 6]", "What is it?", Expect("digits", digits=6, is_guess=True)),
        ("[expect: phone number]", "", Expect("phone_number", is_guess=True)),
        ("[EXPECT email] Your mail?", "Your mail?", Expect("email", is_guess=True)),
        ("Now. [expect digits, 4 digits]", "Now.", Expect("digits", digits=4, is_guess=True)),
        ("[expect nonsense] Hm.", "Hm.", None),
        ("I expect 6 digits.", "I expect 6 digits.", None),
    ],
)
def test_a_hint_is_taken_out(piece: str, said: str, expect: Expect | None):
    assert without_hint(piece) == (said, expect)


def test_a_menu_cannot_be_hinted():
    assert hinted("choice", None) is None
    assert hinted("yes_no", 4) == Expect("yes_no", is_guess=True)


def heard_out(*reply: object, **config: object) -> tuple[Scene, Expect]:
    """Play an answer to a caller; gives what was then expected of him."""

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(8)

    scene = Scene([list(reply), text("Thanks.")], ["Hello?"], **config).play(script)
    return scene, scene.data("expects")[-1]["expect"]


@pytest.mark.parametrize(
    "reply",
    [
        text("Sure. ", "What is ", "your phone number?"),
        text("Sure. What ", "is it? [exp", "ect phone_", "number]"),
        [*text("Sure. What is it?"), call_of("expect_answer", '{"kind": "phone_number"}')],
    ],
    ids=["words", "hint", "tool"],
)
def test_a_number_that_a_model_asks_for_is_expected_and_the_hint_not_spoken(reply: list):
    scene, expect = heard_out(*reply)
    assert expect == Expect("phone_number", is_guess=True)
    assert not [said for said in scene.synthesizer.texts if "expect" in said]
    assert len(scene.llm.requests) == 1
    assert "[" not in scene.notes.turns[-1].bot_text_heard


def test_the_greeting_may_ask_too():
    async def script(scene: Scene) -> None:
        await scene.until(4)

    scene = Scene(greeting="Welcome. Please say your six-digit code.").play(script)
    assert scene.data("expects")[-1]["expect"] == Expect("digits", digits=6, is_guess=True)


def test_a_prompt_for_a_silent_caller_does_not_change_what_is_expected():
    async def script(scene: Scene) -> None:
        await scene.until(14)

    silence = {"reprompt_after_s": 5.0, "reprompts": ["Are you still there?"]}
    scene = Scene(greeting="What is your phone number?", silence=silence).play(script)
    assert "Are you still there?" in scene.synthesizer.texts
    assert scene.data("expects")[-1]["expect"].kind == "phone_number"


def test_a_model_that_tells_what_it_expects_is_believed():
    scene = Scene()
    scene.llm.tells_what_it_expects = True

    async def script(scene: Scene) -> None:
        await scene.until(4)

    scene.config = scene.config.model_copy(update={"greeting": "What is your phone number?"})
    scene.play(script)
    assert scene.data("expects") == []


def test_digits_with_pauses_are_one_turn_after_the_question_and_were_many_before():
    """A digit each 1.3 s, as people read from a card; each pause looks like an end."""

    def turns_after(answer: str) -> list[str]:
        async def script(scene: Scene) -> None:
            await scene.says(3, 0.5)
            for place in range(4):
                await scene.says(8 + 1.3 * place, 0.4)
            await scene.until(20)

        digits = ["Five.", "Five. One.", "Five. One. Two.", "Five. One. Two. Three."]
        single = ["Five.", "One.", "Two.", "Three."]
        asks = "number" in answer
        scene = Scene([text(answer), *[text("Thanks.")] * 9],
                      ["Hello.", *([digits] if asks else single)])  # fmt: skip
        scene.play(script)
        return [turn.caller_text for turn in scene.notes.turns[2:] if turn.caller_text]

    assert turns_after("What is your phone number?") == ["Five. One. Two. Three."]
    assert len(turns_after("All is well.")) > 1
