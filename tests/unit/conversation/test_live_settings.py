"""Other settings in mid-call: the voice from its next sentence on, all else from the next turn."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from gateway.conversation.agent import Agent
from gateway.conversation.voice import Voice
from gateway.errors import CommandError, ProviderRejected
from gateway.providers.contracts import AssistantMessage, TextDelta
from tests.support.fake_line import ScriptedModel, ScriptedVoice
from tests.support.scene import GREETING, Scene, text
from tests.support.scripted_engine import ScriptedEngine

WHOLE = "This is said to its end whatever happens."
THREE = ["First sentence of it that is long.", "Then a second one.", "And the last of them all."]


def changeable(scene: Scene, **engines: Any) -> Scene:
    """Let its settings be changed, which brings these engines with it."""

    async def adjust(agent: Agent, wanted: Mapping[str, Any], keep: AsyncExitStack) -> Agent:
        await asyncio.sleep(0.05)  # as an engine that is warmed
        keep.callback(closed.append, len(closed))
        return replace(agent, config=agent.config.changed(wanted), **engines)

    closed: list[int] = []
    scene.agent = replace(scene.agent, adjust=adjust)
    scene.closed = closed  # type: ignore[attr-defined]
    return scene


def test_another_voice_speaks_from_the_next_sentence_on_and_all_is_released():
    other = ScriptedVoice()

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(4.6)
        changed = await scene.call.control.change_settings({"tts": {"rate": 0.5}}, "api")
        assert changed == ("tts.rate",)
        await scene.until(12)

    said = [[TextDelta(f"{each} ") for each in THREE]]
    scene = Scene(said, ["How are you?"], tts={"provider": "scripted"})
    scene = changeable(scene, voice=Voice(other)).play(script)
    assert scene.synthesizer.texts == [GREETING, *THREE[:2]]  # one is rendered in advance
    assert THREE[2] in other.texts
    assert "I am sorry," in other.texts  # the fallback is rendered ahead again
    assert scene.history[-1] == AssistantMessage(" ".join(THREE))
    assert scene.data("settings_changed") == [{"settings": {"tts.rate": 0.5}, "by": "api"}]
    assert scene.closed == [0]  # type: ignore[attr-defined]


def test_model_instructions_and_turn_taking_change_with_the_next_turn():
    other = ScriptedModel(text("From the other model."))

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(7)
        wanted = {"instructions": "Be brief to {caller}.", "llm": {"model": "x"},
                  "turn": {"whole_ms": 900}, "silence": {"reprompt_after_s": 30}}  # fmt: skip
        await scene.call.control.change_settings(wanted, "api")
        await scene.says(9, 0.5)
        await scene.until(14)

    scene = Scene([text("From the first.")], ["How are you?", "How are you?"])
    scene = changeable(scene, llm=other).play(script)
    (request,) = other.requests
    assert request.instructions == f"Be brief to {scene.line.facts.caller}."
    assert scene.history[-1] == AssistantMessage("From the other model.")
    first, second = ((t["now"] - t["speech_end"]) / 8 for t in scene.data("turn_ended"))
    assert first < 600
    assert 880 < second < 1000
    inputs = [data for data in scene.data("turn_input") if data["input"] == "change"]
    assert inputs[0]["arguments"] == {"turn": {"whole_ms": 900}, "silence_s": 30}


def test_what_is_wrong_or_comes_too_late_changes_nothing():
    async def script(scene: Scene) -> None:
        async def refuse(agent: Agent, wanted: Any, keep: Any) -> Agent:
            raise CommandError(422, "llm.modle: unknown key")

        control = scene.call.control
        with pytest.raises(CommandError, match="409"):  # without a gateway behind it
            await control.change_settings({"llm": {"modle": "x"}}, "api")
        scene.talk._settings._agent = replace(scene.agent, adjust=refuse)
        with pytest.raises(CommandError, match="unknown key"):
            await control.change_settings({"llm": {"modle": "x"}}, "api")
        await scene.says(3, 0.5)
        await scene.until(8)
        scene.talk._call.control.on_settings = None
        with pytest.raises(CommandError, match="no agent talks"):
            await control.change_settings({"llm": {"model": "x"}}, "api")

    scene = Scene([text("Fine.")], ["How are you?"]).play(script)
    assert scene.data("settings_changed") == []
    assert scene.history[-1] == AssistantMessage("Fine.")


def test_an_engine_is_instructed_in_its_session_and_learns_another_eagerness():
    async def script(scene: Scene) -> None:
        await scene.until(3)
        wanted = {"instructions": "Be brief.", "turn": {"eagerness": "low"}}
        await scene.call.control.change_settings(wanted, "api")
        await scene.says(4, 0.5)
        await scene.until(8)

    scene = changeable(Scene(engine=ScriptedEngine(["Fine."], heard=["How are you?"])))
    scene.play(script)
    (session,) = scene.engine.sessions
    assert session.instructed == ["Be brief."]
    assert session.eagerness == "low"


def test_other_settings_of_an_engine_hold_in_a_new_session_once_neither_side_speaks():
    other = ScriptedEngine(["Slowly said."])

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(4.5)  # the engine speaks
        await scene.call.control.change_settings({"s2s": {"speed": 0.8}}, "api")
        await scene.says(9, 0.5)
        await scene.until(13)

    engine = ScriptedEngine([WHOLE], heard=["How are you?"])
    scene = changeable(Scene(engine=engine), speech=other).play(script)
    (first,) = engine.sessions
    (second,) = other.sessions
    assert first.cuts == []
    assert [m.text for m in second.opening.messages][-1] == WHOLE
    assert scene.history[-1] == AssistantMessage("Slowly said.")
    connected = scene.times("engine_connected")
    assert connected[1] > scene.times("reply_finished")[0]


def test_an_engine_that_refuses_other_settings_goes_on_as_before():
    other = ScriptedEngine()
    other.refusals = [ProviderRejected("scripted", "no such voice")]

    async def script(scene: Scene) -> None:
        await scene.until(3)
        await scene.call.control.change_settings({"s2s": {"voice": "none"}}, "api")
        await scene.says(5, 0.5)
        await scene.until(9)

    engine = ScriptedEngine(["I am still here."], heard=["Are you?"])
    scene = changeable(Scene(engine=engine), speech=other).play(script)
    (notice,) = scene.data("engine_notice")
    assert "those from before stay" in notice["text"]
    assert "no such voice" in notice["text"]
    assert len(engine.sessions) == 1
    assert scene.history[-1] == AssistantMessage("I am still here.")
