"""Work that an engine hands to the agent's own language model and tools."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.audio.format import AudioFormat
from gateway.conversation.function_tool import tool
from gateway.providers.contracts import AssistantMessage, ToolCall, ToolResult, UserMessage
from gateway.providers.speech_to_speech import (
    DELEGATED,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ToolAsked,
)
from tests.support.scene import DOWN, GREETING, Scene, call_of, text
from tests.support.scripted_engine import ScriptedEngine, sound

SAID = "Caller: How many teas are there?\nYou: Let me look."


def asks(said: str = SAID, call_id: str = "d1") -> ToolCall:
    return ToolCall(call_id, DELEGATED, json.dumps({"conversation": said}))


def told_by(scene: Scene) -> list[tuple[str, bool]]:
    """Results that the engine was told, with whether it is to speak."""
    return [
        (message.content, answer)
        for messages, answer in scene.engine.session.told
        for message in messages
        if isinstance(message, ToolResult)
    ]


def says_once(until_s: float = 12):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(until_s)

    return script


@tool(side_effects=False)
async def stock(item: str) -> dict[str, int]:
    """Tell how many there are."""
    await asyncio.sleep(0.5)
    return {"count": 3}


@pytest.mark.parametrize("turns", ["engine", "none"])
def test_the_agents_model_does_the_work_with_its_tools_and_the_engine_speaks(turns: Any):
    engine = ScriptedEngine(["Let me look.", asks(), "There are three."], turns=turns)
    looks = [call_of("stock", '{"item": "tea"}')]
    scene = Scene([looks, text("We have three.")], engine=engine, tools=[stock])
    scene.play(says_once())
    asked, again = scene.llm.requests
    assert asked.messages[-1] == UserMessage(SAID)
    assert asked.instructions == engine.session.opening.instructions
    assert "stock" in [spec.name for spec in asked.tools]
    assert isinstance(again.messages[-1], ToolResult)
    assert told_by(scene) == [("We have three.", True)]
    texts = [m.text for m in scene.history if isinstance(m, AssistantMessage) and m.text]
    assert " ".join(texts) == f"{GREETING} Let me look. There are three."
    uses = [use.name for turn in scene.notes.turns for use in turn.tools]
    assert uses == ["stock", DELEGATED] or set(uses) == {DELEGATED}
    assert scene.call.spent.requests == 2


def test_one_task_follows_another_and_the_model_knows_the_one_before():
    engine = ScriptedEngine([asks(), "Three."], [asks("Caller: And coffee?", "d2"), "None."])

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(8, 0.5)
        await scene.until(14)

    scene = Scene([text("Three teas."), text("No coffee.")], engine=engine).play(script)
    assert told_by(scene) == [("Three teas.", True), ("No coffee.", True)]
    assert list(scene.llm.requests[1].messages) == [
        UserMessage(SAID), AssistantMessage("Three teas."), UserMessage("Caller: And coffee?"),
    ]  # fmt: skip


def test_an_action_is_done_when_the_engine_has_said_the_answer():
    engine = ScriptedEngine([asks("Caller: Goodbye."), "Goodbye to you, too."])
    model = [[*text("Say goodbye."), call_of("hang_up")]]
    scene = Scene(model, engine=engine).play(says_once())
    assert told_by(scene)[0] == ("Say goodbye.", True)
    assert scene.ending is not None
    assert scene.ending.reason == "bot_hung_up"
    assert scene.history[-1] == AssistantMessage("Goodbye to you, too.")


def test_a_model_that_fails_is_no_end_of_the_call():
    engine = ScriptedEngine([asks(), "I am sorry."])
    scene = Scene([[DOWN]], engine=engine).play(says_once())
    ((content, answer),) = told_by(scene)
    assert "could not be done" in content
    assert answer
    assert scene.history[-1] == AssistantMessage("I am sorry.")


def test_what_is_no_conversation_is_handed_on_as_it_is():
    engine = ScriptedEngine([ToolCall("d1", DELEGATED, "How many?"), "Three."])
    scene = Scene([text("Three.")], engine=engine).play(says_once())
    assert scene.llm.requests[0].messages[-1] == UserMessage("How many?")


def test_the_result_is_told_though_the_caller_has_interrupted():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(5, 1.0)
        await scene.until(16)

    engine = ScriptedEngine(["I look.", asks(), "Never."], ["Yes?"], ["There are three."])
    scene = Scene([[4.0, *text("Three teas.")]], engine=engine).play(script)
    assert ("Three teas.", True) in told_by(scene)
    assert scene.history[-1] == AssistantMessage("There are three.")


# --- what the engine says meanwhile ---


@pytest.mark.parametrize("pause_ms", [200, 2000])
def test_in_full_duplex_the_answer_may_come_within_the_same_sound(pause_ms: int):
    """Sound without words, such as a pause, is no answer; words are one, in whatever reply."""

    async def script(scene: Scene) -> None:
        await scene.until(3)
        session = scene.engine.session
        session.is_silent = True
        form = AudioFormat(24_000)
        session.report(ReplyStarted("a"))
        session.report(ReplyAudio("a", sound(form, 500), " One"))
        session.report(ToolAsked(call_of("quick"), "a"))
        await scene.until(3.4)
        session.report(ReplyAudio("a", sound(form, 300, 0)))
        following = "a" if pause_ms < 1000 else "b"
        if following == "b":
            session.report(ReplyEnded("a"))
            await scene.until(6)
            session.report(ReplyStarted("b"))
        session.report(ReplyAudio(following, sound(form, 500), " two"))
        session.report(ReplyEnded(following))
        await scene.until(9)

    @tool(side_effects=False)
    async def quick() -> str:
        """Look."""
        return "found"

    scene = Scene(engine=ScriptedEngine(turns="none"), tools=[quick]).play(script)
    assert told_by(scene) == [('"found"', True)]
    (turn,) = [turn for turn in scene.notes.turns if turn.tools]
    assert " ".join(turn.bot_text_heard.split()) == "One two"
    assert turn is scene.notes.turns[-1]


def test_what_is_left_of_a_reply_is_no_answer_to_its_tool():
    """Its tool is quick; where the gateway owns turns, only what is asked for is heard."""

    async def script(scene: Scene) -> None:
        await scene.until(1)
        session = scene.engine.session
        session.is_silent = True
        await scene.says(3, 0.5)
        await scene.until(4.5)
        form = AudioFormat(24_000)
        session.report(ReplyStarted("a"))
        session.report(ReplyAudio("a", sound(form, 500), " One"))
        session.report(ToolAsked(call_of("quick"), "a"))
        await scene.until(4.8)
        assert told_by(scene) == [('"found"', True)]
        session.report(ReplyAudio("a", sound(form, 500), " two"))
        session.report(ReplyEnded("a"))
        await scene.until(7)
        session.report(ReplyStarted("b"))
        session.report(ReplyAudio("b", sound(form, 500), " three"))
        session.report(ReplyEnded("b"))
        await scene.until(10)

    @tool(side_effects=False)
    async def quick() -> str:
        """Look."""
        return "found"

    scene = Scene(engine=ScriptedEngine(turns="gateway"), tools=[quick]).play(script)
    heard = " ".join(turn.bot_text_heard or "" for turn in scene.notes.turns[1:])
    assert " ".join(heard.split()) == "One two three"


@pytest.mark.parametrize("turns", ["engine", "none"])
def test_speech_goes_on_while_a_tool_runs(turns: Any):
    async def script(scene: Scene) -> None:
        await scene.until(3)
        session = scene.engine.session
        session.is_silent = True
        form = AudioFormat(24_000)
        session.report(ReplyStarted("a"))
        session.report(ReplyAudio("a", sound(form, 500), " One"))
        session.report(ToolAsked(call_of("slow"), "a"))
        session.report(ReplyAudio("a", sound(form, 500), " two"))
        session.report(ReplyEnded("a"))
        session.report(ReplyStarted("b"))
        session.report(ReplyAudio("b", sound(form, 500), " three"))
        session.report(ReplyEnded("b"))
        await scene.until(6)
        begun, ended = scene.line.audible()[-1]
        assert ended - begun == pytest.approx(1.5, abs=0.1)
        assert not told_by(scene)
        await scene.until(9)
        assert told_by(scene) == [('"found"', True)]
        session.report(ReplyStarted("c"))
        session.report(ReplyAudio("c", sound(form, 500), " four"))
        session.report(ReplyEnded("c"))
        await scene.until(12)

    @tool(side_effects=False)
    async def slow() -> str:
        """Look."""
        await asyncio.sleep(4)
        return "found"

    scene = Scene(engine=ScriptedEngine(turns=turns), tools=[slow]).play(script)
    (turn,) = [turn for turn in scene.notes.turns if turn.tools]
    assert " ".join(turn.bot_text_heard.split()) == "One two three four"
