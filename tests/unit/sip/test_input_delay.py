"""The delay of caller audio, told from counters that are looked at now and then."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sip.input_delay import (
    CONCEALMENT_MS,
    Counters,
    InputDelay,
    PacketTime,
    packing_ms,
    waiting_ms,
)

LOOK_MS = 30.9


class Stream:
    """Packets sent from 0 ms on, heard from `heard_ms` on; each comes within `jitter_ms`."""

    def __init__(self, heard_ms, *, jitter_ms=0.0, loss=0.0, seed=1, packet_ms=20):
        draw = random.Random(seed)
        self.heard_ms = heard_ms
        self.packet_ms = packet_ms
        self.packets = [
            (number, number * packet_ms + draw.uniform(0, jitter_ms))
            for number in range(2000)
            if draw.random() >= loss
        ]

    def look(self, delay, at_ms):
        came = [number for number, came_ms in self.packets if came_ms <= at_ms]
        taken_ms = max(0, int((at_ms - self.heard_ms) // 20) + 1) * 20
        counters = Counters(len(came), len(came) * self.packet_ms * 8, 1 + max(came))
        delay.look(at_ms, counters, max(0, counters.expected * self.packet_ms - taken_ms))


def counted(packets):
    return Counters(packets, packets * 160, packets)


def watched(stream, end_ms=3000.0, delay=None, start_ms=100.0):
    delay = delay or InputDelay()
    at_ms = start_ms
    while at_ms < end_ms:
        stream.look(delay, at_ms)
        at_ms += LOOK_MS
    return delay


@settings(max_examples=30, deadline=None)
@given(
    st.floats(1, 200),
    st.sampled_from([0.0, 0.05, 0.2]),
    st.integers(0, 9),
    st.sampled_from([10, 20, 30, 40, 60]),
)
def test_steady_packets(heard_ms, loss, seed, packet_ms):
    # What is heard before a packet has come whole is concealment: no buffer is so short.
    heard_ms = max(heard_ms, packet_ms - 20)
    delay = watched(Stream(heard_ms, loss=loss, seed=seed, packet_ms=packet_ms))
    assert abs(delay.ms - CONCEALMENT_MS - heard_ms) < 5 + 2.5 * packet_ms * loss


@pytest.mark.parametrize(
    ("payload_bytes", "packets", "expected"),
    [(160, 1, 20), (240 * 33, 33, 30), (800, 10, 10), (480, 1, 60), (12, 3, 20), (0, 0, 20)],
)
def test_audio_per_packet(payload_bytes, packets, expected):
    packet = PacketTime()
    assert packet.look(0, packets, payload_bytes) == (expected != 20)
    assert packet.ms == expected


@pytest.mark.parametrize("port_ms", [10, 20, 30, 40, 50, 60, 100])
def test_what_ticks_and_packets_cost(port_ms):
    """Against the buffers themselves, tick by tick of 20 ms."""
    waits, packs, waiting, filled, sent = [], [], 0, 0, 0
    for tick in range(300):
        while waiting < 20:
            waiting += port_ms
        waiting -= 20
        waits.append(waiting)
        filled += 20
        while filled - sent >= port_ms:  # sample `sent` was in the tick that began at its own time
            packs.append(tick * 20 - sent)
            sent += port_ms
    assert waiting_ms(port_ms) == pytest.approx(sum(waits) / len(waits), abs=0.5)
    assert packing_ms(port_ms) == pytest.approx(sum(packs) / len(packs), abs=0.5)


def test_keys_among_the_packets_change_nothing():
    delay = watched(Stream(40))
    known_ms = delay.ms
    for number in range(60):  # every other packet is a key's: four bytes instead of 160
        at_ms = 3000 + number * LOOK_MS
        more = 1 + int((at_ms - 3000) // 20)
        counters = Counters(150 + more, 150 * 160 + more // 2 * 164, 150 + more)
        taken_ms = max(0, int((at_ms - 3040) // 20) + 1) * 20
        delay.look(at_ms, counters, max(0, more * 20 - taken_ms))
        assert delay.ms == pytest.approx(known_ms, abs=6)


def test_a_sender_that_changes_its_packets_is_followed():
    delay = watched(Stream(40))
    before = Counters(150, 150 * 160, 150)
    for number in range(60):
        at_ms = 3000 + number * LOOK_MS
        more = 1 + int((at_ms - 3000) // 60)
        counters = Counters(150 + more, before.payload_bytes + more * 480, 150 + more)
        taken_ms = max(0, int((at_ms - 3050) // 20) + 1) * 20
        delay.look(at_ms, counters, max(0, more * 60 - taken_ms))
    assert delay.ms == pytest.approx(50 + CONCEALMENT_MS, abs=5)


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
        delay.look(3000 + number * LOOK_MS, counted(150), 0.0)
        assert delay.ms == pytest.approx(known_ms, abs=6)
    for number in range(60):  # it goes on and has counted nothing meanwhile
        at_ms = 5000 + number * LOOK_MS
        delay.look(at_ms, counted(151 + int((at_ms - 5000) // 20)), 40.0)
    assert delay.ms == pytest.approx(40 + CONCEALMENT_MS, abs=12)


def test_another_stream_is_counted_from_zero():
    delay = watched(Stream(40))
    delay.look(3100, counted(3), 20.0)
    assert delay.ms == pytest.approx(40 + CONCEALMENT_MS, abs=5)
