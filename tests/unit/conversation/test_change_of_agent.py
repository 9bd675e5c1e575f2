"""Another agent goes on with a call: with its own engines, and with what was said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.conversation.duplex_caller import UNKNOWN
from gateway.conversation.function_tool import tool
from gateway.errors import CommandError
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    TextDelta,
    ToolResult,
    UserMessage,
)
from tests.support.scene import GREETING, LONG, Scene, call_of
from tests.support.scripted_engine import ScriptedEngine

KINDS = ["cascade", "engine", "gateway", "none"]
"""The cascade; engines that own turns, for which the gateway does, and in full duplex."""
ASKED = "How are you?"


def scene_of(kind: str, answers: Sequence[Any], **config: Any) -> Scene:
    """Return a scene whose agent answers so; each answer is one text, or text, tool call, text."""
    config = {"heard": (ASKED,) * 4} | config
    heard = config.pop("heard")
    if kind == "cascade":
        replies: list[list[Any]] = []
        for answer in answers:
            replies.append([])
            for item in answer:
                replies[-1].append(TextDelta(item) if isinstance(item, str) else item)
                if hasattr(item, "arguments"):
                    replies.append([])
        return Scene([reply for reply in replies if reply], list(heard), **config)
    return Scene(engine=ScriptedEngine(*answers, turns=kind, heard=heard), **config)


def known_to(scene: Scene) -> Sequence[Message]:
    """Return the history that its engine has got with the call."""
    if scene.engine is None:
        return tuple(scene.llm.requests[0].messages)
    return scene.engine.session.opening.messages


def instructed(scene: Scene) -> str:
    if scene.engine is None:
        return str(scene.llm.requests[0].instructions)
    return scene.engine.session.opening.instructions


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_the_api_has_another_agent_go_on_with_the_history(first: str, second: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(7)
        scene.call.control.change_agent("sales", "api")
        await scene.says(9, 0.5)
        await scene.until(14)

    sales = scene_of(second, [["From sales."]], name="sales", instructions="You sell.")
    scene = scene_of(first, [["From the desk."]], others=[sales]).play(script)
    one, two = (UserMessage(UNKNOWN if kind == "none" else ASKED) for kind in (first, second))
    assert scene.history == (
        AssistantMessage(GREETING), one, AssistantMessage("From the desk."),
        two, AssistantMessage("From sales."),
    )  # fmt: skip
    assert tuple(known_to(sales))[:3] == scene.history[:3]
    assert instructed(sales) == "You sell."
    assert scene.data("agent_changes") == [{"agent": "sales", "by": "api"}]
    assert [data["agent"] for data in scene.data("agent_started")] == ["bot", "sales"]
    assert [(t.index, t.agent) for t in scene.notes.turns] == [(0, "bot"), (1, "bot"), (2, "sales")]
    assert len(scene.data("turn_taking_started")) == len(scene.data("turn_taking_ended")) == 2


@pytest.mark.parametrize("first", KINDS[:3])
@pytest.mark.parametrize("second", KINDS[:3])
def test_an_agent_hands_the_call_over_when_it_has_said_so(first: str, second: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(12)

    sales = scene_of(second, [["Sales here, which car?"]], name="sales")
    hands_over = call_of("change_agent", '{"agent": "sales"}')
    scene = scene_of(first, [["I hand you over.", hands_over]], others=[sales]).play(script)
    texts = [m.text for m in scene.history if isinstance(m, AssistantMessage)]
    assert texts == [GREETING, "I hand you over.", "Sales here, which car?"]
    (result,) = [m for m in known_to(sales) if isinstance(m, ToolResult)]
    assert json.loads(result.content) == {"status": "done: you lead the call now, sales"}
    assert scene.data("agent_changes") == [{"agent": "sales", "by": "agent"}]
    _, announced, answer, *_ = scene.line.audible()
    assert answer[0] > announced[1]


@pytest.mark.parametrize("kind", KINDS[:3])
def test_who_cuts_the_announcement_stays(kind: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(6, 1.5)
        await scene.until(12)

    hands_over = call_of("change_agent", '{"agent": "sales"}')
    sales = scene_of("cascade", [], name="sales")
    scene = scene_of(kind, [[LONG, hands_over], ["I am still here."]], others=[sales]).play(script)
    assert scene.history[-1] == AssistantMessage("I am still here.")
    assert scene.data("agent_changes") == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [False, True])
def test_what_the_bot_is_saying_is_finished_or_cut(kind: str, cut: bool):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(5.5)
        scene.call.control.change_agent("sales", "api", cut=cut)
        await scene.says(11, 0.5)
        await scene.until(15)

    sales = scene_of("cascade", [["From sales."]], name="sales")
    scene = scene_of(kind, [[LONG]], others=[sales]).play(script)
    said = scene.history[2]
    assert isinstance(said, AssistantMessage)
    assert said.interrupted is cut
    assert (said.text == LONG) is not cut
    assert LONG.startswith(said.text)
    (_, second_s) = scene.times("agent_started")
    assert (second_s < 5.8) is cut
    assert scene.history[-1] == AssistantMessage("From sales.")


@pytest.mark.parametrize("kind", KINDS[:3])
def test_words_that_are_being_said_are_answered_by_the_next_agent(kind: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 1.5)
        await scene.until(3.7)
        scene.call.control.change_agent("sales", "api")
        await scene.until(9)

    sales = scene_of("cascade", [["From sales."]], name="sales", fallback="Pardon?")
    scene = scene_of(kind, [["From the desk."]], others=[sales]).play(script)
    if kind == "cascade":
        assert scene.history[1:] == (UserMessage(ASKED), AssistantMessage("From sales."))
    else:  # only the engine had heard the words
        assert scene.history[-1] == AssistantMessage("Pardon?")


def test_everything_changes_and_back():
    """Voice, detector of turns, tools; the first agent comes back with its engine."""

    async def script(scene: Scene) -> None:
        await scene.until(3)
        scene.call.control.change_agent("sales", "api")
        await scene.says(4, 0.5)
        await scene.until(8)
        scene.operator_says("By the voice of sales.")
        await scene.until(11)
        scene.call.control.change_agent("bot", "api")
        await scene.says(12, 0.5)
        await scene.until(16)

    quick = {"interruptible": False}
    turn: dict[str, Any] = {"barge_in": quick, "doubtful_ms": 300}
    sales = scene_of("cascade", [["From sales."]], name="sales", turn=turn)
    scene = scene_of("engine", [["From the desk."]], others=[sales]).play(script)
    assert "By the voice of sales." in sales.synthesizer.texts
    assert "By the voice of sales." not in scene.synthesizer.texts
    first, second = scene.engine.sessions
    assert first.opening.messages == ()
    assert [m.text for m in second.opening.messages] == [
        GREETING, ASKED, "From sales. By the voice of sales.",
    ] or [m.text for m in second.opening.messages][-1] == "By the voice of sales."  # fmt: skip
    assert scene.history[-1] == AssistantMessage("From the desk.")
    begun = [data["settings"]["turn"]["doubtful_ms"] for data in scene.data("turn_taking_started")]
    assert begun == [700, 300, 700]


def test_a_tool_that_runs_is_told_to_the_next_agent():
    @tool(side_effects=True)
    async def order() -> str:
        """Order."""
        await asyncio.sleep(6)
        return "ordered"

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(7)
        scene.call.control.change_agent("sales", "api", cut=True)
        await scene.until(16)

    sales = scene_of("cascade", [["Wait."], ["It was ordered."]], name="sales")
    answers = [["I order it.", call_of("order")]]
    scene = scene_of("cascade", answers, tools=[order], others=[sales]).play(script)
    (result,) = [m for m in scene.history if isinstance(m, ToolResult)]
    assert (result.content, result.is_running) == ('"ordered"', False)
    assert isinstance(scene.history[-1], AssistantMessage)
    assert scene.history[-1].text in {"Wait.", "It was ordered."}
    assert result in sales.llm.requests[-1].messages


def test_a_caller_on_hold_stays_on_hold():
    async def script(scene: Scene) -> None:
        await scene.until(3)
        scene.hold()
        await scene.until(4)
        scene.call.control.change_agent("sales", "api")
        await scene.says(5, 0.5)
        await scene.until(8)
        scene.resume()
        await scene.says(9, 0.5)
        await scene.until(13)

    sales = scene_of("engine", [["From sales."]], name="sales")
    scene = scene_of("cascade", [], others=[sales]).play(script)
    assert scene.history[1:] == (UserMessage(ASKED), AssistantMessage("From sales."))
    assert scene.line.audible()[-1][0] > 9


def test_keys_and_requests_that_come_meanwhile_are_the_next_agents():
    async def script(scene: Scene) -> None:
        await scene.until(3)
        scene.call.control.change_agent("sales", "api")
        for digit in "42#":
            scene.press(digit)
        scene.operator_says("Hurry.")
        await scene.until(9)

    sales = scene_of("cascade", [["Forty-two."]], name="sales")
    scene = scene_of("cascade", [], others=[sales]).play(script)
    assert "Hurry." in sales.synthesizer.texts
    assert AssistantMessage("Forty-two.") in scene.history or any(
        "Forty-two." in m.text for m in scene.history if isinstance(m, AssistantMessage)
    )


def test_what_cannot_be_is_refused():
    async def script(scene: Scene) -> None:
        await scene.until(3)
        control = scene.call.control
        with pytest.raises(CommandError, match='no agent "nobody"; there are: bot, sales'):
            control.change_agent("nobody", "api")
        control.change_agent("bot", "api")  # it is: nothing happens
        control.agents = frozenset()
        with pytest.raises(CommandError, match="no agent talks"):
            control.change_agent("sales", "api")
        await scene.until(5)

    sales = scene_of("cascade", [], name="sales")
    scene = scene_of("cascade", [], others=[sales]).play(script)
    assert [data["agent"] for data in scene.data("agent_started")] == ["bot"]
    assert scene.data("agent_changes") == []
