"""Answers that came too soon are taken back; what a false cut has cost is said after all."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.models import FillerConfig
from gateway.conversation.function_tool import tool
from gateway.providers.contracts import AssistantMessage, Expect, ToolResult, UserMessage
from tests.support.scene import DOWN, GREETING, LONG, Scene, call_of, patient, text

COFFEE, TEA = "A coffee please.", "And a tea."
BOTH = f"{COFFEE} {TEA}"


async def goes_on_at(scene, at_s, for_s=0.5):
    """A turn that ends at 3.98 s, and more words later."""
    await scene.says(3, 0.5)
    await scene.says(at_s, for_s)
    await scene.until(at_s + 6)


def last_request(scene):
    return scene.llm.requests[-1].messages


@pytest.mark.parametrize("at_s", [4.1, 4.6, 5.2])
def test_a_caller_who_goes_on_soon_continues_the_turn(at_s):
    async def script(scene):
        await goes_on_at(scene, at_s)

    scene = Scene([text(LONG), text("Both it is.")], [COFFEE, TEA]).play(script)
    assert scene.history == (
        AssistantMessage(GREETING), UserMessage(BOTH), AssistantMessage("Both it is."),
    )  # fmt: skip
    assert last_request(scene) == (AssistantMessage(GREETING), UserMessage(BOTH))
    first, second = scene.notes.turns[1:]
    assert (first.reopened, first.interrupted) == (True, True)
    assert not second.reopened
    assert second.caller_text == BOTH
    assert scene.line.audible()[1][1] <= at_s + 0.2  # the bot stopped
    assert scene.call.metrics.false_starts.labels()._value.get() == 1
    assert scene.data("interrupted")[0]["reopened"]


def test_even_before_anything_was_heard():
    async def script(scene):
        await goes_on_at(scene, 4.5)

    scene = Scene([[60.0], text("Both it is.")], [COFFEE, TEA]).play(script)
    assert scene.history[1:] == (UserMessage(BOTH), AssistantMessage("Both it is."))
    assert scene.notes.turns[1].reopened
    assert len(scene.line.audible()) == 2


def test_twice():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(4.3, 0.5)
        await scene.says(5.6, 0.5)
        await scene.until(11)

    llm = [text(LONG), text(LONG), text("All three.")]
    scene = Scene(llm, [COFFEE, TEA, "And a cake."]).play(script)
    whole = f"{BOTH} And a cake."
    assert scene.history[1:] == (UserMessage(whole), AssistantMessage("All three."))
    assert [turn.reopened for turn in scene.notes.turns] == [False, True, True, False]


@pytest.mark.parametrize("reopen_ms", [0, 800, 1500])
def test_later_it_is_an_interruption(reopen_ms):
    async def script(scene):
        await goes_on_at(scene, 4.1 + reopen_ms / 1000 + 0.2)

    turn = patient(reopen_ms=reopen_ms)
    scene = Scene([text(LONG), text("Tea.")], [COFFEE, TEA], turn=turn).play(script)
    asked, cut, later, answer = scene.history[1:]
    assert (asked, later) == (UserMessage(COFFEE), UserMessage(TEA))
    assert cut.interrupted
    assert LONG.startswith(cut.text)
    assert answer == AssistantMessage("Tea.")
    assert not any(turn.reopened for turn in scene.notes.turns)


def test_not_after_a_tool_has_acted():
    @tool()
    async def order() -> str:
        """Order it."""
        return "done"

    async def script(scene):
        await goes_on_at(scene, 5.2)  # the tool begins at 4.5

    llm = [[call_of("order")], text(LONG), text("Tea.")]
    scene = Scene(llm, [COFFEE, TEA], [order]).play(script)
    kinds = [type(message) for message in scene.history[1:]]
    assert kinds == [UserMessage, AssistantMessage, ToolResult, AssistantMessage, UserMessage,
                     AssistantMessage]  # fmt: skip
    assert not scene.notes.turns[1].reopened
    assert scene.notes.turns[1].interrupted


def test_not_after_a_complete_answer_that_the_bot_has_begun_to_reply_to():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(8, 0.5)
        await scene.says(9.3, 0.5)
        await scene.until(15)

    asks = [*text("Is that all?"), Expect("yes_no")]
    scene = Scene([asks, text(LONG), text("Tea.")], [COFFEE, "Yes.", "And a tea."]).play(script)
    assert scene.history[3] == UserMessage("Yes.")
    assert scene.history[4].interrupted
    assert scene.history[5:] == (UserMessage("And a tea."), AssistantMessage("Tea."))


def test_a_complete_answer_is_gone_on_with_until_one_can_react_to_the_bot():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(8, 0.5)
        await scene.says(8.9, 0.5)  # "Yes, that's right."
        await scene.until(14)

    asks = [*text("Is that all?"), Expect("yes_no")]
    heard = [COFFEE, "Yes.", "That's right."]
    scene = Scene([asks, text(LONG), text("Fine.")], heard).play(script)
    assert scene.notes.turns[2].barge_in_stop_ms > 0
    assert scene.notes.turns[2].reopened
    assert scene.history[3:] == (UserMessage("Yes. That's right."), AssistantMessage("Fine."))


def test_what_the_dialogue_expected_is_expected_again():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(8, 0.5)
        await scene.until(8.98 + 0.9)
        scene.line.speak(0.5)
        await scene.until(16)

    number = Expect("phone_number")
    asks = [*text("Your number?"), number]
    next_asks = [Expect("yes_no"), *text(LONG)]
    scene = Scene(
        [asks, next_asks, text("Thanks.")], ["Hello.", "Five five", "One two three four five."],
        turn=patient(unfinished_ms=480, dictation_ms=480),
    ).play(script)  # fmt: skip
    expected = [entry["expect"] for entry in scene.data("expects")]
    assert Expect("yes_no") not in expected  # that question was not heard
    assert expected[-2:] == [number, Expect()]
    assert scene.history[3] == UserMessage("Five five One two three four five.")


def test_without_more_words_the_first_answer_is_given_again():
    async def script(scene):
        await goes_on_at(scene, 4.5)

    scene = Scene([text(LONG), text(LONG)], [COFFEE, ""]).play(script)
    assert scene.history[1:] == (UserMessage(COFFEE), AssistantMessage(LONG))
    assert scene.notes.turns[-1].bot_text_heard == LONG
    assert scene.notes.turns[-1].caller_text == COFFEE


def test_a_long_noise_does_not_use_up_the_patience_with_the_answer():
    """The wait of the answer that is given again counts from there."""

    async def script(scene):
        await goes_on_at(scene, 4.5, for_s=8.0)
        await scene.until(17)

    filler = FillerConfig(give_up_s=5)
    scene = Scene([text(LONG), [0.5, *text("Fine.")]], [COFFEE, ""], filler=filler).play(script)
    assert scene.history[1:] == (UserMessage(COFFEE), AssistantMessage("Fine."))
    assert scene.notes.turns[-1].fillers == ()


def test_after_a_false_cut_the_rest_is_said_after_all():
    async def script(scene):
        await goes_on_at(scene, 7.0)

    scene = Scene([text(LONG)], [COFFEE, ["And what", ""]]).play(script)
    first, rest = scene.notes.turns[1:]
    assert first.interrupted
    assert not first.reopened
    assert rest.bot_text_heard.endswith("And it has another sentence too.")
    assert len(scene.llm.requests) == 1
    heard = [message.text for message in scene.history if isinstance(message, AssistantMessage)]
    assert heard[1] == first.bot_text_heard
    assert heard[2] == rest.bot_text_heard  # the model knows what it has said


def test_what_a_falsely_cut_reply_was_to_do_is_done_after_all():
    async def script(scene):
        await goes_on_at(scene, 7.0)

    sends = [*text(LONG), call_of("send_dtmf", '{"digits": "42"}')]
    scene = Scene([sends], [COFFEE, ["And what", ""]]).play(script)
    ((what, at_s, digits),) = scene.line.done
    assert (what, digits) == ("digits", "42")
    assert at_s >= scene.line.audible()[-1][1]
    (told,) = [message for message in scene.history if isinstance(message, ToolResult)]
    assert not told.is_error  # the model knows that it was done


def test_unless_the_rest_of_it_is_cut_for_good():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(7, 0.5)
        await scene.says(8.6, 0.5)  # the rest is heard from 8.1 to 9.7
        await scene.until(14)

    sends = [*text(LONG), call_of("send_dtmf", '{"digits": "42"}')]
    heard = [COFFEE, ["And what", ""], "Stop."]
    scene = Scene([sends, text("Yes?")], heard).play(script)
    (told,) = [message for message in scene.history if isinstance(message, ToolResult)]
    assert told.is_error
    assert "not done" in told.content
    assert scene.line.done == []
    assert scene.history[-1] == AssistantMessage("Yes?")


def test_a_false_cut_while_the_model_still_streams_loses_nothing():
    async def script(scene):
        await goes_on_at(scene, 7.0)

    first, rest = "This is a rather long answer that takes its time.", "And the rest."
    scene = Scene([[*text(f"{first} "), 6.0, *text(rest)]], [COFFEE, ["And what", ""]])
    cut, again = scene.play(script).notes.turns[1:3]
    assert cut.interrupted
    assert cut.bot_text_heard == first  # it was heard to its end by then
    assert again.bot_text_heard == rest
    assert len(scene.llm.requests) == 1
    assert [m.text for m in scene.history[1:4]] == [COFFEE, first, rest]


def test_each_of_two_false_cuts_repeats_only_the_sentence_that_it_broke_off():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(6, 0.5)
        await scene.says(10.5, 0.5)
        await scene.until(18)

    begins = [*text("This is a rather long answer that takes its time. "), 5.0]
    goes_on = [*text("And this is the rest of it which is long too. "), 4.0, *text("The end.")]
    noise = ["And what", ""]
    scene = Scene([[*begins, *goes_on]], [COFFEE, noise, noise]).play(script)
    heard = " ".join(turn.bot_text_heard or "" for turn in scene.notes.turns[1:])
    assert heard.count("rather long") == 2
    assert heard.endswith("The end.")
    assert len(scene.llm.requests) == 1


def test_a_false_cut_while_a_tool_runs_does_not_leave_its_result_untold():
    @tool()
    async def order() -> str:
        """Order it."""
        await asyncio.sleep(4)
        return "done"

    async def script(scene):
        await goes_on_at(scene, 5.5)
        await scene.until(14)

    acts = [*text("One moment please, while I order it for you. "), call_of("order")]
    silent = FillerConfig(after_ms=0)
    scene = Scene(
        [acts, text("It is ordered.")], [COFFEE, ["And what", ""]], [order], filler=silent
    ).play(script)
    assert scene.notes.turns[1].interrupted
    assert scene.notes.turns[-1].bot_text_heard.endswith("It is ordered.")
    (told,) = [message for message in last_request(scene) if isinstance(message, ToolResult)]
    assert told.content == '"done"'


def test_how_soon_an_answer_came_is_counted_once():
    async def script(scene):
        await goes_on_at(scene, 7.0)

    scene = Scene([text(LONG)], [COFFEE, ["And what", ""]]).play(script)
    first, rest = scene.notes.turns[1:]
    assert first.response_gap_ms < 600
    assert (rest.response_gap_ms, rest.gateway_share_ms, rest.endpointing_ms) == (None, None, None)
    assert rest.started_s == first.started_s


def test_an_answer_that_nobody_heard_before_the_false_cut_counts_when_it_comes():
    async def script(scene):
        await goes_on_at(scene, 4.5)

    turn = patient(reopen_ms=0)
    scene = Scene([[60.0], text(LONG)], [COFFEE, ["And", ""]], turn=turn).play(script)
    first, again = scene.notes.turns[1:]
    assert first.response_gap_ms is None
    assert again.response_gap_ms > 1000


def test_a_false_cut_between_sentences_repeats_nothing():
    async def script(scene):
        await goes_on_at(scene, 6.9)

    llm = [text("Here is one sentence of some length. ", "And it has another sentence too.")]
    scene = Scene(llm, [COFFEE, ["And what", ""]]).play(script)
    assert scene.notes.turns[-1].bot_text_heard == "And it has another sentence too."


def test_a_piece_without_sound_does_not_make_the_rest_repeat_itself():
    async def script(scene):
        await goes_on_at(scene, 7.0)

    llm = [text("This is one sentence of the answer. ", "Mute. ", "This is the rest of it all.")]
    scene = Scene(llm, [COFFEE, ["And what", ""]])
    synthesize = scene.synthesizer.speak

    async def mute(words):
        async for chunk in synthesize("" if words == "Mute." else words):
            yield chunk

    scene.synthesizer.speak = mute
    scene.play(script)
    assert scene.notes.turns[-1].bot_text_heard == "This is the rest of it all."


@pytest.mark.parametrize("how", ["key", "hold", "recognizer"])
def test_the_words_of_a_reopened_turn_that_is_broken_off_are_not_lost(how):
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(4.5, 2.0)
        await scene.until(5.5)
        if how == "key":
            scene.press("5")
        elif how == "hold":
            scene.hold()
            await scene.until(8)
            scene.resume()
            await scene.says(9, 0.5)
        else:
            await scene.says(10, 0.5)
        await scene.until(14)

    heard = {"key": [COFFEE, TEA], "hold": [COFFEE, TEA, "A cake please."],
             "recognizer": [COFFEE, [TEA, DOWN], "A cake please."]}[how]  # fmt: skip
    scene = Scene([text(LONG), text("As you like.")], heard, fallback="Sorry.").play(script)
    said = " ".join(m.text for m in scene.history if isinstance(m, UserMessage))
    assert COFFEE in said
    assert scene.history[-1] == AssistantMessage("As you like.")


def test_an_answer_that_was_taken_back_does_not_come_back_from_the_dead():
    """A key has replaced the turn: a noise much later is no reason to answer it again."""

    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(4.5, 0.7)
        await scene.until(5.25)
        scene.press("5")
        await scene.until(11)
        await scene.says(11, 0.3)
        await scene.until(16)

    scene = Scene([text(LONG), text("Five.")], [COFFEE, TEA, ""]).play(script)
    assert scene.history[-1] == AssistantMessage("Five.")
    assert len(scene.llm.requests) == 2


def test_nor_after_a_hold():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(4.5, 0.7)
        await scene.until(5.25)
        scene.hold()
        await scene.until(6)
        scene.resume()
        await scene.until(7)
        scene.operator_says("We close soon.")
        scene.recognizer.delay_s = 2.0
        await scene.says(7.66, 0.25)  # given up when all has been said
        await scene.until(12)

    scene = Scene([text(LONG), text(LONG)], [COFFEE, TEA, ""]).play(script)
    assert scene.times("turn_discarded")[-1] > scene.times("reply_finished")[-1]
    assert scene.history[-1] == AssistantMessage("We close soon.")
    assert len(scene.llm.requests) == 1


def test_words_that_are_answered_again_are_not_asked_twice():
    async def script(scene):
        await goes_on_at(scene, 4.5)
        await scene.says(11, 0.5)
        await scene.until(15)

    scene = Scene([text(LONG), text("Sure."), text("Tea.")], [COFFEE, "", TEA]).play(script)
    assert scene.history[1:] == (
        UserMessage(COFFEE), AssistantMessage("Sure."), UserMessage(TEA), AssistantMessage("Tea."),
    )  # fmt: skip


def test_what_was_prepared_for_a_reopened_turn_covers_the_whole():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(4.5, 0.5)
        await scene.until(5.35)
        assert scene.talk._floor.preparation._held.asked.text == BOTH
        await scene.until(9)

    scene = Scene([text(LONG), text("Both.")], [COFFEE, TEA]).play(script)
    assert scene.notes.turns[-1].speculative
    assert len(scene.llm.requests) == 2


def test_a_call_that_ends_while_a_cut_reply_still_runs_a_tool_leaves_nothing_half_done():
    @tool()
    async def order() -> str:
        """Order it."""
        await asyncio.sleep(5)
        return "done"

    async def script(scene):
        await scene.says(3, 0.5)
        await scene.says(5.5, 1.0)  # the tool runs from 4.5 to 9.5
        await scene.until(6.5)

    scene = Scene([[call_of("order")], text("Ordered.")], [COFFEE, "Wait."], [order])
    scene.play(script)
    assert scene.notes.turns[-1].tools[0].name == "order"
    assert isinstance(scene.history[-1], ToolResult)


def test_a_reopened_turn_is_recognized_again_as_one():
    async def script(scene):
        await goes_on_at(scene, 4.5)

    scene = Scene([text(LONG), text("Both.")], [COFFEE, "And tea."]).play(script)
    begun = [data["text"] for data in scene.data("final_transcript")]
    assert begun[-1] == f"{COFFEE} And tea."  # said by recognition itself, not joined
    assert scene.history[1] == UserMessage(f"{COFFEE} And tea.")


@pytest.mark.parametrize("at_s", [4.6, 5.0])
@pytest.mark.parametrize("seconds", [0.6, 2.0])
def test_recognition_that_fails_where_the_caller_goes_on_costs_no_words(at_s, seconds):
    """It fails over the bot's voice, and hears the turn as a whole when that is reopened."""

    async def script(scene):
        await scene.says(3, 0.8)
        await scene.says(at_s, seconds)
        await scene.until(14)

    scene = Scene([text(LONG), text("Fine.")], ["First words.", DOWN, "And more."]).play(script)
    assert scene.data("interrupted")[0]["reopened"]
    assert scene.history[1:3] == (UserMessage("First words. And more."), AssistantMessage("Fine."))


@pytest.mark.parametrize("at_s", [4.6, 5.0])
def test_recognition_that_fails_again_when_a_turn_is_reopened_keeps_the_first_words(at_s):
    async def script(scene):
        await scene.says(3, 0.8)
        await scene.says(at_s, 1.0)
        await scene.says(12, 0.6)
        await scene.until(18)

    heard = ["First words.", DOWN, DOWN, "Third."]
    scene = Scene([text(LONG), text("Fine.")], heard, fallback="Sorry.").play(script)
    assert scene.data("interrupted")[0]["reopened"]
    assert scene.history[1:4] == (
        AssistantMessage("Sorry."), UserMessage("First words. Third."), AssistantMessage("Fine."),
    )  # fmt: skip
