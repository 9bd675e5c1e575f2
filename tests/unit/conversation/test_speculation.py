"""Replies that are prepared while the caller may go on: released, dropped, never a trace."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.models import BargeInConfig, SpeculationConfig
from gateway.conversation.function_tool import tool
from gateway.providers.contracts import AssistantMessage, Expect, Memo, Usage, UserMessage
from tests.support.scene import DOWN, GREETING, LONG, Scene, call_of, patient, text

PAUSING = [["A coffee.", "A coffee. And a tea."]]
"""Said in two breaths: what is understood after the first, and after both."""


async def two_breaths(scene):
    await scene.says(3, 0.5)
    await scene.says(3.8, 0.5)  # 300 ms later: the turn is not over
    await scene.until(9)


async def one_breath(scene):
    await scene.says(3, 0.5)
    await scene.until(8)


def counts(scene):
    known = scene.call.speculation
    return known.started, known.released, known.dropped


def test_a_prepared_reply_is_heard_with_the_end_of_the_turn():
    scene = Scene([text("Fine.")], ["How are you?"]).play(one_breath)
    assert len(scene.llm.requests) == 1
    assert counts(scene) == (1, 1, 0)
    assert scene.call.speculation.wasted_tokens == 0
    turn = scene.notes.turns[1]
    assert turn.speculative
    assert turn.response_gap_ms == pytest.approx(turn.endpointing_ms, abs=21)
    assert scene.history[1:] == (UserMessage("How are you?"), AssistantMessage("Fine."))


def test_nothing_of_it_is_heard_before():
    scene = Scene([text("Fine.")], ["How are you?"]).play(one_breath)
    ended = scene.times("turn_ended")[0]
    assert scene.line.audible()[1][0] >= ended - 0.001
    assert scene.times("bot_started")[1] >= ended


def test_without_speculation_the_reply_begins_with_the_end_of_the_turn():
    off = SpeculationConfig(enabled=False)
    scene = Scene([text("Fine.")], ["How are you?"], speculation=off).play(one_breath)
    assert counts(scene) == (0, 0, 0)
    turn = scene.notes.turns[1]
    assert not turn.speculative
    assert turn.response_gap_ms == pytest.approx(turn.endpointing_ms + 100, abs=21)


def test_a_reply_to_half_a_turn_leaves_no_trace_but_its_cost():
    llm = [[*text("One coffee. "), Memo("dropped"), 60.0], text("Both are on their way.")]
    scene = Scene(llm, PAUSING).play(two_breaths)
    assert counts(scene) == (2, 1, 1)
    assert scene.call.speculation.wasted_tokens > 0
    assert scene.call.metrics.llm_tokens_wasted.labels()._value.get() > 0
    assert scene.call.metrics.speculation.labels("dropped")._value.get() == 1
    assert [request.memo for request in scene.llm.requests] == [None, None]
    assert scene.history == (
        AssistantMessage(GREETING),
        UserMessage("A coffee. And a tea."),
        AssistantMessage("Both are on their way."),
    )
    assert scene.llm.requests[1].messages[-1] == UserMessage("A coffee. And a tea.")
    assert len(scene.notes.turns) == 2
    assert not any("coffee" in words["text"] for words in scene.data("bot_says"))


def test_recognition_is_told_that_nobody_waits_for_the_first_half():
    scene = Scene([text("Fine."), text("Both.")], PAUSING).play(two_breaths)
    assert scene.recognizer.went_on == 1
    scene = Scene([text("Fine.")], ["How are you?"]).play(one_breath)
    assert scene.recognizer.went_on == 0


def test_what_the_model_counts_replaces_the_estimate():
    llm = [[*text("One coffee. "), Usage(1000, 7), 60.0], text("Both.")]
    scene = Scene(llm, PAUSING).play(two_breaths)
    assert scene.call.speculation.wasted_tokens == 1007


def test_a_model_without_cost_wastes_nothing():
    scene = Scene([[*text("One coffee. "), 60.0], text("Both.")], PAUSING)
    scene.llm.counts_tokens = False
    scene.play(two_breaths)
    assert counts(scene) == (2, 1, 1)
    assert scene.call.speculation.wasted_tokens == 0


@pytest.mark.parametrize(
    ("limit", "prepared"), [(1, [False, False]), (100_000, [True, True])], ids=["spent", "left"]
)
def test_a_call_that_has_wasted_too_much_waits_for_the_end_of_turns(limit, prepared):
    async def script(scene):
        await two_breaths(scene)
        await scene.says(10, 0.5)
        await scene.until(14)

    llm = [text("One coffee."), text("Both."), text("Bye.")]
    allowed = SpeculationConfig(max_wasted_tokens=limit)
    scene = Scene(llm, [*PAUSING, "Thanks."], speculation=allowed).play(script)
    turns = [turn for turn in scene.notes.turns if turn.caller_text]
    # The first drop is what exceeds the limit: its own turn is answered without speculation.
    assert [turn.speculative for turn in turns] == prepared
    assert counts(scene)[0] == (1 if limit == 1 else 3)
    assert scene.history[-1] == AssistantMessage("Bye.")


@pytest.mark.parametrize("later", ["a coffee", "A coffee!", "A  Coffee?"])
def test_the_same_words_written_otherwise_release_it(later):
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(3.85)
        scene.recognizer.corrects(later)
        await scene.until(8)

    scene = Scene([text("Fine.")], ["A coffee."]).play(script)
    assert counts(scene) == (1, 1, 0)
    assert len(scene.llm.requests) == 1


def test_other_words_at_the_end_are_answered_afresh():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(3.85)
        scene.recognizer.corrects("A toffee.")
        await scene.until(8)

    scene = Scene([text("One coffee."), text("One toffee.")], ["A coffee."]).play(script)
    assert counts(scene) == (2, 1, 1)
    assert scene.history[1:] == (UserMessage("A toffee."), AssistantMessage("One toffee."))
    assert len(scene.line.audible()) == 2


class Tools:
    """One that only reads and one that acts; they remember when they began and how they ended."""

    def __init__(self, lasts_s=0.05):
        self.begun = []
        self.ended = []

        @tool(side_effects=False)
        async def look() -> str:
            """Look it up."""
            return await self._run("look", lasts_s)

        @tool()
        async def order() -> str:
            """Order it."""
            return await self._run("order", lasts_s)

        self.all = [look, order]

    async def _run(self, name, lasts_s):
        self.begun.append((name, asyncio.get_running_loop().time()))
        try:
            await asyncio.sleep(lasts_s)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        return "done"


def test_a_tool_that_only_reads_runs_ahead():
    tools = Tools()
    llm = [[call_of("look")], text("Found.")]
    scene = Scene(llm, ["Look it up, please."], tools.all).play(one_breath)
    ((name, at_s),) = tools.begun
    assert (name, scene.times("turn_ended")[0] > at_s) == ("look", True)
    assert scene.notes.turns[1].response_gap_ms < 520
    assert scene.notes.turns[1].tools[0].name == "look"


@pytest.mark.parametrize("lasts_s", [0.05, 5.0])
def test_tools_of_a_dropped_reply_are_in_the_record_of_the_next(lasts_s):
    tools = Tools(lasts_s)
    dropped = [text("Found.")] if lasts_s < 1 else []
    llm = [[call_of("look")], *dropped, [call_of("look")], text("Both.")]

    async def script(scene):
        await two_breaths(scene)
        await scene.until(12)

    scene = Scene(llm, PAUSING, tools.all).play(script)
    assert counts(scene) == (2, 1, 1)
    used = [use for turn in scene.notes.turns for use in turn.tools]
    assert len(used) == len(tools.begun) == 2
    dropped, kept = used
    assert (dropped.is_dropped, kept.is_dropped) == (True, False)
    assert (dropped.result == '"done"') == (lasts_s < 1)
    assert kept.result == '"done"'
    assert scene.call.take_tool_uses() == []


def test_a_tool_that_acts_waits_until_the_turn_is_surely_over():
    tools = Tools()
    llm = [[call_of("order")], text("Ordered.")]
    scene = Scene(llm, ["Order it, please."], tools.all).play(one_breath)
    ((_, at_s),) = tools.begun
    assert 4.5 <= at_s <= 4.56
    assert scene.history[-1] == AssistantMessage("Ordered.")


def test_a_complete_expected_answer_is_sure_in_half_the_time():
    async def script(scene):
        await one_breath(scene)
        await scene.says(8, 0.5)
        await scene.until(12)

    tools = Tools()
    llm = [[*text("Shall I order it?"), Expect("yes_no")], [call_of("order")], text("Done.")]
    Scene(llm, ["Hello.", "Yes."], tools.all).play(script)
    ((_, at_s),) = tools.begun
    assert 9.0 <= at_s <= 9.06


def test_a_tool_that_acts_never_runs_for_half_a_turn():
    tools = Tools()
    llm = [[call_of("order")], [call_of("order")], text("Both ordered.")]
    scene = Scene(llm, PAUSING, tools.all).play(two_breaths)
    assert [name for name, _ in tools.begun] == ["order"]
    assert tools.begun[0][1] >= 5.3 - 0.01
    assert [turn.tools for turn in scene.notes.turns if turn.tools] == [scene.notes.turns[1].tools]


def test_a_lookup_for_half_a_turn_is_cancelled():
    tools = Tools(lasts_s=5.0)
    llm = [[call_of("look")], text("Both.")]
    scene = Scene(llm, PAUSING, tools.all).play(two_breaths)
    assert tools.ended == ["cancelled"]
    assert scene.data("tool_dropped") == [{"tool": "look"}]
    assert scene.history[1:] == (UserMessage("A coffee. And a tea."), AssistantMessage("Both."))


@pytest.mark.parametrize(
    "first", [[DOWN], [*text("One moment please. "), DOWN]], ids=["at once", "after words"]
)
def test_a_prepared_reply_that_failed_is_tried_once_more_at_the_end(first):
    scene = Scene([first, text("Fine.")], ["How are you?"], fallback="Sorry.").play(one_breath)
    assert scene.history[1:] == (UserMessage("How are you?"), AssistantMessage("Fine."))
    assert "engine_failed" not in scene.notes.kinds()
    assert len(scene.llm.requests) == 2


def test_a_failing_voice_is_tried_once_more_too():
    scene = Scene([text("Fine.")] * 2, ["How are you?"], fallback="Sorry.")
    fails = iter([None, DOWN])
    scene.synthesizer.fails = lambda _: next(fails, None)
    scene.play(one_breath)
    assert scene.history[-1] == AssistantMessage("Fine.")


def test_a_long_reply_is_not_spoken_far_ahead():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(4.7)
        assert scene.synthesizer.open == 1  # in its first sentence still
        held = scene.talk._floor.preparation._held.reply
        assert held._playout._lane.queued <= 26
        await scene.until(9)

    slow = patient(whole_ms=1300)
    scene = Scene([text(LONG)], ["How are you?"], turn=slow).play(script)
    assert scene.notes.turns[1].bot_text_heard is not None


# --- whatever happens while a reply is held, nothing of it stays ---


async def _key(scene):
    scene.press("5")


async def _hold(scene):
    scene.hold()


async def _recognizer_fails(scene):
    scene.talk._events.put_nowait(DOWN)


@pytest.mark.parametrize(
    ("happens", "history"),
    [
        (_key, [UserMessage("A coffee. (The caller typed 5.)"), AssistantMessage("Five.")]),
        (_hold, []),
        (_recognizer_fails, [AssistantMessage("Sorry.")]),
    ],
    ids=["key", "hold", "recognizer"],
)  # fmt: skip
def test_a_held_reply_gives_way(happens, history):
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(3.8)
        assert scene.talk._floor.preparation._held is not None
        await happens(scene)
        await scene.until(4.0)
        assert scene.talk._floor.preparation._held is None
        await scene.until(8)

    llm = [[*text("One coffee. "), Memo("dropped"), 60.0], text("Five.")]
    scene = Scene(llm, ["A coffee."], fallback="Sorry.").play(script)
    assert list(scene.history[1:]) == history
    assert scene.call.speculation.dropped == 1
    assert "One coffee." not in str(scene.data("bot_says"))


def test_a_hang_up_while_a_reply_is_held_leaves_nothing():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(3.8)
        assert scene.talk._context._reply is not None

    slow = patient(whole_ms=3000)  # or the turn would end before the script does
    scene = Scene([[*text("One coffee. "), 60.0]], ["A coffee."], turn=slow).play(script)
    assert scene.history == (AssistantMessage(GREETING),)
    assert counts(scene) == (1, 0, 1)


def test_nothing_is_prepared_while_the_bot_must_not_be_interrupted():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(4.5, 0.5)
        await scene.until(12)

    deaf = patient(barge_in=BargeInConfig(interruptible=False))
    scene = Scene([text(LONG), text("Yes.")], ["A question.", "Me again."], turn=deaf)
    scene.play(script)
    assert counts(scene) == (1, 1, 0)
