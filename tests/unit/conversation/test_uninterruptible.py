"""What is said into speech that may not be interrupted is answered after it."""

from __future__ import annotations

import pytest

from gateway.providers.contracts import AssistantMessage, UserMessage
from tests.support.scene import GREETING, LONG, Scene, patient, text

NOTICE = "This call is recorded, for the quality of our service, as the law wants you to know."
"""Heard from 0.1 s to about 4.3 s."""
TEA, CAKE = "A tea please.", "And a cake please."
PROTECTED = patient(barge_in={"protect_s": 3.0})
DEAF = patient(barge_in={"interruptible": False})


def asks_for_tea(turn, at_s, for_s):
    """The notice is heard to its end, and answered then is what was said into it."""

    async def script(scene):
        await scene.says(at_s, for_s)
        await scene.until(9)

    scene = Scene([text("Of course.")], [TEA], greeting=NOTICE, turn=turn).play(script)
    assert scene.history == (
        AssistantMessage(NOTICE), UserMessage(TEA), AssistantMessage("Of course."),
    )  # fmt: skip
    return scene


@pytest.mark.parametrize("turn", [PROTECTED, DEAF], ids=["protected", "uninterruptible"])
def test_words_into_a_notice_are_answered_after_it(turn):
    scene = asks_for_tea(turn, 1.0, 0.5)
    assert scene.data("turn_waits") == [{"text": TEA}]
    assert "barge_in_suspected" not in scene.notes.kinds()
    assert len(scene.line.audible()) == 2


def test_several_turns_are_answered_as_one():
    async def script(scene):
        await scene.says(0.5, 0.5)
        await scene.says(2.0, 0.5)
        await scene.until(9)

    scene = Scene([text("Both.")], [TEA, CAKE], greeting=NOTICE, turn=DEAF).play(script)
    assert scene.history[1:] == (UserMessage(f"{TEA} {CAKE}"), AssistantMessage("Both."))
    assert len(scene.llm.requests) == 1


def test_after_the_protected_time_the_same_speech_can_be_interrupted():
    async def script(scene):
        await scene.says(3.5, 0.6)
        await scene.until(9)

    scene = Scene([text("Of course.")], [TEA], greeting=NOTICE, turn=PROTECTED).play(script)
    assert scene.history[0].interrupted
    assert scene.history[1:] == (UserMessage(TEA), AssistantMessage("Of course."))


def test_words_that_waited_are_answered_with_those_that_interrupt():
    async def script(scene):
        await scene.says(1.0, 0.5)
        await scene.says(3.5, 0.6)
        await scene.until(9)

    scene = Scene([text("Both.")], [TEA, CAKE], greeting=NOTICE, turn=PROTECTED).play(script)
    assert scene.history[1:] == (UserMessage(f"{TEA} {CAKE}"), AssistantMessage("Both."))
    assert scene.notes.turns[1].speculative


def test_words_that_waited_are_not_lost_to_a_noise_that_cuts():
    async def script(scene):
        await scene.says(1.0, 0.5)
        await scene.says(3.6, 0.6)
        await scene.until(14)

    heard = [TEA, ["And what", ""]]
    scene = Scene([text("Tea.")], heard, greeting=NOTICE, turn=PROTECTED).play(script)
    assert scene.history[-2:] == (UserMessage(TEA), AssistantMessage("Tea."))


def test_keys_wait_too_where_they_may_not_interrupt():
    async def script(scene):
        await scene.until(1)
        scene.press("5")
        await scene.until(9)

    turn = patient(barge_in={"digits": False})
    scene = Scene([text("Five.")], greeting=NOTICE, turn=turn).play(script)
    assert scene.history == (
        AssistantMessage(NOTICE), UserMessage("5", typed="paused"), AssistantMessage("Five."),
    )  # fmt: skip


def test_a_key_that_interrupts_does_not_lose_the_words_before_it():
    async def script(scene):
        await scene.says(1.0, 0.5)
        await scene.until(2.5)
        scene.press("5")
        await scene.until(9)

    scene = Scene([text("Five teas.")], [TEA], greeting=NOTICE, turn=DEAF).play(script)
    assert scene.history[-2:] == (
        UserMessage(f"{TEA} (The caller typed 5.)"),
        AssistantMessage("Five teas."),
    )


def test_a_turn_that_outlasts_the_reply_is_answered_at_its_end():
    scene = asks_for_tea(DEAF, 3.5, 2.0)
    assert scene.line.audible()[1][0] == pytest.approx(6.0, abs=0.1)


def test_a_noise_into_an_uninterruptible_reply_is_nothing():
    async def script(scene):
        await scene.says(1.0, 0.3)
        await scene.until(7)

    scene = Scene(heard=[""], greeting=NOTICE, turn=DEAF).play(script)
    assert scene.history == (AssistantMessage(NOTICE),)
    assert len(scene.line.audible()) == 1


def test_the_greeting_of_an_interruptible_bot_is_interrupted():
    async def script(scene):
        await scene.says(1.0, 0.6)
        await scene.until(7)

    scene = Scene([text(LONG)], [TEA], greeting=NOTICE, turn=patient()).play(script)
    assert scene.history[0].interrupted
    assert GREETING not in str(scene.history)
