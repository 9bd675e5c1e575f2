"""A reply's next piece is rendered while the one before is spoken, and never more than that."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import AssistantMessage, Retracted
from tests.support.fake_line import ScriptedVoice
from tests.support.scene import Scene, text

UNPUNCTUATED = (
    "we have a table for you at the window on the second floor of the house by the lake where the"
    " boats go out every morning and come back every evening when the sun goes down"
)
FIRST = "we have a table for you at the window on the second floor"
SENTENCES = "One sentence of some length is here. Two is as long as the first. Three is the last."


class TimedVoice(ScriptedVoice):
    """Knows when each text was begun."""

    def __init__(self, delay_s, fails=lambda _: None):
        super().__init__(fails)
        self.slow_s = delay_s
        self.begun = {}

    async def speak(self, text):
        self.begun[text] = asyncio.get_running_loop().time()
        async for chunk in super().speak(text):
            yield chunk


async def asks(scene):
    scene.synthesizer.delay_s = scene.synthesizer.slow_s
    await scene.says(3, 0.5)
    await scene.until(14)


def pauses(scene):
    """Silence within the answer, in ms."""
    answer = [(start, end) for start, end in scene.line.audible() if start > 3]
    return [round((after - end) * 1000) for (_, end), (after, _) in pairwise(answer)]


@pytest.mark.parametrize("delay_s", [0.1, 0.35, 0.6, 1.0, 2.0])
def test_no_pause_in_mid_sentence_though_each_piece_takes_long(delay_s):
    scene = Scene([text(UNPUNCTUATED)], ["A question."], voice=TimedVoice(delay_s)).play(asks)
    assert len(scene.synthesizer.texts) == 3  # greeting, and two pieces
    assert pauses(scene) == []


def test_at_most_one_piece_is_rendered_in_advance():
    scene = Scene([text(SENTENCES)], ["A question."], voice=TimedVoice(0.3)).play(asks)
    spoken = dict(zip([data["text"] for data in scene.data("bot_says")],
                      scene.times("bot_says"), strict=True))  # fmt: skip
    one, two, three = scene.synthesizer.texts[1:]
    begun = scene.synthesizer.begun
    assert begun[two] < spoken[one] + 0.1
    assert spoken[two] - 0.6 < begun[three] < spoken[two] + 0.1


def test_nothing_is_rendered_in_advance_of_what_may_never_be_heard():
    voice = TimedVoice(0.1)
    scene = Scene([text(SENTENCES)], ["A question."], voice=voice).play(asks)
    one, two, _ = voice.texts[1:]
    released = scene.times("turn_ended")[0]
    assert voice.begun[one] < released - 0.2
    assert voice.begun[two] >= released - 0.02


def test_an_error_counts_when_it_is_its_turn():
    def fails(said):
        return ProviderUnavailable("acme", "is down") if said.startswith("Two") else None

    voice = TimedVoice(0.3, fails)
    scene = Scene([text(SENTENCES)], ["A question."], voice=voice, fallback="Sorry.").play(asks)
    heard = [turn.bot_text_heard for turn in scene.notes.turns]
    assert heard[1:3] == ["One sentence of some length is here.", "Sorry."]


def test_what_was_rendered_in_advance_and_taken_back_is_not_said():
    reply = [*text("One sentence of some length is here. Two is wrong. "), 1.0, Retracted(),
             *text("Rather this.")]  # fmt: skip

    def fails(said):
        return ProviderUnavailable("acme", "is down") if said.startswith("Two") else None

    voice = TimedVoice(0.2, fails)
    scene = Scene([reply], ["A question."], voice=voice).play(asks)
    assert "Rather this." in voice.texts
    assert "Two is wrong." in voice.texts
    heard = scene.notes.turns[1].bot_text_heard
    assert heard.startswith("One ")
    assert heard.endswith("Rather this.")
    assert "Two" not in heard


def test_what_was_rendered_in_advance_is_not_heard_when_the_caller_breaks_in():
    async def breaks_in(scene):
        scene.synthesizer.delay_s = scene.synthesizer.slow_s
        await scene.says(3, 0.5)
        await scene.says(6.5, 1.0)
        await scene.until(9)

    voice = TimedVoice(0.3)
    scene = Scene([text(UNPUNCTUATED), text("Yes?")], ["A question.", "Stop it."], voice=voice)
    scene.play(breaks_in)
    assert len(voice.texts) >= 3
    heard = scene.notes.turns[1].bot_text_heard
    assert FIRST.startswith(heard)
    assert heard
    assert scene.history[2] == AssistantMessage(heard, interrupted=True)
