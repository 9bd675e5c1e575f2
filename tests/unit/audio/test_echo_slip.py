"""An echo that suddenly comes at another time is recognized as the echo it is; a voice is not."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.audio.echo_slip import REACH_SAMPLES, SlipFinder, convolved, is_audible

FRAME, TAIL = 160, 400
RESPONSE = np.zeros(TAIL)
RESPONSE[40:52] = np.random.default_rng(5).standard_normal(12) * 0.1
LENGTH = TAIL - 1 + FRAME + 2 * REACH_SAMPLES


def voice(count, seed):
    """Noise without its highest tones: more alike from sample to sample than plain noise."""
    white = np.random.default_rng(seed).standard_normal(count + 8)
    return np.convolve(white, np.ones(9) / 3, "valid") * 3000


def knowing():
    finder = SlipFinder()
    finder.learn(RESPONSE)
    return finder


def echo_at(reference, samples):
    """The frame that is the echo of the reference, so much later than expected."""
    at = REACH_SAMPLES - samples
    return convolved(reference, RESPONSE)[at : at + FRAME]


def left_of(came, reference):
    return came - echo_at(reference, 0)


@pytest.mark.parametrize("samples", [-320, -160, -80, 80, 160, 240])
@pytest.mark.parametrize("noise", [0.0, 20.0])
def test_a_slip_of_packets_is_believed_at_once(samples, noise):
    reference = voice(LENGTH, 1)
    came = echo_at(reference, samples) + np.random.default_rng(2).standard_normal(FRAME) * noise
    slip = knowing().find(reference, came, left_of(came, reference))
    assert slip.samples == samples
    assert np.sqrt(np.mean(slip.left**2)) < 3 * noise + 1


@pytest.mark.parametrize("samples", [-800, 960, 37])
def test_an_unusual_slip_is_believed_when_seen_twice(samples):
    finder, found = knowing(), []
    for seed in (1, 2):
        reference = voice(LENGTH, seed)
        came = echo_at(reference, samples)
        slip = finder.find(reference, came, left_of(came, reference))
        assert not is_audible(slip.left)
        found.append(slip.samples)
    assert found == [0, samples]


def test_a_slip_within_the_frame_is_found():
    reference = voice(LENGTH, 1)
    came = np.concatenate([echo_at(reference, 0)[:80], echo_at(reference, -80)[80:]])
    slip = knowing().find(reference, came, left_of(came, reference))
    assert slip.samples == -80
    assert not is_audible(slip.left)


def test_a_faded_repetition_is_echo_but_no_slip():
    reference = voice(LENGTH, 1)
    came = 0.4 * echo_at(reference, 160)
    slip = knowing().find(reference, came, left_of(came, reference))
    assert slip.samples == 0
    assert not is_audible(slip.left)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("level", [0.1, 1.0])
def test_somebody_else_is_no_slip(seed, level):
    reference, other = voice(LENGTH, 1), voice(FRAME, 100 + seed) * level
    came = echo_at(reference, 0) + other
    assert knowing().find(reference, came, left_of(came, reference)) is None


def test_without_a_known_path_nothing_is_found():
    finder = SlipFinder()
    assert finder.reference_samples() == 0
    assert finder.find(np.zeros(LENGTH), np.ones(FRAME), np.ones(FRAME)) is None
    with pytest.raises(ValueError, match="no path"):
        finder.echo(np.zeros(LENGTH))
    finder.learn(RESPONSE)
    assert finder.reference_samples() == LENGTH
    finder.forget()
    assert finder.reference_samples() == 0


def test_a_path_that_advances_gives_its_echo_sooner():
    sent = voice(LENGTH, 3)
    finder = knowing()
    late = finder.echo(sent)
    finder.advance(20)
    assert np.allclose(finder.echo(sent)[:-20], late[20:])
