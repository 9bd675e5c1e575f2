"""Sounds over the bot's voice: it holds its breath, then goes on or yields."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from gateway.audio.level import peak
from gateway.config.models import FillerConfig
from gateway.conversation.function_tool import tool
from gateway.providers.contracts import AssistantMessage, Spoken, UserMessage
from tests.support.fake_line import TICK_S
from tests.support.scene import GREETING, LONG, Scene, call_of, patient, text

ASKED = "How are you?"


async def asks(scene):
    """The answer begins at about 3.98 s."""
    await scene.says(3, 0.5)


def whole(scene):
    """The answer was heard to its end, in one turn and once in the history."""
    answer = scene.notes.turns[1]
    assert answer.bot_text_heard == LONG
    assert not answer.interrupted
    assert scene.history == (AssistantMessage(GREETING), UserMessage(ASKED), AssistantMessage(LONG))
    assert len(scene.llm.requests) == 1
    return answer


@pytest.mark.parametrize(("at_s", "for_s"), [(4.2, 0.1), (5.0, 0.04), (6.5, 0.3), (7.5, 0.1)])
def test_a_noise_costs_nothing_but_a_pause(at_s, for_s):
    async def script(scene):
        await asks(scene)
        await scene.rustles(at_s, for_s)
        await scene.until(12)

    scene = Scene([text(LONG)], [ASKED]).play(script)
    (breath,) = whole(scene).false_interruptions
    assert breath.evidence == "noise"
    assert breath.at_s == pytest.approx(at_s, abs=0.06)
    assert 40 <= breath.silent_ms <= 440
    assert scene.call.metrics._false_interruptions.labels("noise")._value.get() == 1
    spans = scene.line.audible()[1:]
    stopped = next(end for _, end in spans if end > at_s)
    assert stopped <= at_s + 0.08  # two frames after the chunk in which it began


def test_all_frames_are_played_in_order():
    """Numbered frames: what is repeated after a pause is all that differs."""

    async def script(scene):
        await asks(scene)
        await scene.rustles(5.0, 0.1)
        await scene.until(12)

    scene = Scene([text(LONG)], [ASKED])
    number = iter(range(5000, 30_000))

    async def synthesize(words):
        scene.synthesizer.texts.append(words)
        for _ in range(len(words) * 2):
            yield Spoken(np.full(160, next(number), "<i2").tobytes())

    scene.synthesizer.speak = synthesize
    scene.play(script)
    whole(scene)
    played = [peak(frame) for frame in scene.line.played if peak(frame) >= 5000 + 24]
    assert set(played) >= set(range(5024, next(number)))
    drops = [(a, b) for a, b in pairwise(played) if b != a + 1]
    assert len(drops) <= 2  # the faded frame and the way back
    assert all(0 <= a - b <= 52 for a, b in drops)


def test_recognition_learns_of_an_uh_huh_which_does_not_cost_the_sentence():
    async def script(scene):
        await asks(scene)
        await scene.says(6.0, 0.25)
        await scene.until(13)

    scene = Scene([text(LONG)], [ASKED, "Uh-huh."]).play(script)
    (breath,) = whole(scene).false_interruptions
    assert breath.evidence == "backchannel"


def test_the_caller_may_finish_a_long_nod_before_the_bot_goes_on():
    async def script(scene):
        await asks(scene)
        await scene.says(6.0, 0.55)
        await scene.until(13)

    scene = Scene([text(LONG)], [ASKED, "Uh-huh."]).play(script)
    (breath,) = whole(scene).false_interruptions
    assert breath.evidence == "backchannel"
    goes_on = next(begin for begin, _ in scene.line.audible() if begin > 6.0)
    assert 6.55 <= goes_on <= 6.8


def test_a_nod_without_end_does_not_keep_the_bot_silent():
    async def script(scene):
        await asks(scene)
        await scene.says(6.0, 1.1)
        await scene.until(13)

    scene = Scene([text(LONG)], [ASKED, "Uh-huh."]).play(script)
    goes_on = next(begin for begin, _ in scene.line.audible() if begin > 6.0)
    assert goes_on <= 7.1  # verdict, and LASTS


@pytest.mark.parametrize(
    ("words", "at_s"),
    [("Wait.", 4.2), ("Stop!", 6.0), ("No, listen.", 8.0), ("Hold on", 6.0), ("Yeah, wait.", 6.0),
     ("But what about cake?", 6.0)],
)  # fmt: skip
def test_words_that_want_the_floor_get_it(words, at_s):
    async def script(scene):
        await asks(scene)
        await scene.says(at_s, 0.35)
        await scene.until(at_s + 6)

    scene = Scene([text(LONG), text("Yes?")], [ASKED, words]).play(script)
    assert len(scene.data("interrupted")) == 1
    cut = scene.notes.turns[1]
    assert cut.interrupted
    assert cut.barge_in_stop_ms <= 140
    assert scene.history[-1] == AssistantMessage("Yes?")
    assert scene.history[-2].text.endswith(words)
    if not cut.reopened:
        assert LONG.startswith(scene.history[2].text)
        assert scene.history[2].interrupted


def test_what_was_heard_is_exact():
    """50 ms per letter: the caller has heard what fits into the time."""

    async def script(scene):
        await asks(scene)
        await scene.says(6.0, 0.6)
        await scene.until(12)

    scene = Scene([text(LONG), text("Yes?")], [ASKED, "But what about cake?"]).play(script)
    start, end = scene.line.audible()[1]
    letters = round((end - start) / 0.05)
    heard = scene.notes.turns[1].bot_text_heard
    assert LONG.startswith(heard)
    assert letters - 12 <= len(heard) <= letters


def test_a_second_suspicion_soon_after_does_not_unsay_what_was_heard():
    async def script(scene):
        await asks(scene)
        await scene.rustles(6.0, 0.1)
        await scene.says(6.5, 0.6)
        await scene.until(12)

    scene = Scene([text(LONG), text("Yes?")], [ASKED, "", "But what about cake?"]).play(script)
    first = next(end for start, end in scene.line.audible() if end > 5.9)
    letters = round((first - scene.line.audible()[1][0]) / 0.05)
    heard = scene.notes.turns[1].bot_text_heard
    assert len(heard) >= letters - 12


def test_what_was_heard_never_becomes_less():
    heard_ms, lane = [], []

    async def script(scene):
        await asks(scene)
        await scene.rustles(6.0, 0.1)
        while len(heard_ms) < 50:
            reply = scene.talk._floor._turn.reply
            heard_ms.append(reply.played_ms)
            lane.append(reply._playout._lane.played)
            await asyncio.sleep(TICK_S)
        await scene.until(12)

    Scene([text(LONG)], [ASKED]).play(script)
    assert lane != sorted(lane)  # some was said again
    assert heard_ms == sorted(heard_ms)


def test_no_tool_acts_while_the_caller_may_be_going_on():
    begun = []

    @tool()
    async def order() -> str:
        """Order it."""
        begun.append(asyncio.get_running_loop().time())
        return "done"

    async def script(scene):
        await asks(scene)
        await scene.rustles(4.35, 0.3)  # it would begin at 4.5
        await scene.until(8)

    scene = Scene([[call_of("order")], text("Done.")], [ASKED], [order]).play(script)
    (breath,) = scene.notes.turns[1].false_interruptions
    assert begun[0] >= breath.at_s + breath.silent_ms / 1000 - 0.001 > 4.6


def test_a_noise_while_it_thinks_delays_nothing():
    async def script(scene):
        await asks(scene)
        await scene.rustles(4.3, 0.1)
        await scene.until(12)

    scene = Scene([[1.5, *text(LONG)]], [ASKED]).play(script)
    whole(scene)
    assert scene.notes.turns[1].response_gap_ms == pytest.approx(240 + 1500 + 100, abs=45)


def test_words_ready_during_the_pause_wait_for_its_end():
    async def script(scene):
        await asks(scene)
        await scene.rustles(5.2, 0.3)
        await scene.until(12)

    # The words are there at 5.32, the verdict comes later.
    scene = Scene([[1.5, *text(LONG)]], [ASKED]).play(script)
    whole(scene)
    (breath,) = scene.notes.turns[1].false_interruptions
    assert scene.line.audible()[1][0] >= breath.at_s + breath.silent_ms / 1000


@pytest.mark.parametrize("before_end_s", [0.0, 0.02, 0.05, 0.1])
def test_a_noise_at_the_very_end(before_end_s):
    async def script(scene):
        await asks(scene)
        end = 3.98 + (len(LONG) - 1) * 0.05 + 0.02
        await scene.rustles(end - before_end_s - 0.06, 0.1)
        await scene.until(12)
        assert not scene.line.outlet.is_paused
        await scene.says(13, 0.5)
        await scene.until(17)

    scene = Scene([text(LONG), text("Yes.")], [ASKED, "", "Are you there?"]).play(script)
    assert scene.notes.turns[1].bot_text_heard == LONG
    assert scene.history[-1] == AssistantMessage("Yes.")
    assert scene.notes.turns[-1].bot_text_heard == "Yes."


def test_words_at_the_very_end_are_answered():
    async def script(scene):
        await asks(scene)
        end = 3.98 + (len(LONG) - 1) * 0.05 + 0.02
        await scene.says(end - 0.07, 0.8)
        await scene.until(14)

    scene = Scene([text(LONG), text("Yes.")], [ASKED, "Are you there?"]).play(script)
    assert scene.history[-2:] == (UserMessage("Are you there?"), AssistantMessage("Yes."))
    assert scene.notes.turns[-1].bot_text_heard == "Yes."


def test_a_tool_and_the_model_go_on_meanwhile():
    ended = []

    @tool()
    async def order() -> str:
        """Order it."""
        try:
            await asyncio.sleep(2.0)
        finally:
            ended.append(asyncio.get_running_loop().time())
        return "done"

    async def script(scene):
        await asks(scene)
        await scene.rustles(5.0, 0.1)  # it runs from 4.5 to 6.5
        await scene.until(13)

    silent = FillerConfig(after_ms=0)
    scene = Scene([[call_of("order")], [0.5, *text(LONG)]], [ASKED], [order], filler=silent)
    scene.play(script)
    assert ended == [pytest.approx(6.5, abs=0.05)]
    assert scene.notes.turns[1].bot_text_heard == LONG
    assert len(scene.llm.requests) == 2
    assert len(scene.notes.turns[1].false_interruptions) == 1


# --- what else may happen while the bot holds its breath ---


@pytest.mark.parametrize("happens", ["key", "late key", "hold", "operator", "hang_up"])
def test_it_may_not_stay_paused(happens):
    async def script(scene):
        await asks(scene)
        await scene.says(6.0, 0.25)
        await scene.until(6.3)  # the sound is over, the verdict is not there yet
        assert scene.line.outlet.is_paused
        match happens:
            case "key" | "late key":
                scene.press("5")
            case "hold":
                scene.hold()
            case "operator":
                scene.operator_says("We close soon.")
            case "hang_up":
                return
        await scene.until(6.34)
        assert not scene.line.outlet.is_paused
        await scene.until(14)

    digits = happens != "late key"
    turn = patient(barge_in={"digits": digits})
    llm = [text(LONG), text("Five.")]
    scene = Scene(llm, [ASKED, "Uh-huh."], turn=turn, fallback="Sorry.").play(script)
    heard = [turn.bot_text_heard for turn in scene.notes.turns]
    expected = {
        "key": "Five.", "late key": "Five.", "hold": LONG, "operator": "We close soon.",
        "hang_up": heard[-1],
    }  # fmt: skip
    assert heard[-1] == expected[happens]
    if happens in {"late key", "hold"}:
        assert heard[1] == LONG


def test_many_noises_in_a_row_do_not_stop_it_for_good():
    async def script(scene):
        await asks(scene)
        for n in range(30):
            await scene.rustles(4.2 + n * 0.25, 0.08)
        await scene.until(14)

    scene = Scene([text(LONG)], [ASKED]).play(script)
    whole(scene)


def test_an_echo_of_the_bots_own_words_is_none_of_the_callers():
    async def script(scene):
        await asks(scene)
        await scene.says(6.0, 0.3)
        await scene.until(13)

    scene = Scene([text(LONG)], [ASKED, "rather long answer"]).play(script)
    assert whole(scene).false_interruptions[0].evidence == "echo"


def test_the_frame_after_the_suspicion_is_silent_but_for_its_ramp():
    async def script(scene):
        await asks(scene)
        await scene.rustles(5.0, 0.2)
        await scene.until(12)

    scene = Scene([text(LONG)], [ASKED]).play(script)
    suspected = scene.times("barge_in_suspected")[0]
    frames = scene.line.played[round(suspected / TICK_S) :]
    assert peak(frames[1]) == 0  # at most one more, ramped down


def over_the_bot_while_recognition_is_down(for_s):
    async def script(scene):
        await asks(scene)
        await scene.until(5)
        scene.recognizer.is_down = True
        await scene.says(6.0, for_s)
        await scene.until(11)

    return Scene([text(LONG)], [ASKED], fallback="Sorry.").play(script)


def test_with_recognition_down_a_caller_who_goes_on_is_let_through():
    scene = over_the_bot_while_recognition_is_down(for_s=2.0)
    assert scene.notes.turns[1].interrupted
    assert scene.line.audible()[1][1] <= 6.1
    assert scene.notes.turns[-1].bot_text_heard == "Sorry."
    assert scene.ending is None


def test_with_recognition_down_a_short_sound_is_let_pass():
    scene = over_the_bot_while_recognition_is_down(for_s=0.3)
    assert whole(scene).false_interruptions[0].evidence == "no_words"
