"""A tool that has begun goes on when its reply is cut: nobody waits, its result is told."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.models import FillerConfig, SilenceConfig
from gateway.conversation.actions import HangUp
from gateway.conversation.function_tool import tool
from gateway.conversation.running_tools import PENDING, STOPPED
from gateway.conversation.silence_budget import filler_texts
from gateway.providers.contracts import (
    ToolResult,
    UserMessage,
)
from tests.support.scene import DOWN, LONG, Scene, call_of, text

BOOK = "Book a table for two."
SUNDAY = "Are you open on Sunday?"
FILLER = FillerConfig(after_ms=1000, every_ms=3000, first=("Hm.",), later=("Still on it.",),
                      give_up_s=6)  # fmt: skip
QUIET = SilenceConfig(reprompt_after_s=60)


def slow_tool(seconds, done=None, **options):
    @tool(**options)
    async def book() -> str:
        """Book it."""
        await asyncio.sleep(seconds)
        if done is not None:
            done.append(asyncio.get_running_loop().time())
        return "booked"

    return book


def scene_of(seconds, *replies, heard, done=None, **config):
    options = {"filler": FILLER, "silence": QUIET} | config
    booked = slow_tool(seconds, done, timeout_s=120.0)
    return Scene([[call_of("book")], *replies], heard, [booked], **options)


async def interrupts(scene, end_s, *at_s):
    await scene.voice.render_ahead(filler_texts(scene.config.filler))
    await scene.says(3, 0.5)
    for at in at_s:
        await scene.says(at, 0.8)
    await scene.until(end_s)


def results(messages):
    return [m.content for m in messages if isinstance(m, ToolResult)]


def said(scene):
    return [data["text"] for data in scene.data("bot_says") if not data["is_filler"]]


def test_the_operator_is_heard_while_a_tool_runs():
    async def script(scene):
        await scene.voice.render_ahead(filler_texts(scene.config.filler))
        await scene.says(3, 0.5)
        await scene.until(7)
        scene.operator_says("Please hold on.")
        await scene.until(25)

    scene = scene_of(12, text("It is booked."), heard=[BOOK]).play(script)
    assert said(scene)[1:] == ["Please hold on.", "It is booked."]
    assert 7 <= scene.times("bot_says")[scene.data("bot_says").index(
        {"text": "Please hold on.", "is_filler": False})] < 8.5  # fmt: skip
    assert results(scene.llm.requests[-1].messages) == ['"booked"']


def test_the_operator_does_not_end_a_tool_that_only_reads():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(6)
        scene.operator_says("Please hold on.")
        await scene.until(20)

    reads = slow_tool(6, timeout_s=120.0, side_effects=False)
    replies = [[call_of("book")], text("It is booked.")]
    scene = Scene(replies, [BOOK], [reads], filler=FILLER, silence=QUIET).play(script)
    assert said(scene)[1:] == ["It is booked.", "Please hold on."]


def test_who_speaks_while_a_tool_runs_is_answered_and_then_told_its_result():
    done = []
    scene = scene_of(12, text("Yes, until noon."), text("It is booked."), heard=[BOOK, SUNDAY],
                     done=done)  # fmt: skip
    scene.play(lambda s: interrupts(s, 25, 6))
    assert " ".join(said(scene)[1:]) == "Yes, until noon. It is booked."
    answered_s, told_s = scene.times("bot_says")[-1], scene.line.audible()[-1][0]
    assert done[0] == pytest.approx(16.5, abs=0.1)
    _, meanwhile, news = scene.llm.requests
    assert results(meanwhile.messages) == [PENDING]
    assert meanwhile.messages[-1] == UserMessage(SUNDAY)
    assert results(news.messages) == ['"booked"']
    assert news.messages[-1].content == '"booked"'  # behind what was said meanwhile
    assert answered_s - done[0] < 1.0
    assert told_s - done[0] < 1.0


def test_the_line_is_never_silent_for_long_meanwhile():
    scene = scene_of(30, text("Yes."), text("It is booked."), heard=[BOOK, SUNDAY])
    scene.play(lambda s: interrupts(s, 45, 6))
    stretches = scene.line.audible()
    gaps = [b[0] - a[1] for a, b in pairwise(stretches)]
    assert max(gaps) < 4.2, stretches
    assert said(scene)[-1] == "It is booked."
    assert "engine_failed" not in scene.notes.kinds()
    assert "line_is_dead" not in scene.notes.kinds()


@pytest.mark.parametrize("seconds", [8, 40, 90])
@pytest.mark.parametrize("fillers", [True, False])
def test_the_limit_is_the_tools_own(seconds, fillers):
    """Neither `give_up_s` nor the watchdog ends a wait that the tool's limit allows."""
    filler = FILLER if fillers else FillerConfig(after_ms=0, give_up_s=6)
    scene = scene_of(seconds, text("It is booked."), heard=[BOOK], filler=filler)
    scene.play(lambda s: interrupts(s, seconds + 12))
    assert said(scene)[-1] == "It is booked."
    assert {"engine_failed", "line_is_dead"}.isdisjoint(scene.notes.kinds())


def test_a_tool_beyond_its_limit_is_an_error_that_the_model_is_told():
    never = slow_tool(1000, timeout_s=20.0)
    scene = Scene([[call_of("book")], text("Yes."), text("That did not work.")], [BOOK, SUNDAY],
                  [never], filler=FILLER, silence=QUIET)  # fmt: skip
    scene.play(lambda s: interrupts(s, 40, 6))
    assert said(scene)[-1] == "That did not work."
    assert "within 20 s" in results(scene.llm.requests[-1].messages)[-1]


def test_a_noise_while_it_runs_changes_nothing():
    scene = scene_of(10, text("It is booked."), heard=[BOOK, ""])
    scene.play(lambda s: interrupts(s, 22, 6))
    assert said(scene)[-1] == "It is booked."
    assert len(scene.llm.requests) == 2


def test_a_result_that_comes_while_the_caller_speaks_is_in_the_next_answer():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(6, 4.0)  # the tool ends at 8.5
        await scene.until(18)

    scene = scene_of(4, text("Booked, and yes."), heard=[BOOK, SUNDAY]).play(script)
    last = scene.llm.requests[-1].messages
    assert results(last) == ['"booked"']
    assert last[-1] == UserMessage(SUNDAY)
    assert " ".join(said(scene)[1:]) == "Booked, and yes."
    assert len(scene.llm.requests) == 2


def test_a_result_that_comes_while_the_bot_answers_is_told_after_the_answer():
    scene = scene_of(5, text(LONG), text("It is booked."), heard=[BOOK, SUNDAY])
    scene.play(lambda s: interrupts(s, 25, 6))  # it ends at 9.5, the answer is not over
    assert " ".join(said(scene)[1:]) == f"{LONG} It is booked."
    assert scene.llm.requests[-1].messages[-1].content == '"booked"'


def test_the_same_call_is_not_made_twice():
    done = []
    scene = scene_of(
        12, [call_of("book", call_id="c2")], text("It is booked."), text("Told again."),
        heard=[BOOK, "Did you book it?"], done=done,
    )  # fmt: skip
    scene.play(lambda s: interrupts(s, 30, 6))
    assert len(done) == 1
    assert results(scene.llm.requests[2].messages) == ['"booked"', '"booked"']


def repeated(seconds, *, side_effects, first=(), second=()):
    """A model that answers with these calls, before and after it was cut."""
    begun = []

    @tool(side_effects=side_effects, timeout_s=60.0)
    async def work(what: str = "") -> str:
        """Do it."""
        begun.append(what)
        await asyncio.sleep(seconds)
        return f"done {what}"

    llm = [list(first), list(second), *[text("Fine.")] * 4]
    scene = Scene(llm, [BOOK, SUNDAY], [work, slow_tool(seconds, timeout_s=60.0)], filler=FILLER,
                  silence=QUIET)  # fmt: skip
    scene.play(lambda s: interrupts(s, 40, 6))
    return scene, begun


@pytest.mark.parametrize("side_effects", [True, False])
def test_each_of_two_equal_calls_of_one_answer_is_made_and_has_its_result(side_effects):
    """Two of the same may be meant: an answer does not repeat itself."""
    twice = [call_of("work", '{"what": "a"}', "c1"), call_of("work", '{"what": "a"}', "c1")]
    scene, begun = repeated(1, side_effects=side_effects, first=twice)
    assert begun == ["a", "a"]
    assert results(scene.llm.requests[1].messages) == ['"done a"', '"done a"']


def test_of_two_equal_calls_one_is_the_one_that_still_runs():
    one, other = (call_of("work", '{"what": "a"}', name) for name in ("c2", "c3"))
    scene, begun = repeated(12, side_effects=True, first=[call_of("work", '{"what": "a"}')],
                            second=[one, other])  # fmt: skip
    assert begun == ["a", "a"]
    assert results(scene.history) == ['"done a"'] * 3


def test_what_only_reads_is_read_again_though_a_read_still_runs():
    """The first belongs to an answer that also acts: so it went on when that was cut."""
    look = call_of("work", '{"what": "a"}', "c2")
    scene, begun = repeated(12, side_effects=False, first=[call_of("book"), look],
                            second=[call_of("work", '{"what": "a"}', "c3")])  # fmt: skip
    assert begun == ["a", "a"]
    assert set(results(scene.history)) == {'"booked"', '"done a"'}


def test_a_tool_that_is_cancelled_has_a_result_nevertheless():
    async def script(scene):
        await interrupts(scene, 8, 6)
        for task in scene.call._open_tools:
            task.cancel()
        await scene.until(20)

    scene = scene_of(60, text("Yes."), text("I do not know."), heard=[BOOK, SUNDAY]).play(script)
    assert results(scene.history) == [STOPPED]
    assert not scene.talk._talk.tools.is_running


def test_ids_that_a_server_counts_anew_are_kept_apart():
    look = slow_tool(0.1, side_effects=False)
    look.__name__ = "look"
    booked = slow_tool(12, timeout_s=60.0)
    llm = [[call_of("book")], [call_of("look")], text("Yes."), text("It is booked.")]
    scene = Scene(llm, [BOOK, SUNDAY], [booked, look], filler=FILLER, silence=QUIET)
    scene.play(lambda s: interrupts(s, 30, 6))
    ids = [m.call_id for m in scene.history if isinstance(m, ToolResult)]
    assert len(set(ids)) == len(ids) == 2
    assert said(scene)[-1] == "It is booked."


def test_who_hangs_up_does_not_stop_it():
    done = []
    scene = scene_of(12, text("Yes."), heard=[BOOK, SUNDAY], done=done)
    scene.play(lambda s: interrupts(s, 8, 6))
    assert done
    assert scene.notes.turns[1].tools[0].result == PENDING
    assert scene.data("tool_finished")[-1]["result"] == '"booked"'
    assert results(scene.history) == ['"booked"']


@pytest.mark.parametrize("last", ["hang_up", "fails"])
def test_the_end_of_the_talk_does_not_wait_for_it(last):
    done = []
    goodbye = [*text("Goodbye."), call_of("hang_up", call_id="c2")] if last == "hang_up" else [DOWN]
    scene = scene_of(40, goodbye, [DOWN], [DOWN], heard=[BOOK, SUNDAY, "Hello?", "Hello?"],
                     done=done, give_up="Enough.")  # fmt: skip
    scene.play(lambda s: interrupts(s, 70, 6, 12, 18))
    assert scene.ending.reason == ("bot_hung_up" if last == "hang_up" else "failed")
    assert scene.ended_s < 25 < done[0]
    assert scene.ended_s - scene.line.audible()[-1][1] < 0.1
    assert [(use.name, use.result) for use in scene.call.take_tool_uses()] == [("book", '"booked"')]
    assert results(scene.history)[0] == '"booked"'


def test_the_record_says_what_came_of_it():
    scene = scene_of(8, text("Yes."), text("It is booked."), heard=[BOOK, SUNDAY])
    scene.play(lambda s: interrupts(s, 22, 6))
    tools = [(use.name, use.result) for turn in scene.notes.turns for use in turn.tools]
    assert tools == [("book", PENDING), ("book", '"booked"')]
    assert scene.notes.turns[-1].tools[0].duration_ms == pytest.approx(8000, abs=50)


def test_an_action_of_a_tool_whose_reply_was_cut_is_not_done():
    @tool()
    async def close_account() -> HangUp:
        """Close it."""
        await asyncio.sleep(6)
        return HangUp("closed")

    llm = [[call_of("close_account")], text("Yes."), text("Not done.")]
    scene = Scene(llm, [BOOK, SUNDAY], [close_account], filler=FILLER, silence=QUIET)
    scene.play(lambda s: interrupts(s, 20, 6))
    assert scene.ending is None
    assert "not done" in results(scene.history)[0]


def test_a_model_that_cannot_answer_meanwhile_waits_with_fillers():
    scene = scene_of(12, text("Booked. Yes, until noon."), heard=[BOOK, SUNDAY])
    scene.llm.waits_for_tools = True
    scene.play(lambda s: interrupts(s, 25, 6))
    assert " ".join(said(scene)[1:]) == "Booked. Yes, until noon."
    assert results(scene.llm.requests[-1].messages) == ['"booked"']
    assert scene.llm.requests[-1].messages[-1] == UserMessage(SUNDAY)


def test_a_model_that_fails_with_the_news_is_not_asked_for_them_again_and_again():
    scene = scene_of(8, text("Yes."), [DOWN], text("Again."), heard=[BOOK, SUNDAY],
                     fallback="Sorry.")  # fmt: skip
    scene.play(lambda s: interrupts(s, 22, 6))
    assert said(scene)[-1] == "Sorry."
    assert len(scene.llm.requests) == 3
    assert results(scene.history) == ['"booked"']


@given(
    seconds=st.sampled_from([0.5, 2.0, 5.0, 9.0, 20.0]),
    moments=st.lists(st.floats(5.0, 24.0), max_size=5).map(sorted),
    words=st.lists(st.sampled_from([SUNDAY, "", "Wait.", "Uh-huh."]), min_size=5, max_size=5),
)
@settings(max_examples=15, deadline=None)
def test_however_often_the_caller_speaks_it_runs_once_and_is_known(seconds, moments, words):
    done = []
    scene = scene_of(seconds, *[text("Yes, fine.")] * 14, heard=[BOOK, *words], done=done)
    scene.play(lambda s: interrupts(s, 45, *moments))
    assert len(done) == 1
    assert results(scene.history) == ['"booked"']
    assert {"engine_failed", "line_is_dead"}.isdisjoint(scene.notes.kinds())
    assert not scene.talk._talk.tools.owes
