"""Silero VAD v6 (MIT) at its native 8 kHz, by onnxruntime; torch is never imported."""

from __future__ import annotations

import importlib.metadata
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gateway.audio.voice_chunk import CHUNK_SAMPLES, Chunk, VoiceDetector
from gateway.errors import ProviderUnavailable
from gateway.installing import pip_install
from gateway.providers.contracts import ProviderSettings, VoiceDetection
from gateway.recognizer.onnx import session
from gateway.threads import BlockingEngine

SUMMARY = "Silero v6 voice detector, native 8 kHz, about 65 us of CPU per 20 ms frame"
INSTALL = pip_install("--no-deps silero-vad")
_CONTEXT_SAMPLES = 32
_MODEL_FILE = "silero_vad/data/silero_vad.onnx"
_IS_NO_SPEECH = 0.15
_FORGETS = np.float32(0.97)
"""Factor per step by which the network's memory fades without speech, by half in 0.7 s: it
otherwise adapts to a silence or a noise and misses the first 250 to 450 ms of the next speech
(decision 16)."""

_Float32 = npt.NDArray[np.float32]


class Settings(ProviderSettings):
    """Nothing can be set."""


class Silero:
    """The network, loaded once for all calls."""

    def __init__(self) -> None:
        self._model: SileroModel | None = None

    async def warm_up(self) -> None:
        """Load the network beside the loop."""
        if self._model is None:
            engine = BlockingEngine("silero")
            try:
                self._model = await engine.call(SileroModel)
            finally:
                engine.close()

    def open(self) -> VoiceDetector:
        """Make the detector of one call."""
        if self._model is None:
            self._model = SileroModel()
        return SpeechProbability(self._model)

    async def close(self) -> None:
        """Release the network."""
        self._model = None


def create(_settings: Settings) -> VoiceDetection:
    """Make the detection; `warm_up` loads the network."""
    return Silero()


def probe() -> str:
    """Return "" when usable, else what to do."""
    try:
        _model_path()
    except ProviderUnavailable as exc:
        return exc.problem
    return ""


class SileroModel:
    """The loaded network, shared by all calls.  It keeps no state of its own."""

    def __init__(self) -> None:
        """Load it.

        Raises:
            ProviderUnavailable: the distribution `silero-vad` is not installed, or is broken.
        """
        path = _model_path()
        self._session = session("silero", path)
        self._rate = np.array(8000, np.int64)

    def run(self, samples: _Float32, state: _Float32) -> tuple[float, _Float32]:
        """Judge one chunk.

        Args:
            samples: float32[288] in -1..1: 32 of the previous chunk, then 256 new ones.
            state: float32[2, 1, 128] as returned for the previous chunk.

        Returns:
            The speech probability and the new state.
        """
        output, new_state = self._session.run(
            None, {"input": samples[None], "state": state, "sr": self._rate}
        )
        return float(output[0, 0]), new_state


class SpeechProbability:
    """Speech probabilities of one call: frames of any length in, one number per 256 samples out."""

    def __init__(self, model: SileroModel, first_sample: int = 0) -> None:
        self._model = model
        self._state = np.zeros((2, 1, 128), np.float32)
        self._line = np.zeros(_CONTEXT_SAMPLES, np.float32)
        self._end_sample = first_sample
        self._latest = np.zeros(_CONTEXT_SAMPLES + CHUNK_SAMPLES, np.float32)
        self._new = 0

    def push(self, frame: bytes) -> list[Chunk]:
        """Accept mono s16le at 8000 Hz, whole samples; return each chunk that is complete."""
        new = np.frombuffer(frame, dtype="<i2").astype(np.float32) / np.float32(32768)
        self._line = np.concatenate([self._line, new])
        self._latest = np.concatenate([self._latest, new])[-len(self._latest) :]
        self._new = len(new)
        judged = []
        while len(self._line) >= _CONTEXT_SAMPLES + CHUNK_SAMPLES:
            window = self._line[: _CONTEXT_SAMPLES + CHUNK_SAMPLES]
            probability, self._state = self._model.run(window, self._state)
            if probability < _IS_NO_SPEECH:
                self._state = self._state * _FORGETS
            self._line = self._line[CHUNK_SAMPLES:]
            self._end_sample += CHUNK_SAMPLES
            level_dbfs = _level_dbfs(window[_CONTEXT_SAMPLES:])
            judged.append(Chunk(probability, self._end_sample, level_dbfs))
        return judged

    def peek(self) -> Chunk:
        """Judge the latest 32 ms before their chunk is complete; the network forgets them."""
        probability, _ = self._model.run(self._latest, self._state)
        end = self._end_sample + len(self._line) - _CONTEXT_SAMPLES
        level_dbfs = _level_dbfs(self._latest[-self._new :])
        return Chunk(probability, end, level_dbfs, is_provisional=True)


def _level_dbfs(samples: _Float32) -> float:
    return round(10 * math.log10(float(samples @ samples) / len(samples) + 1e-10), 1)


def _model_path() -> Path:
    try:
        distribution = importlib.metadata.distribution("silero-vad")
    except importlib.metadata.PackageNotFoundError as exc:
        raise ProviderUnavailable(
            "silero", f"package silero-vad is not installed: {INSTALL}"
        ) from exc
    path = Path(str(distribution.locate_file(_MODEL_FILE)))
    if not path.is_file():
        raise ProviderUnavailable("silero", f"{path} is missing: {INSTALL} --force-reinstall")
    return path
