"""Speech edges from probabilities: tables and invariants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.voice_chunk import CHUNK_SAMPLES
from gateway.turn.vad import SpeechDetector, SpeechStarted, SpeechStopped


def edges(probabilities, *, start=0.5, chunks=2, stop=0.35, hangover_ms=96, first_chunk=0):
    detector = SpeechDetector(start, chunks, stop, hangover_ms)
    found = []
    for number, probability in enumerate(probabilities, first_chunk + 1):
        edge = detector.update(probability, number * CHUNK_SAMPLES)
        if edge is not None:
            found.append(edge)
    return found


def started(first, detected):
    return SpeechStarted(first * CHUNK_SAMPLES, detected * CHUNK_SAMPLES)


def stopped(last, detected):
    return SpeechStopped(last * CHUNK_SAMPLES, detected * CHUNK_SAMPLES)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([], []),
        ([0.1] * 9, []),
        ([0.9, 0.1, 0.9, 0.1], []),
        ([0.1, 0.9, 0.9], [started(1, 3)]),
        ([0.5, 0.5], [started(0, 2)]),
        ([0.49, 0.5, 0.5], [started(1, 3)]),
        ([0.9] * 3 + [0.4] * 9, [started(0, 2)]),  # between the thresholds speech goes on
        ([0.9] * 3 + [0.1] * 2 + [0.9], [started(0, 2)]),  # shorter than the hangover
        ([0.9] * 3 + [0.1] * 3, [started(0, 2), stopped(3, 6)]),
        ([0.9] * 2 + [0.1] * 3 + [0.9] * 2, [started(0, 2), stopped(2, 5), started(5, 7)]),
        ([0.9] * 2 + [0.1] * 3 + [0.4] * 5, [started(0, 2), stopped(2, 5)]),
    ],
)
def test_edges(probabilities, expected):
    assert edges(probabilities) == expected


def test_one_chunk_and_no_hangover_follow_at_once():
    found = edges([0.9, 0.1], chunks=1, hangover_ms=0)
    assert found == [started(0, 1), stopped(1, 2)]


def test_audio_time_of_a_late_start_is_kept():
    assert edges([0.9, 0.9], first_chunk=100) == [started(100, 102)]


def test_reset_forgets_a_run():
    detector = SpeechDetector(0.5, 2, 0.35, 96)
    detector.update(0.9, 256)
    detector.reset()
    assert detector.update(0.9, 512) is None
    assert detector.update(0.9, 768) == SpeechStarted(256, 768)


@given(
    st.lists(st.floats(0, 1), max_size=200),
    st.integers(1, 4),
    st.floats(0.05, 0.9),
    st.integers(0, 500),
)
def test_edges_alternate_and_never_overlap(probabilities, chunks, stop, hangover_ms):
    found = edges(probabilities, chunks=chunks, stop=stop, hangover_ms=hangover_ms)
    for place, edge in enumerate(found):
        assert isinstance(edge, SpeechStopped if place % 2 else SpeechStarted)
        assert edge.at_sample <= edge.detected_at_sample
    times = [edge.at_sample for edge in found]
    assert times == sorted(times)
    for edge in found:
        if isinstance(edge, SpeechStarted):
            assert edge.detected_at_sample - edge.at_sample == chunks * CHUNK_SAMPLES
        else:
            assert edge.detected_at_sample - edge.at_sample >= hangover_ms * 8
