"""Transfers and keys, whoever wants them: the caller hears a tone, nothing stands still."""

from __future__ import annotations

import asyncio

import pytest

from gateway.audio.level import peak
from gateway.config.models import SilenceConfig, TransferConfig
from gateway.errors import SipError, TransferFailed
from gateway.providers.contracts import AssistantMessage, ToolCall, ToolResult, UserMessage
from tests.support.fake_line import TICK_S
from tests.support.scene import GREETING, Scene, call_of, text

VOICE = 5000
"""Peak of what the bot says."""
SALES = '{"target": "sales"}'


def transferring(**config):
    goes = [*text("I connect you."), call_of("transfer_call", SALES)]
    return Scene([goes, text("Fine.")], ["Sales.", "Hello?"], transfer_failed="Nobody.", **config)


def test_a_ringing_tone_is_heard_while_a_transfer_lasts_and_not_after():
    async def script(scene):
        scene.line.transfer_takes_s = 12.0
        await scene.says(3, 0.5)
        await scene.until(20)

    scene = transferring().play(script)
    began, ended = scene.times("transfer_started")[0], scene.times("transferred")[0]
    rings = [(start, end) for start, end in scene.line.audible() if start > began]
    assert [round(start - began) for start, _ in rings] == [1, 6, 11]
    assert rings[-1][1] <= ended + 0.1
    assert scene.ending.reason == "transferred"


def test_no_tone_where_none_is_wanted():
    async def script(scene):
        scene.line.transfer_takes_s = 5.0
        await scene.says(3, 0.5)
        await scene.until(12)

    scene = transferring(transfer=TransferConfig(tone="none")).play(script)
    assert max(end for _, end in scene.line.audible()) <= scene.times("transfer_started")[0]


def test_hold_and_resume_by_the_peer_do_not_end_the_wait():
    async def script(scene):
        scene.line.transfer_takes_s = 6.0
        scene.line.transfer_error = TransferFailed(486, "busy")
        await scene.says(3, 0.5)
        await scene.until(7)
        scene.hold()
        await scene.until(7.5)
        scene.resume()
        await scene.says(8, 1.0)
        await scene.until(20)

    scene = transferring().play(script)
    assert UserMessage("Hello?") not in scene.history
    assert "Nobody." in [turn.bot_text_heard for turn in scene.notes.turns]


def test_keys_during_a_transfer_change_nothing():
    async def script(scene):
        scene.line.transfer_takes_s = 6.0
        await scene.says(3, 0.5)
        await scene.until(7)
        scene.press("1")
        await scene.until(16)

    scene = transferring().play(script)
    assert scene.ending.reason == "transferred"
    assert len(scene.llm.requests) == 1


def test_a_model_that_wants_it_answers_a_failed_transfer_itself():
    async def script(scene):
        scene.line.transfer_error = TransferFailed(486, "Busy Here")
        await scene.says(3, 0.5)
        await scene.until(12)

    call = ToolCall("c1", "transfer_call", SALES, is_followed=True)
    goes = [*text("I connect you."), call]
    scene = Scene([goes, text("Sales is busy.")], ["Sales."], transfer_failed="Nobody.")
    scene.play(script)
    assert scene.history[-1] == AssistantMessage("Sales is busy.")
    told = next(m for m in scene.llm.requests[1].messages if isinstance(m, ToolResult))
    assert (told.is_error, told.is_undone) == (True, False)
    assert "486" in told.content


def test_the_api_transfers_a_caller_as_a_tool_does():
    async def script(scene):
        scene.line.transfer_takes_s = 6.0
        scene.line.transfer_error = TransferFailed(486, "busy")
        await scene.until(0.5)
        end = scene.call.control.transfer("sip:x@host", "api")
        await scene.says(3, 1.0)  # nobody listens
        assert (await end).error is scene.line.transfer_error
        await scene.until(12)

    scene = Scene([text("No.")], ["Hello?"], transfer_failed="Nobody.").play(script)
    assert scene.notes.turns[0].interrupted
    assert GREETING.startswith(scene.notes.turns[0].bot_text_heard)
    assert scene.llm.requests == []
    assert scene.history[-1] == AssistantMessage("Nobody.")
    assert [data["by"] for data in scene.data("transfer_failed")] == ["api"]


def test_a_transfer_by_the_api_ends_the_talk():
    async def script(scene):
        await scene.until(3)
        assert (await scene.call.control.transfer("sip:x@host", "api")).error is None
        await scene.until(5)

    assert Scene().play(script).ending.reason == "transferred"


def test_a_second_transfer_is_refused_at_once():
    async def script(scene):
        scene.line.transfer_takes_s = 6.0
        await scene.until(3)
        first = scene.call.control.transfer("sip:x@host", "api")
        second = await scene.call.control.transfer("sip:y@host", "api")
        assert second.error.status == 491
        assert (await first).error is None

    assert [how for what, _, how in Scene().play(script).line.done if what == "transfer"] == [
        "sip:x@host"
    ]


@pytest.mark.parametrize("error", [None, SipError(500, "no stream")], ids=str)
def test_keys_of_the_api_are_recorded(error):
    async def script(scene):
        async def send(digits):
            if error is not None:
                raise error

        scene.line.send_digits = send
        await scene.until(3)
        assert (await scene.call.control.send_digits("12", "api")).error is error

    kind = "digits_not_sent" if error else "digits_sent"
    assert [data["by"] for data in Scene().play(script).data(kind)] == ["api"]


def test_what_the_operator_wants_said_waits_for_the_caller_to_finish():
    async def script(scene):
        await scene.says(3, 3.0)
        await scene.until(4)
        scene.operator_says("We close soon.")
        await scene.until(12)

    scene = Scene([text("Fine.")], ["A question."]).play(script)
    assert scene.history[1:] == (
        UserMessage("A question."), AssistantMessage("Fine."), AssistantMessage("We close soon."),
    )  # fmt: skip


def test_a_caller_who_breaks_off_the_bot_still_hears_the_operator():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(5)
        scene.operator_says("We close soon.")
        await scene.says(6.5, 1.0)
        await scene.until(20)

    long = "This is a rather long answer that takes its time."
    scene = Scene([text(long), text("Yes.")], ["A question.", "Stop."]).play(script)
    assert [m.text for m in scene.history[3:6]] == ["Stop.", "Yes.", "We close soon."]


def test_keys_are_sent_while_the_talk_goes_on():
    async def script(scene):
        async def slow(digits):
            await asyncio.sleep(3)

        scene.line.send_digits = slow
        await scene.says(3, 0.5)
        await scene.says(6, 0.5)  # the other side's menu speaks while keys are sent
        await scene.until(14)

    presses = [*text("Wait."), call_of("send_dtmf", '{"digits": "12"}')]
    scene = Scene([presses, text("Fine.")], ["Press one.", "Thank you."]).play(script)
    assert scene.history[-2:] == (UserMessage("Thank you."), AssistantMessage("Fine."))
    start = next(s for s, _ in scene.line.audible() if s > 6)
    assert start > scene.times("digits_sent")[0]


def in_band(script, *replies, heard, **config):
    """A scene on a line whose keys are tones in the audio."""

    async def whole(scene):
        scene.line.can = frozenset({"transfer"})
        await script(scene)

    return Scene(list(replies), heard, **config).play(whole)


LONG_ANSWER = "This is a rather long answer that takes its time."


def tones(scene):
    """Seconds at which a key sounds: the voice has one level, tones have others."""
    levels = [peak(frame) for frame in scene.line.played]
    return [n * TICK_S for n, level in enumerate(levels) if level and level != VOICE]


def test_keys_of_the_api_as_tones_do_not_cost_the_bots_words():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(5.0)
        assert scene.talk._floor.is_bots
        assert (await scene.call.control.send_digits("12", "api")).error is None
        await scene.until(14)

    scene = in_band(script, text(LONG_ANSWER), heard=["A question."])
    assert scene.history[-1] == AssistantMessage(LONG_ANSWER)
    assert scene.notes.turns[1].bot_text_heard == LONG_ANSWER
    assert not scene.notes.turns[1].interrupted
    sounding = [at for at in tones(scene) if at >= 5.0]
    assert len(sounding) == pytest.approx(16, abs=4)  # two keys of 160 ms
    assert max(sounding) < 5.6
    assert scene.line.audible()[-1][1] > 7.0  # the bot has gone on


def test_keys_as_tones_while_the_bot_thinks_cost_nothing_either():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(4.5)
        await scene.call.control.send_digits("1", "api")
        await scene.until(14)

    scene = in_band(script, [2.0, *text(LONG_ANSWER)], heard=["A question."])
    assert scene.notes.turns[1].bot_text_heard == LONG_ANSWER


def test_a_caller_who_breaks_in_does_not_end_the_keys():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(5.0)
        sending = scene.call.control.send_digits("1234567890", "api")
        await scene.says(5.5, 1.0)
        await sending
        await scene.until(16)

    scene = in_band(script, text(LONG_ANSWER), text("Yes?"), heard=["A question.", "Stop it."])
    sounding = [at for at in tones(scene) if at >= 5.0]
    assert max(sounding) > 7.2  # ten keys of 240 ms


def test_nobody_is_asked_for_an_answer_while_keys_are_sent():
    async def script(scene):
        async def slow(digits):
            await asyncio.sleep(12)

        scene.line.send_digits = slow
        await scene.until(3)
        await scene.call.control.send_digits("12", "api")
        await scene.until(25)

    silence = SilenceConfig(reprompt_after_s=4, reprompts=("Anybody?",), goodbye="Bye now.")
    scene = Scene(silence=silence).play(script)
    said = [(data["text"], at) for data, at in
            zip(scene.data("bot_says"), scene.times("bot_says"), strict=True)]  # fmt: skip
    assert [words for words, _ in said] == [GREETING, "Anybody?", "Bye now."]
    assert said[1][1] == pytest.approx(19, abs=0.5)  # silence counts from the end of the keys


def test_a_transfer_of_the_api_that_fails_leaves_what_the_bot_was_to_do():
    """The bot has taken leave while it ran: it still hangs up."""

    async def script(scene):
        scene.line.transfer_error = TransferFailed(486, "busy")
        await scene.says(3, 0.5)
        await scene.until(20)

    def then_transfers(scene):
        control, run = scene.call.control, scene.talk._actions.run

        def begin():
            if scene.talk._actions.is_waiting and not control.is_busy:
                scene.line.transfer_takes_s = 3.0
                scene.talk._actions.run = run
                control.transfer("sip:x@host", "api")
            return run()

        scene.talk._actions.run = begin

    async def whole(scene):
        then_transfers(scene)
        await script(scene)

    bye = [*text("Goodbye."), call_of("hang_up")]
    scene = Scene([bye], ["That is all."], transfer_failed="Nobody.").play(whole)
    assert scene.ending.reason == "bot_hung_up"
    assert "Nobody." not in [turn.bot_text_heard for turn in scene.notes.turns]


@pytest.mark.parametrize("is_followed", [False, True])
def test_a_model_is_told_that_keys_were_not_sent(is_followed):
    async def script(scene):
        async def send(digits):
            raise SipError(500, "no stream")

        scene.line.send_digits = send
        await scene.says(3, 0.5)
        await scene.until(8)
        await scene.says(9, 0.5)
        await scene.until(14)

    press = ToolCall("c1", "send_dtmf", '{"digits": "12"}', is_followed=is_followed)
    replies = [[*text("One moment."), press], text("That failed."), text("Yes.")]
    scene = Scene(replies, ["Press one.", "Hello?"]).play(script)
    told = [m for m in scene.llm.requests[1].messages if isinstance(m, ToolResult)]
    assert [(result.call_id, result.is_error) for result in told] == [("c1", True)]
    assert "no stream" in told[0].content
    assert len(scene.llm.requests) == 2 + is_followed


def test_what_is_under_way_when_a_call_ends_is_given_up():
    async def script(scene):
        async def slow(digits):
            await asyncio.sleep(8)

        scene.line.send_digits = slow
        scene.line.transfer_takes_s = 30.0
        await scene.until(3)
        control = scene.call.control
        tasks = [control.send_digits("1" * 32, "api"), control.transfer("sip:x@host", "api")]
        await scene.until(4)
        control.end()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        assert not control.is_busy
        assert not control.is_transferring
        assert asyncio.get_running_loop().time() == 4

    assert Scene().play(script).data("digits_not_sent") == [
        {"digits": "1" * 32, "problem": "the call has ended", "by": "api"}
    ]
