"""Whole conversations on virtual time: who speaks when, what is heard, remembered and recorded."""

from __future__ import annotations

import asyncio

import pytest

from gateway.audio.format import AudioFormat
from gateway.call.line import Held, Resumed
from gateway.call.live_call import SayRequest
from gateway.config.models import BargeInConfig, SilenceConfig
from gateway.conversation.function_tool import tool
from gateway.errors import SipError, TransferFailed
from gateway.providers.contracts import (
    AssistantMessage,
    Expect,
    Memo,
    ToolResult,
    Usage,
    UserMessage,
)
from tests.support.fake_line import ScriptedVoice
from tests.support.scene import DOWN, GREETING, LONG, Scene, call_of, patient, text


def test_the_greeting_is_heard_and_remembered():
    async def script(scene):
        await scene.until(3)

    scene = Scene().play(script)
    assert len(scene.line.audible()) == 1
    assert scene.history == (AssistantMessage(GREETING),)
    assert scene.notes.turns[0].bot_text_heard == GREETING


def test_without_a_greeting_the_model_speaks_first():
    async def script(scene):
        await scene.until(3)

    scene = Scene([text("Good day.")], greeting="").play(script)
    assert scene.llm.requests[0].messages == ()
    assert scene.history == (AssistantMessage("Good day."),)


def test_a_turn_is_answered_and_its_figures_add_up():
    async def script(scene):
        await scene.says(3, 1.0)
        await scene.until(8)

    scene = Scene([[0.3, *text("Fine.")]], ["How are you?"]).play(script)
    assert scene.history[1:] == (UserMessage("How are you?"), AssistantMessage("Fine."))
    turn = scene.notes.turns[1]
    assert (turn.caller_text, turn.bot_text_heard) == ("How are you?", "Fine.")
    assert turn.endpointing_ms == pytest.approx(480, abs=40)
    assert turn.stt_final_ms == pytest.approx(60, abs=20)
    assert turn.llm_first_token_ms == pytest.approx(300, abs=1)
    assert turn.tts_first_audio_ms == pytest.approx(100, abs=1)
    assert turn.playout_start_ms <= 20
    wire_ms = (scene.line.audible()[1][0] - 4.0) * 1000
    assert turn.response_gap_ms == pytest.approx(wire_ms, abs=21)
    assert turn.gateway_share_ms == pytest.approx(turn.response_gap_ms - 400, abs=1)
    assert not turn.interrupted


def test_barge_in_silences_everything_at_once():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(6, 1.0)
        await scene.until(12)

    stream = [*text("This is a rather long answer that takes its time. "), 60.0, *text("Never.")]
    scene = Scene([stream, text("Yes.")], ["A question.", "Stop."]).play(script)
    reply, last = scene.line.audible()[1:]
    assert 6.0 < reply[1] <= 6.25
    assert last[0] > 7.4  # nothing of the old reply in between
    cut = scene.history[2]
    assert cut.interrupted
    assert LONG.startswith(cut.text)
    assert 0 < len(cut.text) < 50
    turn = scene.notes.turns[1]
    assert turn.interrupted
    assert turn.bot_text_heard == cut.text
    assert 20 <= turn.barge_in_stop_ms <= 120
    assert scene.history[3:] == (UserMessage("Stop."), AssistantMessage("Yes."))


def test_barge_in_while_thinking_joins_the_turns():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(4.2, 0.5)
        await scene.until(9)

    scene = Scene([[60.0], text("Two sugars then.")], ["Coffee please.", "Two sugars."])
    scene.play(script)
    assert scene.history[1:] == (
        UserMessage("Coffee please. Two sugars."),
        AssistantMessage("Two sugars then."),
    )
    assert len(scene.line.audible()) == 2
    assert scene.notes.turns[1].barge_in_stop_ms is None


def test_a_noise_while_thinking_does_not_cost_the_answer():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(4.2, 0.2)
        await scene.until(9)

    scene = Scene([[60.0], text("Here it is.")], ["Coffee please.", ""]).play(script)
    assert scene.history[1:] == (UserMessage("Coffee please."), AssistantMessage("Here it is."))
    assert scene.notes.turns[-1].caller_text == "Coffee please."


def test_an_uninterruptible_bot_finishes():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(4.5, 8.0)
        await scene.until(16)

    llm = [text(LONG), text("Yes.")]
    scene = Scene(
        llm,
        ["A question.", "Me again."],
        turn=patient(barge_in=BargeInConfig(interruptible=False)),
    )
    scene.play(script)
    assert not any(turn.interrupted for turn in scene.notes.turns)
    assert scene.history[2:] == (
        AssistantMessage(LONG),
        UserMessage("Me again."),
        AssistantMessage("Yes."),
    )


def test_words_said_into_an_uninterruptible_reply_are_answered_after_it():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(4.5, 0.5)
        await scene.until(13)

    turn = patient(barge_in=BargeInConfig(interruptible=False))
    llm = [text(LONG), text("Yes.")]
    scene = Scene(llm, ["A question.", "Me again."], turn=turn).play(script)
    assert scene.history[2:] == (
        AssistantMessage(LONG),
        UserMessage("Me again."),
        AssistantMessage("Yes."),
    )
    assert "turn_waits" in scene.notes.kinds()


def test_a_key_interrupts_and_is_an_answer():
    async def script(scene):
        await scene.until(0.5)
        scene.press("5")
        await scene.until(4)

    scene = Scene([text("Five it is.")]).play(script)
    typed = UserMessage("5", typed="paused")
    assert scene.history[-2:] == (typed, AssistantMessage("Five it is."))
    assert scene.notes.turns[0].interrupted


@pytest.mark.parametrize(("keys", "answer"), [("12345", "1234"), ("12#", "12"), ("12", "12")])
def test_digits_are_collected(keys, answer):
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(8)
        for key in keys[:4]:
            scene.press(key)
            await asyncio.sleep(0.3)
        await asyncio.sleep(4)

    asks = [*text("Your number?"), Expect("digits", digits=4)]
    scene = Scene([asks, text("Thanks.")], ["Hello."]).play(script)
    typed = UserMessage(answer, typed="paused" if keys == "12" else "ended")
    assert typed in scene.history


def test_digits_into_the_question_are_collected():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(4.6)
        for key in "1234":
            scene.press(key)
            await asyncio.sleep(0.3)
        await asyncio.sleep(3)

    asks = [Expect("digits", digits=4), *text("Please give me your customer number now.")]
    scene = Scene([asks, text("Thanks.")], ["Hello."]).play(script)
    typed = UserMessage("1234", typed="ended")
    assert scene.history[-2:] == (typed, AssistantMessage("Thanks."))


def test_recognition_knows_what_the_question_asked_for_though_it_was_cut():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(7.7, 0.5)  # it has been asked, but not to its end
        await scene.until(12)

    menu = Expect("choice", choices=("tea", "coffee"))
    scene = Scene([[menu, *text(LONG)], text("Yes.")], ["Hello.", "Tea."]).play(script)
    assert scene.recognizer.expected == [Expect(), menu]


SILENCE = SilenceConfig(reprompt_after_s=3, reprompts=("Anybody?", "Hello?"), goodbye="Bye now.")


def test_a_silent_caller_is_asked_twice_then_hung_up():
    async def script(scene):
        await scene.until(60)

    scene = Scene(silence=SILENCE).play(script)
    assert scene.ending.reason == "silence"
    assert scene.synthesizer.texts == [GREETING, "Anybody?", "Hello?", "Bye now."]
    starts = [start for start, _ in scene.line.audible()]
    ends = [end for _, end in scene.line.audible()]
    assert all(3.0 <= s - e <= 3.3 for s, e in zip(starts[1:], ends, strict=False))
    assert scene.notes.turns[-1].bot_text_heard == "Bye now."


@pytest.mark.parametrize("how", ["speech", "key"])
def test_a_sign_of_life_during_the_goodbye_keeps_the_call(how):
    async def script(scene):
        while "Bye now." not in scene.synthesizer.texts:  # noqa: ASYNC110 (virtual time)
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.2)
        if how == "key":
            scene.press("1")
        else:
            scene.line.speak(0.5)
        await asyncio.sleep(2.5)

    scene = Scene([text("Welcome back.")], ["Wait!"], silence=SILENCE).play(script)
    assert scene.ending is None
    assert scene.history[-1] == AssistantMessage("Welcome back.")


def test_hold_is_not_silence_and_nobody_is_understood_meanwhile():
    async def script(scene):
        await scene.until(2)
        scene.call.inbox.put_nowait(Held())
        scene.line.speak(1.0)
        await scene.until(20)
        scene.call.inbox.put_nowait(Resumed())
        await scene.says(21, 0.5)
        await scene.until(23)

    scene = Scene([text("Yes.")], ["Back again."], silence=SILENCE).play(script)
    assert scene.synthesizer.texts == [GREETING, "Yes."]


def test_the_operator_says_something():
    async def script(scene):
        await scene.until(0.4)
        scene.call.inbox.put_nowait(SayRequest("We close in five minutes."))
        await scene.until(5)

    scene = Scene().play(script)
    assert scene.history[-1] == AssistantMessage("We close in five minutes.")
    assert not scene.notes.turns[0].interrupted  # it follows what the bot is saying
    assert scene.history[0] == AssistantMessage(GREETING)


@pytest.mark.parametrize(
    "reply", [[DOWN], [*text("One moment please. "), 0.5, DOWN], [15.0]], ids=str
)
def test_a_failing_model_is_apologized_for_then_given_up(reply):
    async def script(scene):
        for at in (3, 12, 21):
            await scene.says(at, 0.5)
        await scene.until(60)

    silence = SilenceConfig(reprompt_after_s=50)
    heard = ["One.", "Two.", "Three."]
    scene = Scene(
        [reply] * 6, heard, fallback="Sorry.", give_up="Enough.", silence=silence,
        llm_timeout_s=2,
    ).play(script)  # fmt: skip
    spoken = [t for t in scene.synthesizer.texts if t in {"Sorry.", "Enough."}]
    assert spoken == ["Sorry.", "Sorry.", "Enough."]
    assert scene.ending.reason == "failed"
    assert len(scene.data("engine_failed")) == 3
    assert scene.notes.turns[-1].bot_text_heard == "Enough."


def test_an_answer_in_between_forgives_failures():
    async def script(scene):
        for at in (3, 9, 15, 21, 27):
            await scene.says(at, 0.5)
        await scene.until(33)

    twice = [[DOWN], [DOWN]]  # asked again, before it is given up
    llm = [*twice, *twice, text("Yes."), *twice, *twice]
    scene = Scene(llm, ["Again."] * 5, fallback="Sorry.").play(script)
    assert scene.ending is None


@pytest.mark.parametrize("heard", [DOWN, None], ids=["fails", "stays silent"])
def test_a_failing_recognizer_is_apologized_for_once_per_turn(heard):
    async def script(scene):
        for at in (3, 15, 27):
            await scene.says(at, 0.5)
        await scene.until(40)

    silence = SilenceConfig(reprompt_after_s=100)
    scene = Scene(
        heard=[heard] * 3, fallback="Sorry.", give_up="Enough.", silence=silence
    ).play(script)  # fmt: skip
    assert scene.synthesizer.texts == [GREETING, "Sorry.", "Sorry.", "Enough."]
    assert scene.ending.reason == "failed"


def test_a_failing_synthesizer_ends_the_call_after_three_tries():
    async def script(scene):
        await scene.until(60)

    scene = Scene(voice=ScriptedVoice(lambda _: DOWN)).play(script)
    assert scene.ending.reason == "failed"
    assert len(scene.data("engine_failed")) == 4


def test_tools_run_side_by_side_while_audio_flows():
    async def slow(minutes: int) -> str:
        """Look it up."""
        await asyncio.sleep(2.0)
        return f"{minutes} done"

    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(12)

    calls = [call_of("slow", '{"minutes": 1}'), call_of("slow", '{"minutes": 2}', "c2")]
    llm = [[*text("Let me look that up for you. "), *calls], text("Found.")]
    scene = Scene(llm, ["Look."], tools=[slow]).play(script)
    assert [t.duration_ms for t in scene.notes.turns[1].tools] == [2000.0, 2000.0]
    assert scene.history[-1] == AssistantMessage("Found.")
    start, end = scene.line.audible()[1]
    assert end - start > 1.3
    results = [m for m in scene.llm.requests[1].messages if isinstance(m, ToolResult)]
    assert [r.content for r in results] == ['"1 done"', '"2 done"']


@pytest.mark.parametrize(
    ("tool", "arguments", "done"),
    [
        ("hang_up", "{}", None),
        ("transfer_call", '{"target": "sales"}', ("transfer", "sip:sales@host")),
        ("send_dtmf", '{"digits": "42"}', ("digits", "42")),
    ],
)
def test_actions_wait_for_the_sentence_before_them(tool, arguments, done):
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(12)

    words = text("Certainly, one moment please, I will do that now.")
    scene = Scene([[*words, call_of(tool, arguments)]], ["Do it."]).play(script)
    end = scene.line.audible()[1][1]
    if done:
        what, at_s, how = scene.line.done[0]
        assert (what, how) == done
        assert at_s >= end
    reason = {"hang_up": "bot_hung_up", "transfer_call": "transferred"}.get(tool)
    assert (scene.ending.reason if scene.ending else None) == reason
    assert scene.notes.turns[1].bot_text_heard.endswith("now.")


def test_an_action_does_not_leave_a_later_lookup_untold():
    @tool(side_effects=False)
    async def look() -> str:
        """Look it up."""
        return "found"

    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(12)

    keys = call_of("send_dtmf", '{"digits": "42"}')
    looks = [*text("Let me see. "), call_of("look", call_id="c2")]
    scene = Scene([[keys], looks, text("Found it.")], ["Do it."], [look]).play(script)
    assert scene.notes.turns[1].bot_text_heard == "Let me see. Found it."


def test_a_refused_transfer_is_told_and_the_talk_goes_on():
    async def script(scene):
        scene.line.transfer_error = TransferFailed(486, "busy")
        await scene.says(3, 0.5)
        await scene.says(12, 0.5)
        await scene.until(18)

    goes = [*text("I connect you."), call_of("transfer_call", '{"target": "sales"}')]
    scene = Scene(
        [goes, text("Fine.")], ["Sales.", "Never mind."], transfer_failed="Nobody there."
    ).play(script)  # fmt: skip
    assert scene.ending is None
    assert scene.synthesizer.texts[-2:] == ["Nobody there.", "Fine."]


def test_a_transfer_that_was_cut_off_is_not_told_as_done():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(6.0, 0.5)
        await scene.until(10)

    words = text("I will connect you with our sales department right away.")
    goes = [*words, call_of("transfer_call", '{"target": "sales"}')]
    scene = Scene([goes, text("As you like.")], ["Sales.", "No, wait."]).play(script)
    assert scene.line.done == []
    result = next(m for m in scene.history if isinstance(m, ToolResult))
    assert result.is_error
    assert "not done" in result.content


def test_a_hang_up_in_mid_reply_leaves_nothing_behind():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(5)

    scene = Scene([[*text(LONG), 60.0]], ["A question."]).play(script)
    assert scene.notes.turns[-1].interrupted
    assert scene.history[-1].interrupted


def test_the_chain_is_named_for_the_log():
    async def script(scene):
        assert "ScriptedRecognizer -> ScriptedModel" in str(scene.talk)

    Scene().play(script)


def test_digits_that_cannot_be_sent_do_not_end_the_call():
    async def script(scene):
        async def fails(digits):
            raise SipError(500, "no media")

        scene.line.send_digits = fails
        await scene.says(3, 0.5)
        await scene.until(7)

    goes = [*text("Pressing."), call_of("send_dtmf", '{"digits": "1"}')]
    scene = Scene([goes], ["Press one."]).play(script)
    assert "digits_not_sent" in scene.notes.kinds()
    assert scene.ending is None


def test_a_model_that_only_calls_tools_is_stopped():
    async def look() -> str:
        """Look it up."""
        return "nothing"

    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(9)

    scene = Scene([[call_of("look")]] * 20, ["Look."], tools=[look], fallback="Sorry.")
    scene.play(script)
    assert len(scene.llm.requests) == 8
    assert scene.synthesizer.texts[-1] == "Sorry."


def test_a_memo_comes_back_and_tokens_are_counted():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(6, 0.5)
        await scene.until(9)

    llm = [[*text("One."), Memo("state"), Usage(10, 3)], [*text("Two."), Usage(20, 4)]]
    scene = Scene(llm, ["First.", "Second."]).play(script)
    assert [request.memo for request in scene.llm.requests] == [None, "state"]
    tokens = scene.call.metrics.llm_tokens
    assert tokens.labels("input")._value.get() == 30


def test_rendered_sentences_need_no_synthesizer_and_other_rates_fit():
    async def script(scene):
        await scene.voice.render_ahead([GREETING, "Sorry."])
        assert scene.voice.rendered(GREETING)
        scene.synthesizer.fails = lambda _: DOWN
        await scene.says(3, 0.5)
        await scene.until(8)

    voice = ScriptedVoice()
    voice.output_format = AudioFormat(16000)
    scene = Scene([text("Fails.")] * 2, ["Hello."], voice=voice, fallback="Sorry.")
    scene.play(script)
    assert scene.notes.turns[-1].bot_text_heard == "Sorry."


def test_recognition_at_another_rate_that_opens_late_misses_nothing():
    async def script(scene):
        scene.recognizer.input_format = AudioFormat(16000)
        scene.recognizer.opens_after_s = 1.5
        await scene.says(3, 0.5)
        await scene.until(9)

    scene = Scene([text("Yes.")], ["Hello."]).play(script)
    assert scene.history[-1] == AssistantMessage("Yes.")


def test_speech_during_a_transfer_is_not_for_the_bot():
    async def script(scene):
        async def slow(target, timeout_s):
            scene.line.speak(1.0)
            await asyncio.sleep(5)
            raise TransferFailed(408, "nobody")

        scene.line.transfer = slow
        await scene.says(3, 0.5)
        await scene.until(16)

    goes = [*text("I connect you."), call_of("transfer_call", '{"target": "sales"}')]
    scene = Scene([goes], ["Sales."], transfer_failed="Nobody there.").play(script)
    assert scene.notes.turns[-1].bot_text_heard == "Nobody there."
    assert not scene.notes.turns[-1].interrupted


def test_an_empty_answer_is_apologized_for():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(8)

    scene = Scene([[], []], ["Hello?"], fallback="Sorry.").play(script)
    assert scene.synthesizer.texts[-1] == "Sorry."
