"""InputDelay: how long ago what is heard now was sent, from counters of packets.  Pure.

Packet n of a steady sender leaves at s + 20 n ms and is heard at h + 20 n; `h - s` is wanted, and
nobody tells when a packet came.  But when `expected` packets have been sent, the next one leaves
within 20 ms: `at - 20 expected` lies between s - 20 and s (later, where the network held a packet
back), and with `taken` packets gone out of the jitter buffer `at - 20 taken` between h - 20 and h.
So the least of the one and the mean of the other tell both.
"""

from __future__ import annotations

from collections import deque

from gateway.audio.format import LINE

_SENT_WINDOW_MS = 1000.0
_HEARD_WINDOW_MS = 500.0
"""The buffer slips; the sender does not."""
_PAUSE_MS = 60.0
_SILENCE_MS = 200.0
"""A sender that stops for so long suppresses silence: it does not count what it did not send."""
_LEAST_LOOKS = 10
_LONGEST_MS = 1000.0
CONCEALMENT_MS = 4.4
"""PJMEDIA's packet loss concealment holds all audio back so long (measured by correlation)."""


class InputDelay:
    """The delay of one RTP stream: jitter buffer, concealment, and the network's jitter."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, float, float]] = deque()
        self._known_ms = 0.0
        self._expected_packets = 0
        self._grew_at_ms = 0.0

    def look(self, at_ms: float, expected_packets: int, buffered_ms: float) -> None:
        """Take one look at the counters; thirty a second or more, not in step with the packets.

        Args:
            at_ms: when, on any steady clock.
            expected_packets: received and lost ones together, by their sequence numbers.
            buffered_ms: audio in the jitter buffer.
        """
        paused_ms = at_ms - self._grew_at_ms
        if expected_packets != self._expected_packets:
            if paused_ms > _SILENCE_MS or expected_packets < self._expected_packets:
                self.reset()
            self._expected_packets, self._grew_at_ms = expected_packets, at_ms
        elif paused_ms > _PAUSE_MS:
            return
        sent_ms = at_ms - expected_packets * LINE.ptime_ms
        self._looks.append((at_ms, sent_ms, sent_ms + buffered_ms))
        while self._looks[0][0] < at_ms - _SENT_WINDOW_MS:
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
            sent_ms = min(sent for _, sent, _ in self._looks) + LINE.ptime_ms / 2
            heard = [heard for at, _, heard in self._looks if at >= since_ms]
            delay_ms = sum(heard) / len(heard) - sent_ms + CONCEALMENT_MS
            if 0.0 <= delay_ms <= _LONGEST_MS:
                self._known_ms = delay_ms
        return self._known_ms
