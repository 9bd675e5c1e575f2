"""The first sentence of an answer is spoken while the model still writes it, where a voice can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.conversation.growing import beginning_of, without_words
from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import AssistantMessage, Retracted, TextDelta
from tests.support.scene import GREETING, Scene
from tests.support.voice_sessions import Session, WithSessions


class Streaming(WithSessions):
    """Speaks beginnings; notes when each part was asked for."""

    takes_beginnings = True

    def __init__(self, **more):
        super().__init__(can_be_cut=True, **more)
        self.begun: list[tuple[float, str]] = []
        self.pace_s = 0.01


async def speak_begun(self, text: str, rest: asyncio.Future[str]) -> AsyncIterator:
    self.voice.begun.append((asyncio.get_running_loop().time(), text))
    async for piece in self.speak(text):
        yield piece
    if more := await rest:
        async for piece in self.speak(more):
            yield piece


Session.speak_begun = speak_begun  # type: ignore[attr-defined]


class SlowModel:
    """Writes a word every 300 ms; an exception in its script is raised."""

    known_texts = ()
    counts_tokens = False
    waits_for_tools = False

    def __init__(self, *words):
        self.words = words
        self.over_s = 0.0
        self.open = 0

    async def warm_up(self): ...

    async def close(self): ...

    async def reply(self, request):
        self.open += 1
        try:
            for word in self.words:
                await asyncio.sleep(0.3)
                if isinstance(word, Exception):
                    raise word
                yield word if isinstance(word, Retracted) else TextDelta(word)
            self.over_s = asyncio.get_running_loop().time()
        finally:
            self.open -= 1


def played(*words, voice=None, until_s=14, cut_s=0.0, **config):
    async def script(scene):
        await scene.says(3, 0.5)
        if cut_s:
            await scene.says(cut_s, 1.0)
        await scene.until(until_s)

    model = SlowModel(*words)
    scene = Scene(model, ["A question.", "Stop."], voice=voice or Streaming(), **config)
    return scene.play(script)


def said(scene):
    return [m.text for m in scene.history if isinstance(m, AssistantMessage)]


SENTENCE = ("We ", "can ", "offer ", "you ", "a ", "table ", "at ", "seven.", " Is ", "that ",
            "fine?")  # fmt: skip


def test_it_is_heard_before_it_is_written():
    scene = played(*SENTENCE)
    (begun,) = [(at, text) for at, text in scene.synthesizer.begun if at < scene.llm.over_s]
    assert begun[1] == "We can offer"
    assert begun[0] < scene.llm.over_s - 1.5
    assert said(scene)[:2] == [GREETING, "We can offer you a table at seven. Is that fine?"]
    says = [data["text"] for data in scene.data("bot_says")]
    assert says[1:4] == ["We can offer", "you a table at seven.", "Is that fine?"]
    turn = next(turn for turn in scene.notes.turns if turn.caller_text == "A question.")
    assert turn.bot_text_heard == "We can offer you a table at seven. Is that fine?"


def test_without_the_ability_or_a_session_sentences_are_whole():
    class Whole(Streaming):
        takes_beginnings = False

    scene = played(*SENTENCE, voice=Whole())
    assert scene.synthesizer.begun == []
    assert said(scene)[1] == "We can offer you a table at seven. Is that fine?"


def test_what_is_taken_back_while_it_is_begun_is_not_finished():
    scene = played("We ", "can ", "offer ", "you ", Retracted(), "No.")
    assert said(scene)[1].endswith("No.")
    assert "you" not in said(scene)[1]


def test_a_model_that_fails_in_mid_sentence_ends_it():
    scene = played("We ", "can ", "offer ", "you ", ProviderUnavailable("m", "down"),
                   fallback="Sorry.")  # fmt: skip
    says = [data["text"] for data in scene.data("bot_says")]
    assert says[1:3] == ["We can offer", "Sorry."]


@pytest.mark.parametrize("cut_s", [5.4, 5.8, 6.4, 7.0])
def test_a_caller_who_interrupts_it_leaves_what_was_heard(cut_s):
    scene = played(*SENTENCE, cut_s=cut_s, until_s=20)
    whole = "We can offer you a table at seven. Is that fine?"
    for text in said(scene)[1:]:
        assert whole.startswith(text) or "Are you still there?".startswith(text)
    texts = [data["text"] for data in scene.data("bot_says")]
    assert texts[0] == GREETING


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        ("We can offer you", "We can offer"),
        ("We can offer", ""),
        (" It's all right now", "It's all right"),
        ("At 5 we can", ""),
        ("Sure, we can offer", ""),
        ("**We** can offer you", ""),
        ("We can\noffer you", "We can offer"),
        ("", ""),
    ],
)
def test_the_beginning_is_three_plain_words(text, begun):
    assert beginning_of(text) == begun


def test_the_rest_is_what_follows_these_words():
    assert without_words("We can  offer you a table.", 3) == "you a table."
    assert without_words("We can", 3) == ""
