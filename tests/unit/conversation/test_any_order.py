"""Caller, tools, operator and transfers in any order: never silent, each tool settled once."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.models import FillerConfig, SilenceConfig
from gateway.conversation.function_tool import tool
from gateway.conversation.running_tools import PENDING
from gateway.conversation.silence_budget import filler_texts
from gateway.errors import TransferFailed
from gateway.providers.contracts import ToolCall, ToolResult
from gateway.turn.watchdog import limits_of
from tests.support.dead_line import longest_dead_s
from tests.support.scene import DOWN, LONG, Scene, patient, text

CONFIG = {
    "filler": FillerConfig(after_ms=1000, every_ms=2000, give_up_s=6),
    "silence": SilenceConfig(reprompt_after_s=3, reprompts=("Anybody?",), goodbye="Bye now."),
    "llm_timeout_s": 3,
    "tool_timeout_s": 7,
    "fallback": "Sorry.",
    "give_up": "Enough.",
    "transfer_failed": "Nobody.",
}
EXAMPLES = int(os.environ.get("ANY_ORDER_EXAMPLES", "12"))
ANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize="ANY_ORDER_EXAMPLES" not in os.environ,
)


@tool(side_effects=False)
async def look(seconds: float = 0.3) -> str:
    """Look it up."""
    await asyncio.sleep(seconds)
    return "found"


@tool()
async def order(seconds: float = 1.5) -> str:
    """Order it."""
    await asyncio.sleep(seconds)
    return "done"


pauses = st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.2, 2.5, 5.0])
moves = st.one_of(
    st.tuples(st.just("says"), st.sampled_from([0.2, 0.5, 0.9, 2.0])),
    st.tuples(st.just("says"), st.sampled_from([0.2, 0.5, 0.9, 2.0])),
    st.tuples(st.just("presses"), st.sampled_from("15#")),
    st.tuples(st.just("operator"), st.just("We close soon.")),
    st.tuples(st.just("keys"), st.sampled_from(["1", "123456"])),
    st.tuples(st.just("transfer"), st.sampled_from([0.0, 2.0])),
)
scripts = st.lists(st.tuples(pauses, moves), max_size=12)
words = st.lists(
    st.sampled_from(["How are you?", "I want a", "Uh-huh.", "Wait.", "", "", "Yes.", DOWN]),
    max_size=14,
)
CALLS = (
    ("look", "{}"), ("look", '{"seconds": 4}'), ("order", "{}"), ("order", '{"seconds": 6}'),
    ("order", '{"seconds": 60}'), ("hang_up", "{}"), ("send_dtmf", '{"digits": "12"}'),
    ("transfer_call", '{"target": "sales"}'), ("unknown", "{}"),
)  # fmt: skip


@st.composite
def replies(draw):
    events: list[object] = [draw(st.sampled_from([0.0, 0.0, 0.4, 2.0]))]
    for _ in range(draw(st.integers(0, 3))):
        found = draw(st.sampled_from(["Fine. ", LONG, "One moment, ", 0.5, 2.0]))
        events += text(found) if isinstance(found, str) else [found]
    # Ids begin anew with each answer, as some servers have it.
    for number in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        name, arguments = draw(st.sampled_from(CALLS))
        events.append(ToolCall(f"call_{number}", name, arguments, is_followed=draw(st.booleans())))
    return [*events, DOWN] if draw(st.integers(0, 9)) == 0 else events


async def perform(scene, move):
    match move:
        case "says", seconds:
            scene.line.speak(seconds)
            await asyncio.sleep(seconds)
        case "presses", key:
            scene.press(key)
        case "operator", said:
            scene.operator_says(said)
        case "keys", digits:
            scene.call.control.send_digits(digits, "api")
        case "transfer", seconds:
            scene.line.transfer_takes_s = seconds
            scene.call.control.transfer("sip:x@host", "api")


@contextmanager
def everything_ends(control):
    """Cancel transfers and keys that are under way at the end, as the end of a call does."""
    begin, begun = control._begin, []

    def kept(what):
        begun.append(begin(what))
        return begun[-1]

    control._begin = kept
    try:
        yield
    finally:
        for task in begun:
            task.cancel()


def play(script, heard, llm, stays_s, *, uses_tones):
    async def whole(scene):
        scene.line.can = frozenset({"transfer"} if uses_tones else {"transfer", "digits"})
        scene.line.transfer_error = TransferFailed(486, "busy")
        await scene.voice.render_ahead([*filler_texts(scene.config.filler), "Sorry.", "Enough."])
        with everything_ends(scene.call.control):
            for pause_s, move in script:
                await asyncio.sleep(pause_s)
                await perform(scene, move)
            await asyncio.sleep(stays_s)

    scene = Scene(llm, heard, [look, order], **(CONFIG | {"turn": patient()}))
    return scene.play(whole)


def assert_tools_are_settled(scene):
    called = Counter(data["tool"] for data in scene.data("tool_called"))
    ends = Counter(
        data["tool"] for kind in ("tool_finished", "tool_dropped") for data in scene.data(kind)
    )
    assert called == ends
    recorded = [use for turn in scene.notes.turns for use in turn.tools] + scene.call.tool_uses
    assert Counter(use.name for use in recorded if use.result != PENDING) == called
    results = [message for message in scene.history if isinstance(message, ToolResult)]
    assert not any(result.is_running for result in results)
    assert len({result.call_id for result in results}) == len(results)
    assert not scene.talk._talk.tools.is_running


def assert_acts_are_known(scene):
    """Nothing is done that the history says was not done."""
    results = [replace(m) for m in scene.history if isinstance(m, ToolResult) and not m.is_undone]
    known = Counter(result.name for result in results)
    by_agent = Counter(data["by"] for data in scene.data("transfer_started"))
    assert by_agent["agent"] <= known["transfer_call"]
    sent = Counter(data["by"] for data in scene.data("digits_sent"))
    assert sent["agent"] <= known["send_dtmf"]
    if scene.ending is not None and scene.ending.reason == "bot_hung_up":
        assert known["hang_up"]


def assert_record_is_complete(scene):
    assert [turn.index for turn in scene.notes.turns] == list(range(len(scene.notes.turns)))
    speculation = scene.call.speculation
    assert speculation.started == speculation.released + speculation.dropped


@ANY
@given(scripts, words, st.lists(replies(), max_size=10), st.booleans())
def test_to_the_end_of_the_talk(script, heard, llm, uses_tones):
    scene = play(script, heard, llm, 60.0, uses_tones=uses_tones)
    assert scene.ending is not None
    assert longest_dead_s(scene) <= limits_of(scene.config).total_s + 0.5
    assert "line_is_dead" not in scene.notes.kinds()
    assert_tools_are_settled(scene)
    assert_acts_are_known(scene)
    assert_record_is_complete(scene)


@ANY
@given(scripts, words, st.lists(replies(), max_size=10), pauses, st.booleans())
def test_to_a_hang_up_at_any_moment(script, heard, llm, stays_s, uses_tones):
    scene = play(script, heard, llm, stays_s, uses_tones=uses_tones)
    assert_tools_are_settled(scene)
    assert_acts_are_known(scene)
    assert_record_is_complete(scene)
