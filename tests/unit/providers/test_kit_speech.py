"""Speech that is fit for a call, from whole sentences and from streams."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.audio.loudness import active_dbfs
from gateway.providers.contracts import Delivery, Spoken
from gateway.providers.kit.speech import speech

WIDE = AudioFormat(16_000)


def sound(ms: int, dbfs: float = -30.0) -> bytes:
    at = np.arange(WIDE.sample_rate_hz * ms // 1000) / WIDE.sample_rate_hz
    amplitude = 10 ** (dbfs / 20) * np.sqrt(2) * 32767
    return (np.sin(2 * np.pi * 440 * at) * amplitude).astype("<i2").tobytes()


SENTENCE = bytes(6400) + sound(500) + bytes(6400)


class Engine:
    output_format = WIDE

    def __init__(self, pieces, delivery=None):
        self._pieces = pieces
        if delivery:
            self.delivery = delivery

    async def speak(self, _text):
        for piece in self._pieces:
            yield piece


def said(engine, text="Yes.", target=NARROWBAND):
    async def run():
        return [part async for part in speech(engine, text, target)]

    return asyncio.run(run())


def pcm_of(parts):
    return b"".join(part.pcm for part in parts)


def test_a_whole_sentence_is_trimmed_and_brought_to_its_level():
    engine = Engine([Spoken(SENTENCE)], Delivery(level_dbfs=-20.0, has_whole_pieces=True))
    pcm = pcm_of(said(engine))
    assert NARROWBAND.seconds(pcm) == pytest.approx(0.5 + 0.12 + 0.015, abs=0.012)
    assert active_dbfs(pcm, 8000) == pytest.approx(-20, abs=0.5)


def test_each_whole_piece_ends_in_the_pause_of_its_own_words():
    pieces = [Spoken(SENTENCE, "Well,"), Spoken(SENTENCE, "yes.")]
    parts = said(Engine(pieces, Delivery(has_whole_pieces=True)))
    assert [part.text for part in parts] == ["Well,", "yes."]
    lengths = [NARROWBAND.seconds(part.pcm) for part in parts]
    assert lengths[1] - lengths[0] == pytest.approx(0.06, abs=0.001)


@given(st.lists(st.integers(1, len(SENTENCE) // 2 - 1), max_size=6))
def test_a_stream_sounds_the_same_however_it_is_cut(cuts):
    at = [0, *sorted(2 * cut for cut in cuts), len(SENTENCE)]
    pieces = [Spoken(SENTENCE[a:b]) for a, b in pairwise(at)]
    delivery = Delivery(level_dbfs=-20.0, own_level_dbfs=-30.0)
    pcm = pcm_of(said(Engine(pieces, delivery)))
    assert pcm == pcm_of(said(Engine([Spoken(SENTENCE)], delivery)))
    assert active_dbfs(pcm, 8000) == pytest.approx(-20, abs=0.5)
    assert NARROWBAND.seconds(pcm) == pytest.approx(0.5 + 0.12 + 0.015, abs=0.012)


def test_without_a_delivery_sound_is_left_alone():
    assert pcm_of(said(Engine([Spoken(SENTENCE)]), target=WIDE)) == SENTENCE


def test_words_pass_also_where_their_sound_is_still_held_back():
    parts = said(Engine([Spoken(bytes(640), "Hm"), Spoken(SENTENCE)], Delivery()))
    assert parts[0].text == "Hm"


@pytest.mark.parametrize("trims", [True, False])
@pytest.mark.parametrize("target", [WIDE, NARROWBAND])
def test_a_sample_may_be_split_between_two_pieces(target, trims):
    delivery = Delivery(level_dbfs=-20.0, own_level_dbfs=-30.0, trims=trims)
    cut = [Spoken(SENTENCE[at : at + 481]) for at in range(0, len(SENTENCE), 481)]
    whole = pcm_of(said(Engine([Spoken(SENTENCE)], delivery), target=target))
    assert pcm_of(said(Engine(cut, delivery), target=target)) == whole
