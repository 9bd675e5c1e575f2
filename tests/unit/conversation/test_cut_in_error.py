"""A reply that was cut by a sound which was no turn goes on, and so does what it was to do."""

from __future__ import annotations

import pytest

from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import AssistantMessage, ToolResult, UserMessage
from tests.support.fake_line import ScriptedVoice
from tests.support.scene import DOWN, Scene, call_of, text

ASKED = "Sales, please."
SALES = '{"target": "sales"}'
CONNECTS = "I connect you to the sales department of our house, one moment please."


def told(messages):
    return [m.content for m in messages if isinstance(m, ToolResult)]


@pytest.mark.parametrize("at_s", [(4.3,), (5.0,), (6.5,), (5.0, 8.0), (5.5, 8.2)])
@pytest.mark.parametrize("what", ["transfer_call", "hang_up", "send_dtmf"])
def test_an_act_is_done_and_the_history_says_so(at_s, what):
    async def script(scene):
        await scene.says(3, 0.5)
        for at in at_s:
            await scene.says(at, 0.9)
        await scene.until(25)

    arguments = {"transfer_call": SALES, "send_dtmf": '{"digits": "12"}'}.get(what, "{}")
    goes = [*text(CONNECTS), call_of(what, arguments)]
    scene = Scene([goes, goes], [ASKED, "", ""]).play(script)
    assert len(scene.data("interrupted")) == len(at_s)
    assert len([did for did in scene.line.done if did[0] != "hang_up"]) == (what != "hang_up")
    assert "not done" not in told(scene.history)[0]


def test_an_act_of_a_reply_that_could_not_be_spoken_is_not_done_and_the_history_says_so():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(12)

    voice = ScriptedVoice(lambda text: None if text in {"Hello there.", "Sorry."} else
                          ProviderUnavailable("tts", "is down"))  # fmt: skip
    goes = [*text(CONNECTS), call_of("transfer_call", SALES)]
    scene = Scene([goes], [ASKED], voice=voice, fallback="Sorry.",
                  speculation={"enabled": False}).play(script)  # fmt: skip
    assert scene.line.done == []
    assert "not done" in told(scene.history)[0]


OPEN = [
    "We open at nine in the morning on every day but Sunday. ",
    "And we close at s",
    "ix. ",
    "And parking is free.",
]


def slow_answer(*last):
    first, *rest = OPEN
    return [*text(first), *(part for words in rest for part in (2.5, *text(words))), *last]


@pytest.mark.parametrize("at_s", [(6.5,), (7.5,), (6.5, 9.5), (6.5, 8.8, 11.0)])
def test_an_answer_that_the_model_still_writes_goes_on(at_s):
    """Sounds cost neither words nor another request."""

    async def script(scene):
        await scene.says(3, 0.5)
        for at in at_s:
            await scene.says(at, 0.9)
        await scene.until(20)

    llm = [slow_answer(), text("Something else.")]
    scene = Scene(llm, [ASKED, *[""] * 3]).play(script)
    assert len(scene.data("interrupted")) == len(at_s)
    assert len(scene.llm.requests) == 1
    words = " ".join(m.text for m in scene.history if isinstance(m, AssistantMessage))
    assert "".join(OPEN[1:]) in words
    assert UserMessage(ASKED) in scene.history
    assert any(turn.bot_text_heard.endswith(OPEN[-1]) for turn in scene.notes.turns)


def test_a_tool_that_the_model_asks_for_after_a_cut_in_error_runs():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(6.5, 0.9)
        await scene.until(20)

    goes = slow_answer(call_of("transfer_call", SALES))
    scene = Scene([goes, text("Something else.")], [ASKED, ""]).play(script)
    assert [what for what, _, _ in scene.line.done] == ["transfer"]
    assert len(scene.llm.requests) == 1


@pytest.mark.parametrize("words", ["But on Sunday?", "Stop."])
def test_an_answer_that_was_cut_by_words_is_written_no_further(words):
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(6.5, 0.9)
        await scene.until(9.0)
        open_streams.append(scene.llm.open)
        await scene.until(12)

    open_streams = []
    never = [*text(OPEN[0]), 100.0]
    Scene([never, text("Closed.")], [ASKED, words]).play(script)
    assert open_streams == [0]


def test_an_error_after_a_cut_in_error_is_one():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(6.5, 0.9)
        await scene.until(20)

    scene = Scene([[*text(OPEN[0]), 5.0, DOWN]], [ASKED, ""], fallback="Sorry.").play(script)
    assert AssistantMessage("Sorry.") in scene.history
    assert len(scene.llm.requests) == 1
