"""The first words of a placed call: after the other side's, and heard to their end."""

from __future__ import annotations

import pytest

from gateway.call.line import CallFacts
from gateway.conversation.opening import Opening
from gateway.providers.contracts import AssistantMessage, UserMessage
from tests.support.scene import GREETING, LONG, Scene, text

OUT = CallFacts(call_id="call", direction="out", called="100", caller="200")
LONG_GREETING = "Hello, this is the dentist. Your appointment is on Tuesday at nine. Will you come?"


class Placed(Scene):
    """A call that the gateway has placed."""

    facts = OUT


@pytest.mark.parametrize(
    ("steps", "is_due"),
    [
        ("", False),
        ("heard", True),
        ("heard begin", False),
        ("heard begin cut", True),
        ("heard begin cut go_on", False),
        ("heard begin cut begin cut", True),
        ("heard begin cut begin cut begin cut", False),
        ("heard begin reopened begin reopened begin reopened begin reopened", True),
        ("go_on", False),
        ("heard go_on", True),
    ],
)
def test_when_it_is_due(steps: str, is_due: bool) -> None:
    opening = Opening(listens_first=True)
    acts = {
        "heard": opening.heard_out,
        "begin": opening.begin,
        "cut": lambda: opening.broken_off(counts=True),
        "reopened": lambda: opening.broken_off(counts=False),
        "go_on": opening.go_on,
    }
    for step in steps.split():
        acts[step]()
    assert opening.is_due is is_due
    assert opening.listens is ("heard" not in steps)


def test_without_listening_it_is_due_at_once() -> None:
    assert Opening(listens_first=False).is_due


def test_silence_is_followed_by_the_greeting() -> None:
    async def script(scene: Scene) -> None:
        await scene.until(4)

    scene = Placed().play(script)
    assert 1.2 <= scene.times("bot_started")[0] < 1.4
    assert [m.text for m in scene.history] == [GREETING]  # type: ignore[union-attr]


def test_the_other_side_is_heard_out_first() -> None:
    async def script(scene: Scene) -> None:
        await scene.says(0.1, 0.6)
        await scene.until(5)

    scene = Placed(heard=["Hello?"]).play(script)
    assert scene.times("bot_started")[0] > 1.0
    assert scene.history == (UserMessage("Hello?"), AssistantMessage(GREETING))
    assert not scene.llm.requests


def test_a_greeting_that_was_broken_off_is_said_again() -> None:
    async def script(scene: Scene) -> None:
        await scene.says(3.2, 0.6)
        await scene.until(14)

    scene = Placed(heard=["Who is calling?"], greeting=LONG_GREETING).play(script)
    assert scene.data("interrupted")
    last = scene.history[-1]
    assert isinstance(last, AssistantMessage)
    assert last.text == LONG_GREETING
    assert not scene.llm.requests


def test_a_model_that_speaks_first_answers_by_itself() -> None:
    async def script(scene: Scene) -> None:
        await scene.says(0.1, 0.6)
        await scene.until(5)

    scene = Placed([text(LONG)], heard=["Hello?"], greeting="").play(script)
    assert scene.history == (UserMessage("Hello?"), AssistantMessage(LONG, interrupted=True))


def test_a_key_before_the_greeting_means_nothing() -> None:
    async def script(scene: Scene) -> None:
        await scene.until(0.3)
        scene.press("1")
        await scene.until(3)

    scene = Placed().play(script)
    assert [m.text for m in scene.history] == [GREETING]  # type: ignore[union-attr]
    assert not scene.llm.requests


def test_what_the_operator_wants_said_follows_the_greeting() -> None:
    async def script(scene: Scene) -> None:
        await scene.until(0.3)
        scene.operator_says("All is well.")
        await scene.until(6)

    scene = Placed().play(script)
    said = [data["text"] for data in scene.data("bot_says")]
    assert said == [GREETING, "All is well."]


def test_a_caller_is_greeted_at_once() -> None:
    async def script(scene: Scene) -> None:
        await scene.until(2)

    assert Scene().play(script).times("bot_started")[0] < 0.2
