"""Keys in a conversation: what is one turn, what they cut, what they are an answer to."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.models import KeysConfig
from gateway.providers.contracts import AssistantMessage, Expect, Memo, UserMessage
from gateway.providers.llm.script import ScriptModel
from gateway.script.loader import FRONT_DESK, load_script
from tests.support.dialogue import script_of
from tests.support.fake_line import ScriptedModel
from tests.support.menus import BILLING, FOR_AN_ACCOUNT
from tests.support.scene import GREETING, LONG, Scene, call_of, text


class MenuModel(ScriptedModel):
    """Asked for free: each key is a turn."""

    counts_tokens = False


async def press(scene, keys, gap_s=0.3):
    for key in keys:
        scene.press(key)
        await asyncio.sleep(gap_s)


def pressing(keys, llm, at_s=3.0, until_s=16.0, **config):
    async def script(scene):
        await scene.until(at_s)
        await press(scene, keys)
        await scene.until(until_s)

    return Scene(llm, **config).play(script)


@pytest.mark.parametrize(
    ("keys", "turns"),
    [
        ("1234#", ["1234"]),
        ("1234", ["1234"]),
        ("12#", ["12"]),
        ("#", ["#"]),
        ("*", ["*"]),
    ],
)
def test_a_language_model_gets_one_turn_per_entry(keys, turns):
    scene = pressing(keys, [text("Thanks.")] * 3)
    typed = [m.text for m in scene.history if isinstance(m, UserMessage) and m.typed]
    assert typed == turns
    assert len(scene.llm.requests) == len(turns)


def test_the_terminator_does_not_cut_the_answer():
    async def script(scene):
        await scene.until(3)
        await press(scene, "1234#")
        await scene.until(6)
        scene.press("#")
        await scene.until(14)

    scene = Scene([text(LONG), text("No.")]).play(script)
    assert scene.history[-1] == AssistantMessage(LONG)
    assert len(scene.llm.requests) == 1


@pytest.mark.parametrize(("says", "requests"), [(False, 1), (True, 3)])
def test_a_terminator_long_after_an_entry_is_no_turn_unless_something_was_said(says, requests):
    async def script(scene):
        await scene.until(3)
        await press(scene, "1234")
        if says:
            await scene.says(9, 0.5)
        await scene.until(14)
        scene.press("#")
        await scene.until(18)

    scene = Scene([text("Thanks.")] * 3, ["Wait."]).play(script)
    assert len(scene.llm.requests) == requests


def test_forty_keys_in_a_row_are_one_request():
    scene = pressing("1" * 40, [text("Thanks.")] * 40, until_s=24.0)
    assert len(scene.llm.requests) == 1


def test_expected_digits_are_complete_without_a_pause():
    asks = [*text("Your pin?"), Expect("digits", digits=4)]

    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(8)
        await press(scene, "1234")
        await scene.until(14)

    scene = Scene([asks, text("Thanks.")], ["Hello."]).play(script)
    typed_at = scene.times("digit")[-1]
    assert next(s for s, _ in scene.line.audible() if s > typed_at) < typed_at + 1.0


@pytest.mark.parametrize(
    ("press_at_s", "said"),
    [(3.4, "My number is. (The caller typed 12.)"), (3.1, "My number is. (The caller typed 12.)"),
     (4.0, "My number is. (The caller typed 12.)")],
)  # fmt: skip
def test_keys_in_mid_sentence_lose_no_words(press_at_s, said):
    async def script(scene):
        await scene.says(3, 1.0)
        await scene.until(press_at_s)
        await press(scene, "12", gap_s=0.2)
        await scene.until(12)

    scene = Scene([text("Thanks."), text("Thanks.")], ["My number is."]).play(script)
    assert [m.text for m in scene.history if isinstance(m, UserMessage)] == [said]


def test_keys_typed_to_their_end_within_a_sentence_wait_for_it():
    async def script(scene):
        await scene.says(3, 3.0)
        await scene.until(3.5)
        await press(scene, "12#", gap_s=0.2)
        await scene.until(12)

    scene = Scene([text("Thanks."), text("Thanks.")], ["My number is."]).play(script)
    assert [m.text for m in scene.history if isinstance(m, UserMessage)] == [
        "(The caller typed 12.) My number is."
    ]


@pytest.mark.parametrize(
    ("gather", "llm", "requests"),
    [("keys", ScriptedModel, 2), ("entries", MenuModel, 1), ("auto", MenuModel, 2)],
)
def test_each_agent_may_say_what_is_one_turn(gather, llm, requests):
    scene = Scene(llm(*[text("Thanks.")] * 3), keys=KeysConfig(gather=gather))

    async def script(scene):
        await scene.until(3)
        await press(scene, "12", gap_s=1.8)
        await scene.until(16)

    scene.play(script)
    assert len(scene.llm.requests) == requests


# --- the script's menus, over the line ---

MENU = script_of(
    """
    [main]
    greeting = "Press one for billing or two for sales."
    again = "What else?"

    [intents.sales]
    key = "2"
    say = "Sales it is, and this is said at some length."
"""
    + BILLING
    + FOR_AN_ACCOUNT
)


def scripted(script_file, heard=(), **config):
    return Scene(ScriptModel(script_file), heard, greeting="", **config)


@pytest.mark.parametrize("gap_s", [0.05, 0.3, 0.8])
def test_menus_are_typed_ahead(gap_s):
    async def script(scene):
        await scene.until(1)
        await press(scene, "12123456#", gap_s)
        await scene.until(16)

    said = [m.text for m in scripted(MENU).play(script).history if not isinstance(m, UserMessage)]
    assert "A refund for one two three, four five six. What else?" in said


def test_nothing_is_appended_to_a_number_that_was_ended_too_early():
    async def script(scene):
        await scene.until(1)
        await press(scene, "11")
        await scene.until(7)
        await press(scene, "10#")
        await scene.until(10)
        await press(scene, "123456")
        await scene.until(18)

    said = [m.text for m in scripted(MENU).play(script).history if not isinstance(m, UserMessage)]
    assert said[-1] == "A invoice for one two three, four five six. What else?"


# --- what was not heard was not asked ---


@pytest.mark.parametrize("word", ["No.", "Stop."])
def test_who_breaks_off_a_reply_of_the_front_desk_is_not_hung_up(word):
    async def script(scene):
        await scene.says(9, 0.5)
        await scene.says(13, 0.5)  # into the opening hours
        await scene.until(22)

    hours = "What are your opening hours?"
    scene = scripted(load_script(FRONT_DESK), [hours, word]).play(script)
    assert scene.ending is None
    assert "Sure. What can I do for you?" in [m.text for m in scene.history]


def test_an_answer_to_a_question_that_was_heard_is_one():
    async def script(scene):
        await scene.says(9, 0.5)
        await scene.until(26)
        scene.line.speak(0.5)
        await scene.until(36)

    hours = "What are your opening hours?"
    scene = scripted(load_script(FRONT_DESK), [hours, "No."]).play(script)
    assert scene.ending.reason == "bot_hung_up"


def test_a_model_expects_nothing_before_its_question_was_heard():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(6.5, 0.5)
        await scene.until(14)

    asks = [*text(LONG), Expect("yes_no", ("yes", "no")), Memo("asked")]
    scene = Scene([asks, text("What then?")], ["Hello.", "Stop."]).play(script)
    assert [e.kind for e in scene.recognizer.expected] == ["free", "free"]
    assert [m.is_answer for m in scene.history if isinstance(m, UserMessage)] == [True, False]


# --- over an announcement ---


def test_a_key_over_an_announcement_changes_nothing():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(4.6)
        scene.press("5")
        await scene.until(14)

    goes = [*text("I connect you."), call_of("transfer_call", '{"target": "sales"}')]
    scene = Scene([goes, text("No.")], ["Sales."]).play(script)
    assert scene.ending.reason == "transferred"
    assert scene.history[1:3] == (
        UserMessage("Sales."), AssistantMessage("I connect you.", (goes[-1],)),
    )  # fmt: skip
    assert GREETING
