"""A reply that is cut keeps the words that were over by the timings that its voice reports."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
import pytest

from gateway.audio.format import NARROWBAND
from gateway.conversation.voice import Voice
from gateway.providers.contracts import Delivery, Spoken
from tests.support.play import Play

SILENCE_MS = 100
SLOW = "Wait"
WORDS_MS = {SLOW: 1500, "thirty": 600}
"""Each other word takes 100 ms."""


def ms_of(word: str) -> int:
    return WORDS_MS.get(word.strip(",.?"), 100)


@dataclass
class TimedVoice:
    """Reports its words with their sound, or (`late`) all of them behind all of it."""

    late: bool = False
    words: bool = True
    cache_bytes: int = 0
    open: int = 0
    output_format = NARROWBAND

    @property
    def delivery(self) -> Delivery:
        return Delivery(cache_bytes=self.cache_bytes)

    async def warm_up(self) -> None: ...

    async def close(self) -> None: ...

    async def speak(self, said: str):
        at_ms = SILENCE_MS
        words = []
        yield Spoken(bytes(SILENCE_MS * 16))
        for word in said.split():
            await asyncio.sleep(0.001)
            sound = np.full(ms_of(word) * 8, 5000, "<i2").tobytes()
            yield Spoken(sound, word if self.words and not self.late else "")
            words.append(Spoken(b"", word, at_ms))
            at_ms += ms_of(word)
        for each in words if self.words and self.late else ():
            yield each


LONG = "Wait for the man at the door and then go up the long way to the old house by the sea"


@pytest.mark.parametrize("late", [False, True])
def test_a_cut_sentence_ends_at_the_right_word(late: bool):
    assert Play(LONG, cut_s=1.4, voice=TimedVoice(late=late)).heard == ""
    assert Play(LONG, cut_s=1.76, voice=TimedVoice(late=late)).heard == "Wait for the"
    assert Play(LONG, voice=TimedVoice(late=late)).heard == LONG


def test_without_timings_it_is_cut_by_length():
    assert Play(LONG, cut_s=1.4, voice=TimedVoice(words=False)).heard == "Wait for the man at"


@pytest.mark.parametrize("late", [False, True])
def test_what_is_read_as_other_words_is_heard_when_these_are_over(late: bool):
    said = "It is 30 % less than on all of the other days of the year so far"
    assert Play(said, cut_s=0.6, voice=TimedVoice(late=late)).heard == "It is"
    assert Play(said, cut_s=0.96, voice=TimedVoice(late=late)).heard == "It is 30 %"


def test_a_sentence_that_was_heard_up_to_its_pause_was_heard():
    play = Play("Wait for me.", "Then go.", cut_s=1.80, voice=TimedVoice())
    assert play.heard == "Wait for me."


def frames(voice: Voice, said: str) -> list[Spoken]:
    async def run() -> list[Spoken]:
        return [frame async for frame in voice.frames(said)]

    return asyncio.run(run())


@pytest.mark.parametrize("late", [False, True])
def test_what_is_kept_or_rendered_ahead_keeps_its_timings(late: bool):
    voice = Voice(TimedVoice(late=late, cache_bytes=1_000_000))
    first = frames(voice, "Wait a bit.")
    places = [(frame.text, frame.at_ms) for frame in first if frame.text]
    lead_ms = 15
    assert places == [("Wait", pytest.approx(lead_ms, abs=15)),
                      ("a", pytest.approx(1500 + lead_ms, abs=15)),
                      ("bit.", pytest.approx(1600 + lead_ms, abs=15))]  # fmt: skip
    kept = frames(voice, "Wait a bit.")
    assert [(frame.text, frame.at_ms) for frame in kept if frame.text] == places
    ahead = Voice(TimedVoice(late=late))
    asyncio.run(ahead.render_ahead(["Wait a bit."]))
    found = frames(ahead, "Wait a bit.")
    assert [(frame.text, frame.at_ms) for frame in found if frame.text] == places
    assert b"".join(ahead.rendered("Wait a bit.")) == b"".join(frame.pcm for frame in first)


def test_what_is_taken_back_in_mid_word_keeps_the_words_that_were_over():
    class Taken(Play):
        async def _source(self, reply):
            yield LONG
            await asyncio.sleep(1.75)
            reply.take_back(0)
            yield "No."

    play = Taken(voice=TimedVoice())
    words = play.heard.split()
    assert words[-1] == "No."
    assert words[:-1] == LONG.split()[: len(words) - 1]
    assert 3 <= len(words) <= 9  # half a second may be queued for the line
