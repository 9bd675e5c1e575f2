"""What every dialogue does alike: a cascade of engines, and one that hears and speaks by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.config.models import SilenceConfig
from gateway.conversation.function_tool import tool
from gateway.errors import ProviderRejected, ProviderUnavailable
from gateway.providers.contracts import AssistantMessage, TextDelta, ToolResult, UserMessage
from tests.support.scene import GREETING, LONG, Scene, call_of
from tests.support.scripted_engine import ScriptedEngine, keys_told, words_told

ASKED = "How are you?"
KINDS = ["cascade", "engine", "gateway"]
"""The cascade; an engine that owns turns; an engine for which the gateway does."""


def scene_of(
    kind: str, answers: Sequence[Sequence[Any]], heard: Sequence[str] = (ASKED,) * 4, **config: Any
) -> Scene:
    if kind == "cascade":
        replies = [
            [TextDelta(item) if isinstance(item, str) else item for item in answer]
            for answer in answers
        ]
        split: list[list[Any]] = []
        for reply in replies:  # a model is asked again behind a tool call
            split.append([])
            for item in reply:
                split[-1].append(item)
                if hasattr(item, "arguments"):
                    split.append([])
        return Scene([reply for reply in split if reply], list(heard), **config)
    engine = ScriptedEngine(*answers, turns=kind, heard=heard)
    return Scene(engine=engine, **config)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def says_once(until: float = 12, for_s: float = 1.0):
    async def script(scene: Scene) -> None:
        await scene.says(3, for_s)
        await scene.until(until)

    return script


def test_it_answers_what_the_caller_says(kind: str):
    scene = scene_of(kind, [["Fine, thank you."]]).play(says_once())
    assert scene.history == (
        AssistantMessage(GREETING), UserMessage(ASKED), AssistantMessage("Fine, thank you."),
    )  # fmt: skip
    _, answer = scene.line.audible()
    assert 4.3 < answer[0] < 5.4
    turn = scene.notes.turns[1]
    assert turn.caller_text == ASKED
    assert turn.bot_text_heard == "Fine, thank you."
    assert turn.response_gap_ms == pytest.approx((answer[0] - 4.0) * 1000, abs=60)
    assert 0 <= turn.gateway_share_ms < turn.response_gap_ms


def test_an_interruption_cuts_it_at_once_and_the_history_has_what_was_heard(kind: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(6.0, 1.5)
        await scene.until(12)

    scene = scene_of(kind, [[LONG], ["Yes?"]], ["Tell me more.", "Stop, please."]).play(script)
    cut = scene.history[2]
    assert isinstance(cut, AssistantMessage)
    assert cut.interrupted
    assert cut.text
    assert LONG.startswith(cut.text)
    assert len(cut.text) < len(LONG) / 2
    begun, last = scene.line.audible()[1], scene.line.audible()[-1]
    assert begun[1] - 6.0 < 0.2  # silent within some frames of the first word
    assert scene.history[3:] == (UserMessage("Stop, please."), AssistantMessage("Yes?"))
    assert last[0] > 7.5
    if scene.engine is not None:
        ((reply_id, heard_ms), *_) = scene.engine.session.cuts
        assert reply_id == "1-1"
        assert heard_ms == pytest.approx((begun[1] - begun[0]) * 1000, abs=60)


def test_a_false_alarm_pauses_it_and_nothing_is_lost(kind: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.rustles(6.0, 0.12)
        await scene.until(14)

    scene = scene_of(kind, [[LONG]]).play(script)
    assert scene.history[-1] == AssistantMessage(LONG)
    assert len(scene.line.audible()) == 3  # greeting, the answer until the pause, and after it
    (pause,) = scene.notes.turns[1].false_interruptions
    assert pause.silent_ms < 800
    if scene.engine is not None:
        assert scene.engine.session.cuts == []


def test_a_tool_runs_and_its_result_is_answered(kind: str):
    called = []

    @tool(side_effects=False)
    async def stock(item: str) -> dict[str, int]:
        """Tell how many there are."""
        called.append(item)
        return {"count": 3}

    asks = call_of("stock", '{"item": "tea"}')
    scene = scene_of(kind, [["One moment.", asks, "There are three."]], tools=[stock]).play(
        says_once()
    )
    assert called == ["tea"]
    answers = [m for m in scene.history[2:] if isinstance(m, AssistantMessage)]
    assert [answer.text for answer in answers] == ["One moment.", "There are three."]
    (result,) = [m for m in scene.history if isinstance(m, ToolResult)]
    assert json.loads(result.content) == {"count": 3}
    (use,) = scene.notes.turns[1].tools
    assert (use.name, use.is_error) == ("stock", False)
    assert scene.notes.turns[1].bot_text_heard == "One moment. There are three."
    if scene.engine is not None:
        assert scene.engine.session.told[-1] == ((result,), True)


def test_what_acts_is_brought_to_its_end_when_the_caller_interrupts(kind: str):
    done = []

    @tool(side_effects=True)
    async def order() -> str:
        """Order."""
        await asyncio.sleep(6)
        done.append(1)
        return "ordered"

    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(6.5, 1.0)
        await scene.until(16)

    answers = [["I order it.", call_of("order")], ["Yes?"], ["It was ordered."]]
    scene = scene_of(kind, answers, ["One tea.", "Hello?"], tools=[order]).play(script)
    assert done == [1]
    results = [m for m in scene.history if isinstance(m, ToolResult)]
    assert [(r.content, r.is_running) for r in results] == [('"ordered"', False)]
    assert scene.history[-1] == AssistantMessage("It was ordered.")
    if scene.engine is not None:
        assert ((results[0],), True) in scene.engine.session.told


def test_it_hangs_up_once_its_goodbye_was_heard(kind: str):
    scene = scene_of(kind, [["Goodbye then.", call_of("hang_up")]]).play(says_once())
    assert scene.ending is not None
    assert scene.ending.reason == "bot_hung_up"
    assert scene.notes.turns[1].bot_text_heard == "Goodbye then."


def test_a_goodbye_that_is_cut_hangs_up_nothing(kind: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.says(6.4, 1.5)
        await scene.until(12)

    goodbye = "Goodbye then, it was really nice to talk to you today."
    answers = [[goodbye, call_of("hang_up")], ["I am still here."]]
    scene = scene_of(kind, answers, ["Bye.", "No, wait."]).play(script)
    assert scene.ending is None
    (result,) = [m for m in scene.history if isinstance(m, ToolResult)]
    assert result.is_undone
    if scene.engine is not None:
        assert ((result,), False) in scene.engine.session.told


def test_keys_are_answered(kind: str):
    async def script(scene: Scene) -> None:
        await scene.until(3)
        for digit in "42#":
            scene.press(digit)
        await scene.until(8)

    scene = scene_of(kind, [["Forty-two."]]).play(script)
    typed, answer = scene.history[1:]
    assert isinstance(typed, UserMessage)
    assert (typed.text, typed.typed) == ("42", "ended")
    assert answer == AssistantMessage("Forty-two.")
    if scene.engine is not None:
        assert keys_told(scene.engine.session) == ["42"]


def test_a_key_cuts_the_bot(kind: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(6)
        for digit in "1#":
            scene.press(digit)
        await scene.until(10)

    scene = scene_of(kind, [[LONG], ["One."]]).play(script)
    assert scene.history[-1] == AssistantMessage("One.")
    assert scene.history[2].interrupted
    assert scene.line.audible()[1][1] < 6.1


def test_what_the_operator_wants_said_is_said_by_our_voice(kind: str):
    async def script(scene: Scene) -> None:
        await scene.until(3)
        scene.operator_says("The line will close soon.")
        await scene.until(6)
        await scene.says(6, 0.5)
        await scene.until(10)

    scene = scene_of(kind, [["I see."]]).play(script)
    assert "The line will close soon." in scene.synthesizer.texts
    assert scene.history[:2] == (
        AssistantMessage(f"{GREETING} The line will close soon."), UserMessage(ASKED),
    ) or scene.history[1] == AssistantMessage("The line will close soon.")  # fmt: skip
    assert scene.history[-1] == AssistantMessage("I see.")
    if scene.engine is not None:
        assert words_told(scene.engine.session) == [GREETING, "The line will close soon."]


def test_what_the_operator_wants_said_follows_a_reply(kind: str):
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(5.5)
        scene.operator_says("Hurry.")
        await scene.until(14)

    scene = scene_of(kind, [[LONG]]).play(script)
    said = [words["text"] for words in scene.data("bot_says")]
    assert said[-1] == "Hurry."
    assert " ".join(said[1:-1]) == LONG


def test_nothing_is_heard_on_hold(kind: str):
    async def script(scene: Scene) -> None:
        await scene.until(3)
        scene.hold()
        await scene.says(3.5, 1.0)
        await scene.until(6)
        scene.resume()
        await scene.says(7, 1.0)
        await scene.until(12)

    scene = scene_of(kind, [["Welcome back."]]).play(script)
    assert scene.history[1:] == (UserMessage(ASKED), AssistantMessage("Welcome back."))
    assert scene.line.audible()[1][0] > 8
    if scene.engine is not None:
        session = scene.engine.session
        assert session.pauses == 1
        assert session.pushed_ms == pytest.approx((12 - 3) * 1000, abs=400)


def test_a_silent_caller_is_asked_again(kind: str):
    async def script(scene: Scene) -> None:
        await scene.until(12)

    silence = SilenceConfig(reprompt_after_s=4, reprompts=("Are you there?",))
    scene = scene_of(kind, [], silence=silence).play(script)
    assert "Are you there?" in scene.synthesizer.texts


# --- history goes from one dialogue to another ---


def test_a_lost_session_is_opened_again_with_the_history():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(7)
        scene.engine.session.report(ProviderUnavailable("scripted", "connection lost"))
        await scene.says(8, 0.5)
        await scene.until(12)

    scene = scene_of("engine", [["First."], ["Second."]], ["One.", "Two."]).play(script)
    first, second = scene.engine.sessions
    assert first.opening.messages == ()
    assert second.opening.messages == (
        AssistantMessage(GREETING), UserMessage("One."), AssistantMessage("First."),
    )  # fmt: skip
    assert second.opening.instructions == first.opening.instructions
    assert [spec.name for spec in second.opening.tools] == [
        spec.name for spec in first.opening.tools
    ]
    assert scene.history[3:] == (UserMessage("Two."), AssistantMessage("Second."))
    assert [data["goes_on"] for data in scene.data("engine_lost")] == ["reconnects"]


@pytest.mark.parametrize("after_s", [5.0, 0.02])
def test_the_cascade_takes_over_from_a_lost_engine(after_s: float):
    """With the history; what is said while the line is silent is not lost."""

    async def script(scene: Scene) -> None:
        await scene.until(after_s)
        scene.engine.refusals = [ProviderUnavailable("scripted", "is down")] * 2
        if scene.engine.sessions:
            scene.engine.session.report(ProviderUnavailable("scripted", "connection lost"))
        await scene.says(8, 0.5)
        await scene.until(14)

    engine = ScriptedEngine(["First."], heard=["One."])
    scene = Scene([[TextDelta("From the model.")]], ["Are you there?"], engine=engine).play(script)
    assert scene.history == (
        AssistantMessage(GREETING), UserMessage("Are you there?"),
        AssistantMessage("From the model."),
    )  # fmt: skip
    assert scene.data("engine_lost")[-1]["goes_on"] == "cascade"
    request = scene.llm.requests[-1]
    assert request.messages[-1] == UserMessage("Are you there?")


def test_the_cascade_answers_what_the_engine_owes():
    async def script(scene: Scene) -> None:
        await scene.says(3, 0.5)
        await scene.until(4.05)
        scene.engine.refusals = [ProviderRejected("scripted", "no such key")]
        scene.engine.session.report(ProviderUnavailable("scripted", "connection lost"))
        await scene.until(12)

    engine = ScriptedEngine([5.0, "Never."], heard=["One."])
    scene = Scene([[TextDelta("Fine.")]], engine=engine, fallback="Sorry?").play(script)
    assert scene.history[-1] == AssistantMessage("Sorry?")  # its words are not known
    assert scene.data("engine_lost")[-1]["goes_on"] == "cascade"


def test_without_a_stand_in_the_call_ends_with_an_apology():
    async def script(scene: Scene) -> None:
        await scene.until(20)

    engine = ScriptedEngine()
    engine.refusals = [ProviderRejected("scripted", "no such key")]
    table = {"provider": "scripted", "on_failure": "apologize"}
    scene = Scene(engine=engine, s2s=table, give_up="Goodbye.").play(script)
    assert scene.ending is not None
    assert scene.ending.reason == "failed"
    assert scene.synthesizer.texts[-1] == "Goodbye."
