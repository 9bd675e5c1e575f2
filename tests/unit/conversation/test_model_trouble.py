"""What a conversation makes of a model that thinks aloud, says nothing, or has too much to read."""

from __future__ import annotations

import pytest

from gateway.config.models import FillerConfig, SilenceConfig, SpeculationConfig
from gateway.conversation.function_tool import tool
from gateway.errors import ContextExceeded
from gateway.providers.contracts import (
    AssistantMessage,
    Retracted,
    Thinking,
    ToolResult,
    UserMessage,
)
from tests.support.scene import DOWN, LONG, Scene, call_of, text

ASKED = "When do you open?"
QUIET = {"filler": FillerConfig(after_ms=0), "silence": SilenceConfig(reprompt_after_s=60)}
TOO_LONG = ContextExceeded("acme", "maximum context length is 100 tokens")


async def asks(scene, end_s=12):
    await scene.says(3, 0.5)
    await scene.until(end_s)


def said(scene):
    found = [data["text"] for data in scene.data("bot_says") if not data["is_filler"]]
    return " ".join(found[1:])


def test_what_was_taken_back_before_it_was_spoken_is_never_heard():
    llm = [*text("Okay, they ask for hours. "), Retracted(), *text("At nine.")]
    scene = Scene([llm], [ASKED], **QUIET).play(asks)
    assert said(scene) == "At nine."
    assert scene.history[-1] == AssistantMessage("At nine.")
    assert scene.notes.turns[1].bot_text_generated == "At nine."


@pytest.mark.parametrize("after_s", [0.05, 0.2, 0.5, 1.5, 3.0, 6.0])
def test_what_was_taken_back_while_it_was_spoken_ends_there(after_s):
    llm = [*text(f"{LONG} "), after_s, Retracted(), *text("At nine.")]
    scene = Scene([llm], [ASKED], **QUIET).play(lambda s: asks(s, 16))
    heard = scene.notes.turns[1].bot_text_heard
    assert heard.endswith("At nine.")
    thought = heard.removesuffix("At nine.").strip()
    assert LONG.startswith(thought)
    assert len(thought) <= after_s * 20 + 12  # 50 ms for a letter
    assert scene.history[-1].text.endswith("At nine.")
    assert scene.line.audible()[-1][1] > 4


def test_only_the_answer_that_it_belongs_to_is_taken_back():
    @tool(side_effects=False)
    async def look() -> str:
        """Look."""
        return "nine"

    llm = [
        [*text("One moment, please. "), call_of("look")],
        [*text("Hm, they ask. "), Retracted(), *text("At nine.")],
    ]
    scene = Scene(llm, [ASKED], [look], **QUIET).play(asks)
    assert scene.notes.turns[1].bot_text_heard == "One moment, please. At nine."


def test_a_model_that_thinks_for_long_has_not_failed():
    thoughts = [item for _ in range(12) for item in (1.0, Thinking())]
    scene = Scene([[*thoughts, *text("At nine.")]], [ASKED], llm_timeout_s=3.0, **QUIET)
    scene.play(lambda s: asks(s, 20))
    assert said(scene) == "At nine."
    assert "engine_failed" not in scene.notes.kinds()


def test_one_that_stops_thinking_has():
    scene = Scene([[1.0, Thinking(), 60.0]], [ASKED], llm_timeout_s=3.0, fallback="Sorry.", **QUIET)
    scene.play(asks)
    assert said(scene) == "Sorry."


def test_an_empty_answer_is_asked_for_once_more_at_once():
    scene = Scene([[], text("At nine.")], [ASKED], **QUIET).play(asks)
    assert said(scene) == "At nine."
    off = SpeculationConfig(enabled=False)
    llm = [[], [], text("Never.")]
    scene = Scene(llm, [ASKED], fallback="Sorry.", speculation=off, **QUIET).play(asks)
    assert said(scene) == "Sorry."
    assert len(scene.llm.requests) == 2


def test_a_history_that_is_too_long_is_shortened_and_stays_so():
    async def script(scene):
        for at in (3, 7, 11, 15):
            await scene.says(at, 0.5)
        await scene.until(20)

    answer = text("At nine, I think.")
    llm = [answer, answer, [TOO_LONG], answer, answer]
    scene = Scene(llm, ["One?", "Two?", "Three?", "Four?"], **QUIET).play(script)
    refused, shorter, later = (request.messages for request in scene.llm.requests[2:])
    assert len(shorter) < len(refused)
    assert shorter[-1] == UserMessage("Three?")
    assert len(later) < len(refused) + 2
    assert "engine_failed" not in scene.notes.kinds()
    assert len(scene.data("history_shortened")) == 1


def test_a_long_result_is_cut_when_nothing_else_is_left():
    @tool(side_effects=False)
    async def look() -> str:
        """Look."""
        return "x" * 5000

    llm = [[call_of("look")], [TOO_LONG], text("At nine.")]
    scene = Scene(llm, [ASKED], [look], **QUIET).play(asks)
    sizes = [
        len(m.content) for r in scene.llm.requests for m in r.messages if isinstance(m, ToolResult)
    ]
    assert sizes[1] < sizes[0] * 0.7
    assert said(scene) == "At nine."


def test_what_cannot_be_shortened_fails_as_it_did():
    scene = Scene([[TOO_LONG], [DOWN]], [ASKED], greeting="", fallback="Sorry.", **QUIET)
    scene.play(asks)
    assert "Sorry." in [turn.bot_text_heard for turn in scene.notes.turns]
