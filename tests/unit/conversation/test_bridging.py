"""Long waits are bridged with short words, which are no part of the reply."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.models import FillerConfig
from gateway.conversation.function_tool import tool
from gateway.conversation.silence_budget import filler_texts
from gateway.providers.contracts import AssistantMessage, UserMessage
from tests.support.scene import DOWN, GREETING, LONG, Scene, call_of, text

ASKED = "How are you?"
FILLERS = FillerConfig(
    after_ms=1500, every_ms=3000, first=("Hm.", "So."), later=("Still on it.", "Any moment."),
    give_up_s=20,
)  # fmt: skip


async def asks(scene):
    await scene.voice.render_ahead(filler_texts(scene.config.filler))
    await scene.says(3, 0.5)


def scene_of(*replies, **config):
    heard = config.pop("heard", [ASKED, ASKED, ASKED])
    return Scene(replies, heard, **({"filler": FILLERS, "fallback": "Sorry."} | config))


def waits(seconds):
    async def script(scene):
        await asks(scene)
        await scene.until(seconds)

    return script


def said(scene):
    return [(words["text"], words["is_filler"]) for words in scene.data("bot_says")][1:]


def test_a_slow_model_is_bridged():
    scene = scene_of([9.0, *text("Fine.")]).play(waits(16))
    assert said(scene) == [
        ("Hm.", True), ("Still on it.", True), ("Any moment.", True), ("Fine.", False),
    ]  # fmt: skip
    first, second, third, answer = scene.line.audible()[1:]
    assert first[0] == pytest.approx(5.0, abs=0.06)  # 1.5 s after the last word
    assert second[0] == pytest.approx(first[1] + 3, abs=0.1)
    assert third[0] == pytest.approx(second[1] + 3, abs=0.1)
    assert scene.history[1:] == (UserMessage(ASKED), AssistantMessage("Fine."))
    turn = scene.notes.turns[1]
    assert turn.fillers == ("Hm.", "Still on it.", "Any moment.")
    assert turn.bot_text_heard == turn.bot_text_generated == "Fine."
    assert turn.response_gap_ms == pytest.approx(1500, abs=60)
    assert turn.answer_gap_ms == pytest.approx((answer[0] - 3.5) * 1000, abs=41)
    assert scene.call.metrics.fillers.labels()._value.get() == 3


def test_a_slow_tool_is_bridged():
    @tool()
    async def order() -> str:
        """Order it."""
        await asyncio.sleep(4)
        return "done"

    scene = scene_of([call_of("order")], text("Done."), tools=[order]).play(waits(14))
    assert said(scene) == [("Hm.", True), ("Still on it.", True), ("Done.", False)]
    assert scene.notes.turns[1].tools[0].name == "order"
    assert AssistantMessage("Done.") == scene.history[-1]


def test_the_first_words_take_turns():
    async def script(scene):
        await asks(scene)
        await scene.says(9, 0.5)
        await scene.says(15, 0.5)
        await scene.until(21)

    slow = [2.5, *text("Fine.")]
    scene = scene_of(slow, slow, slow).play(script)
    assert [words for words, is_filler in said(scene) if is_filler] == ["Hm.", "So.", "Hm."]


def test_a_wait_after_words_is_bridged_and_is_a_first_wait_again():
    scene = scene_of([*text("One moment please. "), 4.0, *text("Fine.")]).play(waits(14))
    assert said(scene) == [("One moment please.", False), ("Hm.", True), ("Fine.", False)]
    words, filler = scene.line.audible()[1:3]
    assert filler[0] == pytest.approx(words[1] + 1.5, abs=0.1)
    assert scene.notes.turns[1].bot_text_heard == "One moment please. Fine."
    assert scene.history[-1] == AssistantMessage("One moment please. Fine.")


@pytest.mark.parametrize("delay_s", [0.0, 0.5, 1.0])
def test_no_filler_where_the_wait_is_short(delay_s):
    scene = scene_of([delay_s, *text(LONG)]).play(waits(13))
    assert scene.notes.turns[1].fillers == ()
    assert scene.notes.turns[1].answer_gap_ms is None
    assert scene.notes.turns[1].bot_text_heard == LONG


def test_no_filler_when_they_are_off():
    off = FillerConfig(after_ms=0)
    scene = scene_of([8.0, *text("Fine.")], filler=off).play(waits(14))
    assert said(scene) == [("Fine.", False)]


def test_no_filler_within_a_sentence_that_synthesis_is_slow_with():
    scene = scene_of(text(LONG))
    synthesize = scene.synthesizer.speak

    async def slow(words):
        n = 0
        async for chunk in synthesize(words):
            yield chunk
            n += 1
            if n == 10 and words != GREETING and len(words) > 12:
                await asyncio.sleep(3)

    scene.synthesizer.speak = slow
    scene.play(waits(18))
    assert scene.notes.turns[1].fillers == ()
    assert scene.notes.turns[1].bot_text_heard == LONG


def test_a_filler_while_the_voice_warms_up():
    scene = scene_of(text("Fine."))
    synthesize = scene.synthesizer.speak

    async def slow(words):
        if words == "Fine.":
            await asyncio.sleep(3)
        async for chunk in synthesize(words):
            yield chunk

    scene.synthesizer.speak = slow
    scene.play(waits(12))
    assert said(scene) == [("Hm.", True), ("Fine.", False)]
    assert scene.history[-1] == AssistantMessage("Fine.")


def test_no_filler_while_somebody_may_be_speaking():
    async def script(scene):
        await asks(scene)
        await scene.rustles(4.85, 0.5)
        await scene.until(12)

    scene = scene_of([4.0, *text("Fine.")], heard=[ASKED]).play(script)
    first = next(span for span in scene.line.audible()[1:])
    breath = scene.notes.turns[1].false_interruptions[0]
    assert first[0] >= breath.at_s + breath.silent_ms / 1000 - 0.001
    assert scene.notes.turns[1].fillers[0] == "Hm."


def test_fillers_that_could_not_be_rendered_are_not_said():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(16)

    scene = scene_of([9.0, *text("Fine.")]).play(script)
    assert said(scene) == [("Fine.", False)]
    turn = scene.notes.turns[1]
    assert turn.fillers == ()
    assert turn.answer_gap_ms is None
    assert turn.response_gap_ms > 9000
    assert scene.call.metrics.fillers.labels()._value.get() == 0


def test_a_filler_can_be_interrupted_and_is_not_remembered():
    async def script(scene):
        await asks(scene)
        await scene.says(5.1, 0.8)
        await scene.until(13)

    scene = scene_of([60.0], text("As you like."), heard=[ASKED, "Never mind that."])
    scene.play(script)
    assert scene.history[1:] == (
        UserMessage(f"{ASKED} Never mind that."), AssistantMessage("As you like."),
    )  # fmt: skip
    assert scene.notes.turns[1].fillers == ("Hm.",)


def test_a_reply_that_never_comes_is_given_up():
    config = {"llm_timeout_s": 100, "filler": FILLERS.model_copy(update={"give_up_s": 8.0})}
    scene = scene_of([60.0], **config).play(waits(14))
    assert scene.notes.turns[-1].bot_text_heard == "Sorry."
    assert scene.line.audible()[-1][0] == pytest.approx(3.5 + 8.0, abs=0.3)
    assert "not a word" in scene.notes.turns[1].error
    assert scene.history[-1] == AssistantMessage("Sorry.")


@pytest.mark.parametrize("after", [0, 10], ids=["before the first sound", "in mid-sentence"])
def test_a_hung_voice_ends_in_words(after):
    config = {"filler": FILLERS.model_copy(update={"give_up_s": 6.0})}
    scene = scene_of(text(LONG), **config)
    synthesize = scene.synthesizer.speak

    async def hangs(words):
        n = 0
        async for chunk in synthesize(words):
            if n == after and words in LONG:
                await asyncio.sleep(1000)
            yield chunk
            n += 1

    scene.synthesizer.speak = hangs
    scene.play(waits(18))
    assert "Sorry." in [turn.bot_text_heard for turn in scene.notes.turns]
    heard = scene.notes.turns[1].bot_text_heard
    assert heard is None if after == 0 else len(heard) <= 10


def test_a_failure_after_a_filler_is_apologized_for():
    scene = scene_of([3.0, DOWN], [3.0, DOWN]).play(waits(12))
    assert scene.notes.turns[-1].bot_text_heard == "Sorry."
    assert scene.notes.turns[1].fillers == ("Hm.",)
