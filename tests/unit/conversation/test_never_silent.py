"""Whatever callers and engines do, the line is never dead for long, and every call ends."""

from __future__ import annotations

import asyncio
import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.models import FillerConfig, SilenceConfig
from gateway.conversation.function_tool import tool
from gateway.conversation.silence_budget import filler_texts
from gateway.providers.contracts import Expect, Memo
from gateway.turn.watchdog import limits_of
from tests.support.dead_line import longest_dead_s
from tests.support.scene import DOWN, LONG, Scene, call_of, patient, text

HANGS = 10_000.0
"""Seconds: longer than any call."""
CONFIG = {
    "filler": FillerConfig(after_ms=1000, every_ms=2000, give_up_s=6),
    "silence": SilenceConfig(reprompt_after_s=2, reprompts=("Anybody?",), goodbye="Bye now."),
    "llm_timeout_s": 3,
    "tool_timeout_s": 3,
    "fallback": "Sorry.",
    "give_up": "Enough.",
}
EXAMPLES = int(os.environ.get("NEVER_SILENT_EXAMPLES", "15"))


@tool(side_effects=False)
async def look() -> str:
    """Look it up."""
    await asyncio.sleep(0.3)
    return "found"


@tool()
async def order() -> str:
    """Order it."""
    await asyncio.sleep(1.5)
    return "done"


@tool()
async def hang() -> str:
    """Never come back."""
    await asyncio.sleep(HANGS)
    return "never"


lengths = st.sampled_from([0.06, 0.2, 0.5, 1.5, 4.0])
moves = st.one_of(
    st.tuples(st.just("says"), lengths),
    st.tuples(st.just("says"), lengths),
    st.tuples(st.just("rustles"), lengths),
    st.tuples(st.just("presses"), st.sampled_from("15#")),
    st.tuples(st.just("holds"), st.sampled_from([0.1, 1.0, 20.0])),
    st.tuples(st.just("operator"), st.just("We close soon.")),
)
pauses = st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.2, 2.5])
scripts = st.lists(st.tuples(pauses, moves), max_size=10)

words = st.sampled_from(
    ["How are you?", "I want a", "Uh-huh.", "Wait.", "Five five", "", "Yes.", None, DOWN]
)
said = st.lists(st.one_of(words, st.lists(words, min_size=1, max_size=3)), max_size=12)

delays = st.sampled_from([0.0, 0.4, 2.0, HANGS])
healthy_delays = st.sampled_from([0.0, 0.4, 2.0])


@st.composite
def replies(draw, delays=delays, *, may_fail=True):
    events: list[object] = [draw(delays)]
    for _ in range(draw(st.integers(0, 3))):
        found = draw(
            st.sampled_from(["Fine. ", LONG, "One moment, ", 0.5, Memo("state"), Expect("digits")])
        )
        events += text(found) if isinstance(found, str) else [found]
    last = draw(st.sampled_from(["", "look", "order", "hang", "hang_up", "fails"]))
    if last == "fails":
        return [*events, DOWN] if may_fail else events
    return [*events, call_of(last)] if last else events


voices = st.lists(st.sampled_from(["speaks", "speaks", "speaks", "fails", "hangs", "slow"]),
                  max_size=12)  # fmt: skip


async def perform(scene, move):
    match move:
        case "says", seconds:
            scene.line.speak(seconds)
            await asyncio.sleep(seconds)
        case "rustles", seconds:
            scene.line.rustle(seconds)
            await asyncio.sleep(seconds)
        case "presses", key:
            scene.press(key)
        case "holds", seconds:
            scene.hold()
            scene.held.append([len(scene.line.played), None])
            await asyncio.sleep(seconds)
            scene.resume()
            scene.held[-1][1] = len(scene.line.played)
        case "operator", what:
            scene.operator_says(what)


def make_voice_moody(scene, moods):
    moods = iter(moods)
    synthesize = scene.synthesizer.speak

    async def moody(piece):
        mood = next(moods, "speaks")
        if mood == "fails":
            raise DOWN
        count = 0
        async for chunk in synthesize(piece):
            yield chunk
            count += 1
            if count == 3 and mood != "speaks":
                await asyncio.sleep(HANGS if mood == "hangs" else 1.5)

    scene.synthesizer.speak = moody


def play(script, heard, llm, moods=(), stays_s=120.0, **config):
    async def whole(scene):
        await scene.voice.render_ahead([*filler_texts(scene.config.filler), "Sorry.", "Enough."])
        make_voice_moody(scene, moods)
        for pause_s, move in script:
            await asyncio.sleep(pause_s)
            await perform(scene, move)
        await asyncio.sleep(stays_s)

    tools = [look, order, hang]
    scene = Scene(llm, heard, tools, **(CONFIG | {"turn": patient()} | config))
    scene.play(whole)
    return scene


def check(scene):
    assert scene.ending is not None, "the caller has long been silent, and the call goes on"
    limit_s = limits_of(scene.config).total_s
    assert longest_dead_s(scene) <= limit_s + 0.5
    speculation = scene.call.speculation
    assert speculation.started == speculation.released + speculation.dropped
    indices = [turn.index for turn in scene.notes.turns]
    assert indices == sorted(set(indices))


SLOW = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@SLOW
@given(scripts, said, st.lists(replies(), max_size=10), voices)
def test_with_engines_that_fail_and_hang(script, heard, llm, moods):
    check(play(script, heard, llm, moods))


@SLOW
@given(
    scripts,
    st.lists(st.sampled_from(["How are you?", "I want a", "Uh-huh.", "Wait.", ""]), max_size=12),
    st.lists(replies(healthy_delays, may_fail=False), max_size=10),
    st.sampled_from([{}, {"interruptible": False}, {"protect_s": 2.0}, {"digits": False}]),
)
def test_with_healthy_engines_nothing_is_ever_stuck(script, heard, llm, barge_in):
    scene = play(script, heard, llm, turn=patient(barge_in=barge_in))
    check(scene)
    assert "line_is_dead" not in scene.notes.kinds()
    assert scene.ending.reason in {"silence", "bot_hung_up", "failed"}


@SLOW
@given(scripts, said, st.lists(replies(), max_size=10), voices, pauses)
def test_a_hang_up_at_any_moment_leaves_nothing(script, heard, llm, moods, stays_s):
    """`Scene.play` looks for tasks and streams that are left, and at the history."""
    scene = play(script, heard, llm, moods, stays_s)
    speculation = scene.call.speculation
    assert speculation.started == speculation.released + speculation.dropped
    assert [turn.index for turn in scene.notes.turns] == list(range(len(scene.notes.turns)))
