"""WireMeter: what really passed the RTP edge, sample by sample.  Pure."""

from __future__ import annotations

from collections import deque

from gateway.audio.format import LINE
from gateway.audio.level import audible_span, rms

THRESHOLD = 1000
"""Absolute sample value that counts as loud (about -30 dBFS peak) where it is quiet."""
_LOUD_SAMPLES, _WITHIN_SAMPLES = 4, LINE.sample_rate_hz * 5 // 1000
"""Audible is what has four loud samples within 5 ms: a single one is a crackle."""
_MEMORY_FRAMES = 500
_FLOOR_FRAMES, _FLOOR_EVERY_FRAMES, _FLOOR_PART = 100, 10, 10
"""Every 200 ms: the RMS that a tenth of the last two seconds stays below."""
_OVER_FLOOR = 4
"""12 dB: hardly ever are four samples of noise within 5 ms so loud."""
_SLACK = LINE.sample_rate_hz // 10


class _Background:
    """How loud it is behind the caller's voice.

    A car or an office is louder than `THRESHOLD`: by that alone the caller would speak until the
    voice detector says no, and every gap would be reported too short (at 10 dB by 280 ms, p50 of
    60 recorded orders; with this by 0).
    """

    def __init__(self) -> None:
        self._levels: deque[float] = deque([0.0], maxlen=_FLOOR_FRAMES)
        self._threshold = THRESHOLD
        self._count = 0

    def threshold(self, pcm: bytes) -> int:
        """Take a frame; give the absolute sample value above which it is the caller's voice."""
        self._levels.append(rms(pcm))
        self._count += 1
        if self._count % _FLOOR_EVERY_FRAMES == 0:
            floor = sorted(self._levels)[len(self._levels) // _FLOOR_PART]
            self._threshold = max(THRESHOLD, round(_OVER_FLOOR * floor))
        return self._threshold


class WireMeter:
    """Remembers where caller and bot were audible, in audio time of the call."""

    def __init__(self) -> None:
        self._caller: deque[tuple[int, int]] = deque(maxlen=_MEMORY_FRAMES)
        self._bot: deque[tuple[int, int]] = deque(maxlen=_MEMORY_FRAMES)
        self._behind = _Background()
        self.now = 0
        """Samples since the call's first frame."""

    def feed(self, received: bytes, sent: bytes) -> None:
        """Take one tick."""
        self._note(self._caller, received, self._behind.threshold(received))
        self._note(self._bot, sent, THRESHOLD)
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

    def _note(self, track: deque[tuple[int, int]], pcm: bytes, threshold: int) -> None:
        span = audible_span(pcm, threshold, _LOUD_SAMPLES, _WITHIN_SAMPLES)
        if span is not None:
            track.append((self.now + span[0], self.now + span[1]))
