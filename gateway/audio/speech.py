"""What turns a synthesizer's raw output into speech that is fit for a call.

Synthesizers put 100 to 250 ms of silence in front of a sentence, which the caller feels as a
slow bot, and something between 7 and 250 ms behind it, which sounds hurried or torn.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from gateway.audio.format import LINE, SAMPLE_BYTES, AudioFormat
from gateway.audio.loudness import level_speech
from gateway.audio.resample import resample_once

LEAD_MS = 15
"""Silence kept in front."""
_SOFT_LEAD_MS = 40
"""Most that is kept before the first loud block: a "th" can whisper for 100 ms."""
_SENTENCE_PAUSE_MS = 120
_CLAUSE_PAUSE_MS = 60
_CLAUSE_ENDS = (",", ";", ":", "-", "\N{EN DASH}", "\N{EM DASH}")
_BLOCK_MS = 5
_SOUND_RMS = 104.0
"""-50 dBFS; the hiss of flite's statistical voices lies 11 dB below, a soft "th" above."""
_LOUD_RMS = 412.0
"""-38 dBFS: from here on a caller hears it over a telephone."""


def pause_after_ms(text: str) -> int:
    """Silence that belongs behind a piece of speech: a clause has less than a sentence."""
    is_clause = text.rstrip(" \n\"')").endswith(_CLAUSE_ENDS)
    return _CLAUSE_PAUSE_MS if is_clause else _SENTENCE_PAUSE_MS


class SpeechTrimmer:
    """Exchange the silence around one piece of speech for a natural one; a live stream will do.

    The output does not depend on how the input is chunked.  Pure silence gives no output.
    """

    def __init__(self, audio_format: AudioFormat, *, tail_ms: int) -> None:
        self._block_bytes = audio_format.sample_rate_hz * _BLOCK_MS // 1000 * SAMPLE_BYTES
        self._tail_bytes = audio_format.sample_rate_hz * tail_ms // 1000 * SAMPLE_BYTES
        self._lead: deque[bytes] = deque(maxlen=_SOFT_LEAD_MS // _BLOCK_MS + 1)
        self._held: list[bytes] = []
        """Silent blocks that are a pause if sound follows, else the end."""
        self._partial = b""
        self._has_sound = False

    def process(self, pcm: bytes) -> bytes:
        """Take mono s16le of any even length; give what is certain to be spoken."""
        pcm = self._partial + pcm
        whole = len(pcm) - len(pcm) % self._block_bytes
        self._partial = pcm[whole:]
        starts = range(0, whole, self._block_bytes)
        return b"".join(self._block(pcm[at : at + self._block_bytes]) for at in starts)

    def flush(self) -> bytes:
        """Give the rest and exactly the wanted silence behind it."""
        rest = self._block(self._partial) if self._partial else b""
        self._partial = b""
        if not self._has_sound:
            return b""
        tail = b"".join(self._held)[: self._tail_bytes]
        self._held.clear()
        return rest + tail.ljust(self._tail_bytes, b"\0")

    def _block(self, block: bytes) -> bytes:
        if not self._has_sound:
            return self._before_sound(block)
        self._held.append(block)
        return self._release() if _rms(block) > _SOUND_RMS else b""

    def _before_sound(self, block: bytes) -> bytes:
        self._lead.append(block)
        if _rms(block) <= _LOUD_RMS:
            return b""
        self._has_sound = True
        soft = next(at for at, kept in enumerate(self._lead) if _rms(kept) > _SOUND_RMS)
        self._held.extend(list(self._lead)[max(0, soft - LEAD_MS // _BLOCK_MS) :])
        self._lead.clear()
        return self._release()

    def _release(self) -> bytes:
        speech = b"".join(self._held)
        self._held.clear()
        return speech


def speech_for_line(pcm: bytes, source_hz: int, *, text: str, level_dbfs: float) -> bytes:
    """Turn one whole rendered sentence (mono s16le) into `LINE` format: rate, silence, level.

    Args:
        pcm: what the synthesizer gave.
        source_hz: its sample rate.
        text: what is said in it; its last character decides the pause behind it.
        level_dbfs: wanted level of the spoken parts.
    """
    trimmer = SpeechTrimmer(LINE, tail_ms=pause_after_ms(text))
    narrow = resample_once(pcm, source_hz, LINE.sample_rate_hz)
    spoken = trimmer.process(narrow) + trimmer.flush()
    return level_speech(spoken, LINE.sample_rate_hz, level_dbfs)


def _rms(block: bytes) -> float:
    samples = np.frombuffer(block, dtype="<i2").astype(np.float32)
    return math.sqrt(float(np.dot(samples, samples)) / len(samples))
