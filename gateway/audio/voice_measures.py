"""What can be measured of a caller's voice in one turn: level, rate, pauses, pitch.  Pure.

Made for a telephone line: 8 kHz, companded, with noise.  How wrong it is: docs/voice-profile.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from gateway.audio.pitch import HOP_S, Samples, pitch_track

_FULL_SCALE = 32768.0
_LOWEST_DBFS = -60.0
"""What is below is the line."""
_OVER_NOISE_DB = 8.0
_UNDER_LOUDEST_DB = 30.0
"""Speech is this much over the noise, and not further below the loudest."""
_PAUSE_S = 0.2
"""Shorter silences belong to words (stops)."""
_GATE_DB = 10.0
"""Parts this far below the mean do not count for the level, as in ITU-R BS.1770."""
_DIP_DB = 2.0
"""Two syllables have a dip of this depth between them."""
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_ENOUGH_VOICED_S = 1.0
"""From this amount of voiced speech on a pitch is as sure as it gets."""
_ENOUGH_SPEECH_S = 2.0


@dataclass(frozen=True, slots=True)
class VoiceMeasures:
    """Of one caller turn; None = there was not enough of it."""

    speech_s: float
    """From the first to the last word, pauses included."""
    level_dbfs: float | None = None
    """Of the speech only."""
    words_per_minute: float | None = None
    """By the recognizer's words."""
    syllables_per_s: float | None = None
    """By the sound, pauses left out."""
    pauses: int = 0
    """Silences of 0.2 s or more between words."""
    pause_share: float | None = None
    """0..1 of the time between the first and the last word."""
    pitch_hz: float | None = None
    """Median."""
    pitch_low_hz: float | None = None
    """10 % are below."""
    pitch_high_hz: float | None = None
    """10 % are above."""
    voiced_s: float = 0.0
    """Speech of which the pitch is known."""
    confidence: float = 0.0
    """0..1: how much clear speech there was."""


def measure(pcm: bytes, rate_hz: int, text: str = "") -> VoiceMeasures:
    """Measure one turn.

    Args:
        pcm: mono s16le, from shortly before the first word to the last.
        rate_hz: of it.
        text: what was understood.
    """
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float64)
    levels = _levels(samples, rate_hz)
    is_speech = _speech(levels)
    if not is_speech.any():
        return VoiceMeasures(0.0)
    first, last = np.flatnonzero(is_speech)[[0, -1]]
    speech_s = (last - first + 1) * HOP_S
    silences = [run * HOP_S for run in _silences(is_speech[first : last + 1])]
    pauses = [silence for silence in silences if silence >= _PAUSE_S]
    spoken_s = max(speech_s - sum(pauses), HOP_S)
    track = pitch_track(samples, rate_hz)
    size = min(len(track.hz), len(is_speech))
    voiced = track.hz[:size][is_speech[:size] & ~np.isnan(track.hz[:size])]
    voiced_s = len(voiced) * HOP_S
    low, middle, high = np.percentile(voiced, (10, 50, 90)) if voiced_s >= 0.2 else (None,) * 3
    words = len(_WORD.findall(text))
    syllables = _syllables(samples, rate_hz, first, last)
    return VoiceMeasures(
        speech_s=round(speech_s, 2),
        level_dbfs=round(_gated(levels[is_speech]), 1),
        words_per_minute=round(words * 60 / speech_s, 1) if words >= 3 and speech_s >= 1 else None,
        syllables_per_s=round(syllables / spoken_s, 2) if speech_s >= 1 else None,
        pauses=len(pauses),
        pause_share=round(sum(pauses) / speech_s, 3),
        pitch_hz=_rounded(middle),
        pitch_low_hz=_rounded(low),
        pitch_high_hz=_rounded(high),
        voiced_s=round(voiced_s, 2),
        confidence=round(
            min(voiced_s / _ENOUGH_VOICED_S, 1.0) * min(speech_s / _ENOUGH_SPEECH_S, 1.0), 2
        ),
    )


def _rounded(hz: float | None) -> float | None:
    return None if hz is None else round(float(hz), 1)


def _levels(samples: Samples, rate_hz: int) -> Samples:
    """Return the level of each 20 ms in dBFS."""
    hop = round(HOP_S * rate_hz)
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    power = (frames**2).mean(axis=1) / _FULL_SCALE**2
    return np.asarray(10 * np.log10(np.maximum(power, 1e-10)))


def _speech(levels: Samples) -> np.ndarray:
    if not len(levels):
        return np.zeros(0, bool)
    noise, loudest = np.percentile(levels, (5, 98))
    least = max(noise + _OVER_NOISE_DB, loudest - _UNDER_LOUDEST_DB, _LOWEST_DBFS)
    # A turn without silence has no noise in it: then the loudest decides alone.
    least = min(least, loudest - _OVER_NOISE_DB)
    return np.asarray(levels >= max(least, _LOWEST_DBFS))


def _silences(is_speech: np.ndarray) -> list[int]:
    """Return the lengths of the silences inside, in frames."""
    edges = np.flatnonzero(np.diff(np.concatenate(([1], is_speech.astype(int), [1]))))
    return [int(end - start) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _gated(levels: Samples) -> float:
    """Return the mean power in dB of the parts that are not much below it."""
    power = 10 ** (levels / 10)
    kept = power[levels >= 10 * np.log10(power.mean()) - _GATE_DB]
    return float(10 * np.log10((kept if len(kept) else power).mean()))


def _syllables(samples: Samples, rate_hz: int, first: int, last: int) -> int:
    """Count the peaks of loudness between two frames: vowels are louder than what is between them.

    Source: N. H. de Jong, T. Wempe, "Praat script to detect syllable nuclei and measure speech
    rate automatically", Behavior Research Methods 41 (2009).
    """
    hop, part = round(HOP_S * rate_hz), round(0.01 * rate_hz)
    inner = samples[first * hop : (last + 1) * hop]
    power = (inner[: len(inner) // part * part].reshape(-1, part) ** 2).mean(axis=1)
    smooth = np.convolve(power, np.hanning(9) / np.hanning(9).sum(), "same")
    envelope = 10 * np.log10(np.maximum(smooth / _FULL_SCALE**2, 1e-10))
    least = np.percentile(envelope, 98) - 22
    count, peak, valley, is_rising = 0, -np.inf, np.inf, True
    for level in envelope:
        if is_rising:
            peak = max(peak, level)
            if level < peak - _DIP_DB:
                count += peak >= least
                is_rising, valley = False, level
        else:
            valley = min(valley, level)
            if level > valley + _DIP_DB:
                is_rising, peak = True, level
    return count + (is_rising and peak >= least)
