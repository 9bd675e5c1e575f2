"""WebRTC's voice detector (BSD): Gaussian mixtures over six bands, for small machines."""

from __future__ import annotations

import importlib
import math
from collections import deque
from typing import Any

import numpy as np

from gateway.audio.format import ANALYSIS, SAMPLE_BYTES
from gateway.audio.framer import Framer
from gateway.audio.voice_chunk import CHUNK_SAMPLES, Chunk, VoiceDetector
from gateway.errors import ProviderUnavailable
from gateway.installing import pip_install
from gateway.providers.contracts import ProviderSettings, VoiceDetection

SUMMARY = "WebRTC voice detector, about 15 us of CPU per 20 ms frame; reports much noise as speech"
INSTALL = pip_install("webrtcvad-wheels")
_STEP_SAMPLES = ANALYSIS.sample_rate_hz // 100
"""10 ms: the shortest frame that the library takes."""
_STEPS_OF_PEEK = 3
_VOTES = ((2, 0.39), (3, 0.40))
"""Aggressiveness and what its "speech" is worth.  The milder one alone carries speech on (from 0.35
on) and does not start it (0.5); both together are not sure either (0.8), so that what interrupts
the bot must stand out of the noise."""


class Settings(ProviderSettings):
    """Nothing can be set."""


class WebRtc:
    """The library; it keeps no state of its own."""

    async def warm_up(self) -> None:
        """Load the library.  Raises ProviderUnavailable when it is not installed."""
        _library()

    def open(self) -> VoiceDetector:
        """Make the detector of one call."""
        return SpeechVotes(_library())

    async def close(self) -> None:
        """Release nothing: there is nothing."""


class SpeechVotes:
    """Speech probabilities of one call: frames of any length in, one number per 256 samples out."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401 - it has no types
        self._judges = [(library.Vad(mode), worth) for mode, worth in _VOTES]
        self._steps = Framer(_STEP_SAMPLES * SAMPLE_BYTES)
        self._chunks = Framer(CHUNK_SAMPLES * SAMPLE_BYTES)
        self._scores: deque[tuple[int, float]] = deque()
        """Of the steps that end in no whole chunk yet: where, and how much they are speech."""
        self._latest: deque[float] = deque(maxlen=_STEPS_OF_PEEK)
        self._frame = b""
        self._heard_samples = self._judged_samples = self._end_sample = 0

    def push(self, frame: bytes) -> list[Chunk]:
        """Accept mono s16le at 8000 Hz, whole samples; return each chunk that is complete."""
        self._frame = frame
        self._heard_samples += len(frame) // SAMPLE_BYTES
        for step in self._steps.push(frame):
            self._judged_samples += _STEP_SAMPLES
            score = self._score(step)
            self._scores.append((self._judged_samples, score))
            self._latest.append(score)
        return [self._chunk(pcm) for pcm in self._chunks.push(frame)]

    def peek(self) -> Chunk | None:
        """Judge the latest 30 ms; return None before there is as much."""
        if len(self._latest) < _STEPS_OF_PEEK:
            return None
        probability = sum(self._latest) / _STEPS_OF_PEEK
        return Chunk(
            probability, self._heard_samples, _level_dbfs(self._frame), is_provisional=True
        )

    def _score(self, step: bytes) -> float:
        rate_hz = ANALYSIS.sample_rate_hz
        return sum(worth for judge, worth in self._judges if judge.is_speech(step, rate_hz))

    def _chunk(self, pcm: bytes) -> Chunk:
        self._end_sample += CHUNK_SAMPLES
        inside = []  # three or four
        while self._scores and self._scores[0][0] <= self._end_sample:
            inside.append(self._scores.popleft()[1])
        return Chunk(sum(inside) / len(inside), self._end_sample, _level_dbfs(pcm))


def create(_settings: Settings) -> VoiceDetection:
    """Make the detection."""
    return WebRtc()


def probe() -> str:
    """Return "" when usable, else what to do."""
    try:
        _library()
    except ProviderUnavailable as error:
        return error.problem
    return ""


def _level_dbfs(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768)
    return round(10 * math.log10(float(samples @ samples) / max(1, len(samples)) + 1e-10), 1)


def _library() -> Any:  # noqa: ANN401 - it has no types
    try:
        return importlib.import_module("webrtcvad")
    except ImportError as error:
        raise ProviderUnavailable(
            "webrtcvad", f"package webrtcvad-wheels is not installed: {INSTALL}"
        ) from error
