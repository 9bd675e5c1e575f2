"""Silence, level and cache of synthesized speech."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.format import NARROWBAND
from gateway.audio.level import peak
from gateway.audio.loudness import active_dbfs, amplify, level_speech
from gateway.audio.speech import SpeechTrimmer, pause_after_ms
from gateway.audio.speech_cache import SpeechCache
from tests.support.levels import first_sample_above, last_sample_above, rms_dbfs


def tone(ms: int, dbfs: float = -20.0, rate_hz: int = 8000) -> bytes:
    """A 440 Hz tone whose RMS is `dbfs`."""
    at = np.arange(rate_hz * ms // 1000) / rate_hz
    wave = np.sin(2 * np.pi * 440 * at) * np.sqrt(2) * 32768 * 10 ** (dbfs / 20)
    return np.clip(wave, -32768, 32767).astype("<i2").tobytes()


def silence(ms: int, rate_hz: int = 8000) -> bytes:
    return bytes(2 * rate_hz * ms // 1000)


def trimmed(*chunks: bytes, tail_ms: int = 120) -> bytes:
    trimmer = SpeechTrimmer(NARROWBAND, tail_ms=tail_ms)
    return b"".join(map(trimmer.process, chunks)) + trimmer.flush()


@pytest.mark.parametrize(
    ("text", "pause_ms"),
    [("Yes.", 120), ("Yes", 120), ("Yes?", 120), ("Well,", 60), ("this: ", 60), ('"so,"', 60)],
)
def test_a_clause_has_a_shorter_pause(text: str, pause_ms: int):
    assert pause_after_ms(text) == pause_ms


@pytest.mark.parametrize("before_ms", [0, 5, 15, 240])
@pytest.mark.parametrize("after_ms", [0, 7, 120, 300])
def test_silence_around_speech_is_exchanged(before_ms: int, after_ms: int):
    speech = trimmed(silence(before_ms) + tone(300) + silence(after_ms))
    first, last = first_sample_above(speech, 300), last_sample_above(speech, 300)
    assert first is not None
    assert last is not None
    assert first <= 8 * 20
    assert last - first == pytest.approx(8 * 300, abs=16)
    assert len(speech) // 2 - last == pytest.approx(8 * 120, abs=8 * 7)


def test_a_pause_inside_stays():
    parts = tone(100) + silence(400) + tone(100)
    assert trimmed(silence(100) + parts, tail_ms=0)[-len(parts) :] == parts


def test_silence_and_hiss_alone_give_nothing():
    assert trimmed(silence(500)) == b""
    assert trimmed(tone(500, dbfs=-61)) == b""
    assert trimmed() == b""


@given(st.lists(st.integers(1, 400), min_size=1))
def test_trimming_does_not_depend_on_chunks(sizes: list[int]):
    whole = silence(37) + tone(53) + silence(61) + tone(29, -45) + silence(83)
    chunks, at = [], 0
    while at < len(whole):
        size = 2 * sizes[len(chunks) % len(sizes)]
        chunks.append(whole[at : at + size])
        at += size
    assert trimmed(*chunks) == trimmed(whole)


@pytest.mark.parametrize("dbfs", [-45.0, -30.0, -20.0, -12.0])
def test_speech_is_brought_to_its_level_whatever_its_pauses(dbfs: float):
    pcm = tone(200, dbfs) + silence(800) + tone(200, dbfs)
    levelled = level_speech(pcm, 8000, -20.0)
    assert rms_dbfs(levelled[: len(tone(200))]) == pytest.approx(-20, abs=0.3)
    assert active_dbfs(levelled, 8000) == pytest.approx(-20, abs=0.3)


def test_silence_is_not_amplified():
    assert level_speech(silence(100), 8000, -20.0) == silence(100)
    assert level_speech(b"", 8000, -20.0) == b""


def test_peaks_are_bent_not_clipped():
    loud = amplify(tone(100, -20), 20.0)
    assert 0.9 * 32767 < peak(loud) < 32767
    samples = np.frombuffer(loud, "<i2").astype(int)
    assert np.sum(samples == samples.max()) < len(samples) / 20


@given(st.binary(min_size=2, max_size=200).filter(lambda b: len(b) % 2 == 0), st.integers(0, 100))
def test_gain_has_no_memory(pcm: bytes, cut: int):
    whole = amplify(pcm, 7.0)
    assert amplify(pcm[: 2 * cut], 7.0) + amplify(pcm[2 * cut :], 7.0) == whole


def test_the_cache_gives_back_what_it_got():
    cache = SpeechCache(100)
    cache.put("a", b"12")
    assert (cache.get("a"), cache.get("b")) == (b"12", None)


def test_the_longest_unused_sentence_goes_first():
    cache = SpeechCache(6)
    cache.put("a", b"12")
    cache.put("b", b"12")
    cache.put("c", b"12")
    cache.get("a")
    cache.put("d", b"12")
    assert [text for text in "abcd" if cache.get(text)] == ["a", "c", "d"]


def test_a_sentence_larger_than_the_cache_pushes_nothing_out():
    cache = SpeechCache(6)
    cache.put("a", b"12")
    cache.put("b", b"1" * 8)
    assert (cache.get("a"), cache.get("b")) == (b"12", None)
    SpeechCache(0).put("a", b"12")


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.binary(max_size=20))))
def test_the_cache_keeps_its_bound(sentences: list[tuple[str, bytes]]):
    cache = SpeechCache(40)
    for text, pcm in sentences:
        cache.put(text, pcm)
        kept = [found for name in "abcde" if (found := cache.get(name)) is not None]
        assert cache.size_bytes == sum(map(len, kept)) <= 40
        assert len(cache) == len(kept)
        assert cache.get(text) == (pcm or None)
    cache.clear()
    assert (len(cache), cache.size_bytes) == (0, 0)
