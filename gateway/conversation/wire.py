"""WireMeter: what really passed the RTP edge, sample by sample.  Pure."""

from __future__ import annotations

from collections import deque

from gateway.audio.format import LINE
from gateway.audio.level import audible_span

THRESHOLD = 1000
"""Absolute sample value that counts as loud (about -30 dBFS peak)."""
_LOUD_SAMPLES, _WITHIN_SAMPLES = 4, LINE.sample_rate_hz * 5 // 1000
"""Audible is what has four loud samples within 5 ms: a single one is a crackle."""
_MEMORY_FRAMES = 500
_SLACK = LINE.sample_rate_hz // 10


class WireMeter:
    """Remembers where caller and bot were audible, in audio time of the call."""

    def __init__(self) -> None:
        self._caller: deque[tuple[int, int]] = deque(maxlen=_MEMORY_FRAMES)
        self._bot: deque[tuple[int, int]] = deque(maxlen=_MEMORY_FRAMES)
        self.now = 0
        """Samples since the call's first frame."""

    def feed(self, received: bytes, sent: bytes) -> None:
        """Take one tick."""
        self._note(self._caller, received)
        self._note(self._bot, sent)
        self.now += LINE.frame_samples

    @property
    def is_bot_audible(self) -> bool:
        """True when something audible of the bot was in the latest tick."""
        return bool(self._bot) and self._bot[-1][1] >= self.now - LINE.frame_samples

    def last_caller_sample(self, speech_end: int) -> int:
        """Last audible caller sample of speech that the VAD saw end at `speech_end`."""
        for _, last in reversed(self._caller):
            if last <= speech_end + _SLACK:
                return last
        return speech_end

    def first_caller_sample(self, onset: int) -> int:
        """First audible caller sample of speech that the VAD saw begin at `onset`."""
        for first, _ in self._caller:
            if first >= onset - _SLACK:
                return first
        return onset

    def first_bot_sample(self, since: int) -> int | None:
        """First audible bot sample handed to RTP at or after `since`."""
        for first, last in self._bot:
            if last >= since:
                return max(first, since)
        return None

    def last_bot_sample(self) -> int | None:
        """Last audible bot sample handed to RTP."""
        return self._bot[-1][1] if self._bot else None

    def _note(self, track: deque[tuple[int, int]], pcm: bytes) -> None:
        span = audible_span(pcm, THRESHOLD, _LOUD_SAMPLES, _WITHIN_SAMPLES)
        if span is not None:
            track.append((self.now + span[0], self.now + span[1]))
