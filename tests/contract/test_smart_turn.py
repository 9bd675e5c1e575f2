"""The end-of-turn model on a real voice and on audio of any length."""

from __future__ import annotations

import importlib.metadata
from types import SimpleNamespace

import numpy as np
import pytest

from gateway.audio.converter import convert_once
from gateway.audio.format import NARROWBAND, WIDEBAND
from gateway.errors import ProviderUnavailable
from gateway.recognizer.smart_turn import SmartTurnModel, model_file
from tests.support.speech import speak


@pytest.fixture(scope="module")
def model():
    try:
        return SmartTurnModel(model_file())
    except ProviderUnavailable as error:
        pytest.skip(error.problem)


def test_a_broken_model_is_one_that_is_missing(tmp_path):
    """Then the text alone decides, and recognition still starts."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(ProviderUnavailable, match="cannot be loaded"):
        SmartTurnModel(path)


def test_an_order_that_breaks_off_sounds_less_like_the_end(model):
    """Synthetic speech, never twice the same: only the direction counts, and only on average."""
    pairs = [
        ("I would like a coffee with milk.", "I would like a coffee with a"),
        ("Yes, please.", "Yes, and a"),
        ("What time do you close today?", "What time do you"),
        ("That is all, thank you.", "That is all, but"),
    ]
    whole, open_ = (
        sum(model.probability(speak(pair[n]) + bytes(1600)) for pair in pairs) for n in (0, 1)
    )

    assert whole > open_


@pytest.mark.parametrize("seconds", [0, 0.1, 1, 7.99, 8, 30])
def test_any_length_gives_a_probability(model, seconds):
    assert 0 <= model.probability(bytes(2 * int(8000 * seconds))) <= 1


def test_only_the_last_eight_seconds_count(model):
    pcm = speak("Yes, please.").rjust(2 * 8 * 8000, b"\0")

    assert model.probability(bytes(160000) + pcm) == pytest.approx(model.probability(pcm), abs=1e-3)


def test_of_a_wide_line_the_telephone_band_is_judged(model, monkeypatch):
    """Compared by what the network is given: its result is another for each rounding."""
    given = []

    def run(_outputs, inputs):
        given.append(inputs["input_features"])
        return [np.zeros((1, 1), np.float32)]

    monkeypatch.setattr(model, "_session", SimpleNamespace(run=run))
    narrow = speak("I would like a coffee with milk.")
    wide = np.frombuffer(convert_once(narrow, NARROWBAND, WIDEBAND), "<i2").astype(float)
    hiss = np.where(np.arange(len(wide)) % 2, 1000, -1000)  # 8 kHz

    model.probability(narrow)
    for audio in (wide, wide + hiss):
        model.probability(np.clip(audio, -32768, 32767).astype("<i2").tobytes(), 16_000)

    first, *others = given
    for other in others:
        assert np.abs(other - first).mean() < 0.02 * np.ptp(first)


def test_without_the_package_it_says_what_to_do(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)

    with pytest.raises(ProviderUnavailable, match="pip install --no-deps pipecat-ai"):
        model_file()
