"""The voice detector on a real voice, on noise, and in any chunking."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import pytest

from gateway.errors import ProviderUnavailable
from gateway.providers.vad import silero
from gateway.turn.vad import SpeechDetector
from tests.support.speech import speak

RATE = 8000


@pytest.fixture(scope="module")
def model():
    if hint := silero.probe():
        pytest.skip(hint)
    return silero.SileroModel()


def probabilities(model, pcm, frame_bytes=320):
    judge = silero.SpeechProbability(model)
    return [
        entry
        for start in range(0, len(pcm), frame_bytes)
        for entry in judge.push(pcm[start : start + frame_bytes])
    ]


def edges(model, pcm):
    detector = SpeechDetector(0.5, 2, 0.35, 96)
    found = [detector.update(entry.probability, entry.end) for entry in probabilities(model, pcm)]
    return [edge for edge in found if edge is not None]


def test_noise_tones_and_silence_are_no_speech(model):
    random = np.random.default_rng(7)
    at = np.arange(3 * RATE)
    for samples in (
        np.zeros(3 * RATE),
        random.normal(0, 1500, 3 * RATE),
        8000 * np.sin(2 * np.pi * 697 * at / RATE) + 8000 * np.sin(2 * np.pi * 1209 * at / RATE),
    ):
        assert edges(model, samples.astype("<i2").tobytes()) == []


def test_a_long_silence_or_noise_does_not_make_it_deaf_to_the_next_words(model):
    """Without forgetting it takes 100 to 300 ms more (decision 16)."""
    chance = np.random.default_rng(7)
    speech = np.frombuffer(speak("Hello, I would like a coffee.", "awb"), "<i2")
    speech = speech[int(np.flatnonzero(np.abs(speech.astype(int)) > 1000)[0]) :]
    for level in (0.0, 300.0):
        past = np.concatenate([speech, np.zeros(8 * RATE, "<i2")])
        whole = np.concatenate([past, speech]).astype(float)
        whole += chance.normal(0.0, level, len(whole)) if level else 0.0
        chunks = probabilities(model, whole.astype("<i2").tobytes())
        after = [c for c in chunks if c.end > len(past)]
        found = next(c.end for c in after if c.probability >= 0.3)
        assert (found - len(past)) / RATE <= 0.1


def test_missing_distribution_says_how_to_install_it(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(silero.importlib.metadata, "distribution", missing)
    with pytest.raises(ProviderUnavailable, match="pip install --no-deps silero-vad"):
        silero.SileroModel()
    assert "--no-deps" in silero.probe()


def test_a_look_ahead_changes_nothing_and_sees_speech_sooner(model):
    speech = bytes(2 * RATE) + speak("Stop.", "awb") + bytes(RATE)
    looking, other = silero.SpeechProbability(model), silero.SpeechProbability(model)
    first_look = first_chunk = None
    for start in range(0, len(speech) - 319, 320):
        frame = speech[start : start + 320]
        chunks = looking.push(frame)
        assert chunks == other.push(frame)
        ahead = looking.peek()
        if ahead is None:  # settled: nothing in it may be speech
            continue
        assert ahead.is_provisional
        assert ahead.end == start // 2 + 160
        if ahead.probability > 0.5:
            first_look = first_look or start
        if any(chunk.probability > 0.5 for chunk in chunks):
            first_chunk = first_chunk or start
    assert first_look is not None
    assert first_look <= first_chunk


def test_the_network_is_not_asked_about_a_line_on_which_nothing_may_be_speech(model):
    class Counting:
        def __init__(self):
            self.runs = 0

        def run(self, samples, state):
            self.runs += 1
            return model.run(samples, state)

    counting = Counting()
    vad = silero.SpeechProbability(counting)
    hiss = (np.random.default_rng(3).standard_normal(RATE * 4) * 20).astype("<i2").tobytes()
    speech = speak("Hello there.", "slt")
    seen = []
    for pcm in (hiss, speech, hiss):
        chunks = []
        before = counting.runs
        for start in range(0, len(pcm) - 319, 320):
            chunks += vad.push(pcm[start : start + 320])
        seen.append((counting.runs - before, chunks))
    (hissing, silence), (speaking, spoken), (after, rest) = seen
    assert hissing == 10
    assert all(chunk.probability < 0.15 for chunk in silence)
    assert -65 < silence[-1].level_dbfs < -60  # its level is known all the same
    assert speaking >= len(spoken) - 10
    assert max(chunk.probability for chunk in spoken) > 0.9
    assert 5 <= after < len(rest) / 3
    assert vad.peek() is None
