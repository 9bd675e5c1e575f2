"""The delay of caller audio, told from counters that are looked at now and then."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sip.input_delay import CONCEALMENT_MS, InputDelay

LOOK_MS = 30.9


class Stream:
    """Packets sent from 0 ms on, heard from `heard_ms` on; each comes within `jitter_ms`."""

    def __init__(self, heard_ms, *, jitter_ms=0.0, loss=0.0, seed=1):
        draw = random.Random(seed)
        self.heard_ms = heard_ms
        self.packets = [
            (number, number * 20 + draw.uniform(0, jitter_ms))
            for number in range(2000)
            if draw.random() >= loss
        ]

    def look(self, delay, at_ms):
        expected = 1 + max(number for number, came_ms in self.packets if came_ms <= at_ms)
        taken = max(0, int((at_ms - self.heard_ms) // 20) + 1)
        delay.look(at_ms, expected, max(0, expected - taken) * 20.0)


def watched(stream, end_ms=3000.0, delay=None, start_ms=100.0):
    delay = delay or InputDelay()
    at_ms = start_ms
    while at_ms < end_ms:
        stream.look(delay, at_ms)
        at_ms += LOOK_MS
    return delay


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 200), st.sampled_from([0.0, 0.05, 0.2]), st.integers(0, 9))
def test_steady_packets(heard_ms, loss, seed):
    delay = watched(Stream(heard_ms, loss=loss, seed=seed))
    assert abs(delay.ms - CONCEALMENT_MS - heard_ms) < 5 + 50 * loss


@pytest.mark.parametrize("jitter_ms", [10, 30])
def test_jitter_counts_as_delay(jitter_ms):
    delay = watched(Stream(60, jitter_ms=jitter_ms))
    assert abs(delay.ms - CONCEALMENT_MS - 60) < 14


def test_a_buffer_that_slips_is_followed():
    delay = watched(Stream(20))
    watched(Stream(80), 4000, delay, start_ms=3000.0)
    assert abs(delay.ms - CONCEALMENT_MS - 80) < 5


def test_nothing_is_known_at_first():
    assert InputDelay().ms == 0


def test_a_pause_of_the_sender_changes_nothing():
    delay = watched(Stream(40))
    known_ms = delay.ms
    for number in range(60):
        delay.look(3000 + number * LOOK_MS, 150, 0.0)
        assert delay.ms == pytest.approx(known_ms, abs=6)
    for number in range(60):  # it goes on and has counted nothing meanwhile
        at_ms = 5000 + number * LOOK_MS
        delay.look(at_ms, 151 + int((at_ms - 5000) // 20), 40.0)
    assert delay.ms == pytest.approx(40 + CONCEALMENT_MS, abs=12)


def test_another_stream_is_counted_from_zero():
    delay = watched(Stream(40))
    delay.look(3100, 3, 20.0)
    assert delay.ms == pytest.approx(40 + CONCEALMENT_MS, abs=5)
