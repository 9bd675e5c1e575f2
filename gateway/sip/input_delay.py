"""InputDelay: how long ago what is heard now was sent, from counters of packets.  Pure.

Packet n of a steady sender, with P ms of audio in each, leaves at s + P n ms and is heard at
h + P n; `h - s` is wanted, and packets carry no arrival time.  But when `expected` packets have
been sent, the next one leaves within P ms: `at - P expected` lies between s - P and s (later, where
the network held a packet back).  Ticks of 20 ms take audio out of the jitter buffer: with `taken`
milliseconds gone `at - taken` lies between h - 20 and h.  The least of the one and the mean of the
other tell both.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from gateway.audio.format import ANALYSIS

BYTES_PER_MS = 8
"""G.711 and G.722 alike have 64 kbit/s."""
_PACKET_STEP_MS = 10
_WINDOW_MS = 1000.0
_HEARD_WINDOW_MS = 500.0
"""The buffer slips; the sender does not."""
_PAUSE_PACKETS = 3
_SILENCE_PACKETS = 10
"""Gap after which a sender is taken to suppress silence: it does not count what it did not send."""
_LEAST_LOOKS = 10
_LONGEST_MS = 1000.0
CONCEALMENT_MS = 4.4
"""Delay of PJMEDIA's packet loss concealment (measured by correlation)."""


class Counters(NamedTuple):
    """What a stream has received so far."""

    packets: int
    """All that came, some perhaps twice."""
    payload_bytes: int
    """Theirs."""
    expected: int
    """By the sequence numbers: lost ones count, none counts twice."""


class PacketTime:
    """How much audio one packet of a stream holds."""

    def __init__(self) -> None:
        self.ms = ANALYSIS.ptime_ms
        """A multiple of 10."""
        self._sizes: deque[tuple[float, int]] = deque()
        """Of the latest second, between two looks: digits among the packets make it less."""
        self._packets, self._bytes = 0, 0

    def look(self, at_ms: float, packets: int, payload_bytes: int) -> bool:
        """Accept a look at the counters; True when it is another time than before."""
        size_ms = _audio_ms(payload_bytes - self._bytes, packets - self._packets)
        self._packets, self._bytes = packets, payload_bytes
        if size_ms > 0:
            self._sizes.append((at_ms, size_ms))
        while self._sizes and self._sizes[0][0] < at_ms - _WINDOW_MS:
            self._sizes.popleft()
        before = self.ms
        self.ms = max((size for _, size in self._sizes), default=before)
        return self.ms != before


def _audio_ms(payload_bytes: int, packets: int) -> int:
    """Audio per packet, a multiple of 10 ms; 0 where it is less than half of that (digits)."""
    if packets <= 0:
        return 0
    return round(payload_bytes / packets / BYTES_PER_MS / _PACKET_STEP_MS) * _PACKET_STEP_MS


def waiting_ms(port_ms: int) -> float:
    """Return how long audio that has left the jitter buffer waits on average for its tick.

    PJMEDIA takes as much out at once as it sends in a packet, and hands it out in ticks.
    """
    return (port_ms - _common(port_ms)) / 2


def packing_ms(port_ms: int) -> float:
    """Return the mean delay between a tick and its packet, which leaves when it is full."""
    return port_ms - (ANALYSIS.ptime_ms + _common(port_ms)) / 2


def _common(port_ms: int) -> int:
    return math.gcd(port_ms, ANALYSIS.ptime_ms)


class InputDelay:
    """The delay of one RTP stream: jitter buffer, concealment, and the network's jitter."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, float, float]] = deque()
        self._packet = PacketTime()
        self._known_ms = 0.0
        self._expected = 0
        self._grew_at_ms = 0.0

    def look(self, at_ms: float, counters: Counters, buffered_ms: float) -> None:
        """Accept one look at the counters; thirty a second or more, not in step with the packets.

        Args:
            at_ms: when, on any steady clock.
            counters: of all that was received.
            buffered_ms: audio in the jitter buffer.
        """
        expected = counters.expected
        paused_ms = at_ms - self._grew_at_ms
        if expected != self._expected:
            if paused_ms > _SILENCE_PACKETS * self._packet.ms or expected < self._expected:
                self.reset()
            if self._packet.look(at_ms, counters.packets, counters.payload_bytes):
                self._looks.clear()
            self._expected, self._grew_at_ms = expected, at_ms
        elif paused_ms > _PAUSE_PACKETS * self._packet.ms:
            return
        sent_ms = at_ms - expected * self._packet.ms
        self._looks.append((at_ms, sent_ms, sent_ms + buffered_ms))
        while self._looks[0][0] < at_ms - _WINDOW_MS:
            self._looks.popleft()

    def reset(self) -> None:
        """Begin anew and keep what is known: another stream is counted from zero."""
        self._known_ms = self.ms
        self._looks.clear()

    @property
    def ms(self) -> float:
        """The delay in milliseconds; the last known one while too little is known."""
        if len(self._looks) >= _LEAST_LOOKS:
            since_ms = self._looks[-1][0] - _HEARD_WINDOW_MS
            sent_ms = min(sent for _, sent, _ in self._looks) + self._packet.ms
            heard = [heard for at, _, heard in self._looks if at >= since_ms]
            heard_ms = sum(heard) / len(heard) + ANALYSIS.ptime_ms / 2
            delay_ms = heard_ms - sent_ms + CONCEALMENT_MS
            if 0.0 <= delay_ms <= _LONGEST_MS:
                self._known_ms = delay_ms
        return self._known_ms
