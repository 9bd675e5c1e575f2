"""The echo path is found where there is one, and only there; what may be left of it is hidden."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.audio.echo_gate import WENT_SAMPLES, WINDOW_SAMPLES, EchoGate
from gateway.audio.echo_path import EchoPath, History

RATE, FRAME = 8000, 160


def voice(seconds, seed):
    """Noise in syllables: 200 ms on, 100 ms off."""
    count = int(seconds * RATE)
    syllables = (np.arange(count) // (RATE // 10)) % 3 < 2
    return np.random.default_rng(seed).standard_normal(count) * 3000 * syllables


def followed(received, sent, max_delay_ms=800):
    path = EchoPath(max_delay_ms)
    for at in range(0, len(sent), FRAME):
        path.follow(received[at : at + FRAME], sent[at : at + FRAME])
    return path


@pytest.mark.parametrize("delay", [0, 240, 960, 4801, 6400])
@pytest.mark.parametrize("gain_db", [-6.0, -30.0])
def test_finds_the_delay_to_the_sample(delay, gain_db):
    sent = voice(2.0, 1)
    echo = np.concatenate([np.zeros(delay), sent])[: len(sent)] * 10 ** (gain_db / 20)
    path = followed(echo + np.random.default_rng(2).standard_normal(len(sent)) * 5, sent)
    assert path.delay_samples == delay
    assert path.likeness(echo[-480:]) > 0.9 or not echo[-480:].any()


@pytest.mark.parametrize(
    "received",
    [np.zeros(2 * RATE), voice(2.0, 9), np.random.default_rng(3).standard_normal(2 * RATE) * 300],
    ids=["silence", "somebody else", "noise"],
)
def test_finds_nothing_where_nothing_comes_back(received):
    path = followed(received, voice(2.0, 1))
    assert path.delay_samples is None
    assert path.likeness(received[-480:]) == 0.0


@pytest.mark.parametrize("samples", [-160, 80, 100])
def test_what_is_told_of_a_slip_moves_the_delay_at_once(samples):
    sent = voice(2.0, 1)
    path = followed(np.concatenate([np.zeros(960), sent])[: len(sent)], sent)
    path.slip(samples)
    assert path.delay_samples == 960 + samples
    moved = np.concatenate([np.zeros(960 + samples), sent])[: len(sent)]
    for at in range(len(sent) // 2, len(sent), FRAME):
        path.follow(moved[at : at + FRAME], sent[at : at + FRAME])
        assert path.delay_samples == 960 + samples


def test_a_slip_of_an_unknown_path_is_nothing():
    path = followed(np.zeros(RATE), voice(1.0, 1))
    path.slip(80)
    assert path.delay_samples is None


def test_an_echo_that_is_too_faint_to_matter_is_none():
    sent = voice(2.0, 1)
    assert followed(sent * 10 ** (-60 / 20), sent).delay_samples is None


def test_history_is_the_last_samples_in_order():
    history = History(400)
    for start in range(0, 3200, FRAME):
        history.push(np.arange(start, start + FRAME, dtype=np.float64))
        expected = np.clip(np.arange(start + FRAME - 400, start + FRAME), 0, None)
        assert (history.latest() == expected).all()
        assert (history.latest(7) == expected[-7:]).all()


def test_the_gate_hides_what_may_be_left_and_nothing_louder():
    gate = EchoGate()
    went = np.full(WENT_SAMPLES, 3000.0)
    echo, little = np.full(WINDOW_SAMPLES, 300.0), np.full(WINDOW_SAMPLES, 10.0)
    assert gate.hides(echo, echo, went)
    assert not gate.hides(echo * 3, echo * 3, went)
    for _ in range(100):
        assert gate.hides(echo, little, went)
    caller = np.full(WINDOW_SAMPLES, 40.0)
    assert not gate.hides(echo, caller, went)


def test_the_gate_stays_open_for_a_moment_after_a_caller_who_was_surely_heard():
    went = np.full(WENT_SAMPLES, 3000.0)
    echo, little = np.full(WINDOW_SAMPLES, 300.0), np.full(WINDOW_SAMPLES, 10.0)
    caller = np.full(WINDOW_SAMPLES, 40.0)

    def hidden_after(frames):
        gate = EchoGate()
        for _ in range(100):
            gate.hides(echo, little, went)
        for _ in range(frames):
            gate.hides(echo, caller, went)
        return [gate.hides(echo, little, went) for _ in range(10)]

    assert hidden_after(1) == [True] * 10, "a crackle"
    assert hidden_after(3) == [False] * 5 + [True] * 5
