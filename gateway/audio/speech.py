"""What turns a synthesizer's raw output into speech that is fit for a call.

Synthesizers put 100 to 250 ms of silence in front of a sentence, which the caller feels as a
slow bot, and something between 7 and 250 ms behind it, which sounds hurried or torn.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gateway.audio.format import SAMPLE_BYTES, AudioFormat

LEAD_MS = 15
"""Silence kept in front."""
_SOFT_LEAD_BLOCKS = 8
"""40 ms, the most that is kept before the first loud block: a "th" can whisper for 100 ms."""
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
        self._lead = b""
        """The latest audio before the first loud block."""
        self._held = b""
        """Silence that is a pause if sound follows, else the end."""
        self._partial = b""
        self._has_sound = False
        self._taken_bytes = 0

    @property
    def dropped_bytes(self) -> int | None:
        """How much was cut off before the first sound; None while none has come."""
        return self._taken_bytes if self._has_sound else None

    def process(self, pcm: bytes) -> bytes:
        """Accept mono s16le of any even length; return what is certain to be spoken."""
        pcm = self._partial + pcm
        whole = len(pcm) - len(pcm) % self._block_bytes
        self._partial = pcm[whole:]
        return self._blocks(pcm[:whole])

    def flush(self) -> bytes:
        """Return the rest and exactly the wanted silence behind it."""
        rest = b""
        if self._partial:
            rest = self._blocks(self._partial.ljust(self._block_bytes, b"\0"))
        if not self._has_sound:
            return b""
        return rest + self._held[: self._tail_bytes].ljust(self._tail_bytes, b"\0")

    def _blocks(self, pcm: bytes) -> bytes:
        if not self._has_sound:
            pcm = self._opening(pcm)
        sounds = np.flatnonzero(self._rms(pcm) > _SOUND_RMS)
        if not len(sounds):
            self._held += pcm
            return b""
        end = (int(sounds[-1]) + 1) * self._block_bytes
        speech, self._held = self._held + pcm[:end], pcm[end:]
        return speech

    def _opening(self, pcm: bytes) -> bytes:
        """Drop what comes before the speech; empty while it has not begun."""
        pcm = self._lead + pcm
        rms = self._rms(pcm)
        loud = np.flatnonzero(rms > _LOUD_RMS)
        if not len(loud):
            self._lead = pcm[-self._block_bytes * _SOFT_LEAD_BLOCKS :]
            self._taken_bytes += len(pcm) - len(self._lead)
            return b""
        self._has_sound = True
        earliest = max(0, int(loud[0]) - _SOFT_LEAD_BLOCKS)
        soft = earliest + int(np.flatnonzero(rms[earliest:] > _SOUND_RMS)[0])
        begin = max(earliest, soft - LEAD_MS // _BLOCK_MS) * self._block_bytes
        self._taken_bytes += begin
        return pcm[begin:]

    def _rms(self, pcm: bytes) -> npt.NDArray[np.float32]:
        """Root mean square of each block."""
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
        blocks = samples.reshape(-1, self._block_bytes // SAMPLE_BYTES)
        return np.sqrt(np.mean(blocks * blocks, axis=1, dtype=np.float32))
