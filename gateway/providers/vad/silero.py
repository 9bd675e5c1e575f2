"""Silero VAD v6 (MIT) at its native 8 kHz, by onnxruntime; torch is never imported."""

from __future__ import annotations

import importlib.metadata
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gateway.audio.voice_chunk import CHUNK_SAMPLES, Chunk
from gateway.errors import ProviderUnavailable
from gateway.recognizer.onnx import session

SUMMARY = "Silero v6 voice detector, native 8 kHz, about 65 us of CPU per 20 ms frame"
INSTALL = "pip install --no-deps silero-vad"
_CONTEXT_SAMPLES = 32
_MODEL_FILE = "silero_vad/data/silero_vad.onnx"
_IS_NO_SPEECH = 0.15
_FORGETS = np.float32(0.97)
"""While nobody speaks the network's memory fades, by half in 0.7 s: it else gets so used to a
silence or a noise that it misses the first 250 to 450 ms of the next speech (decision 16)."""

_Float32 = npt.NDArray[np.float32]


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

    def push(self, frame: bytes) -> list[Chunk]:
        """Take mono s16le at 8000 Hz; return each chunk that is whole now."""
        new = np.frombuffer(frame, dtype="<i2").astype(np.float32) / np.float32(32768)
        self._line = np.concatenate([self._line, new])
        judged = []
        while len(self._line) >= _CONTEXT_SAMPLES + CHUNK_SAMPLES:
            window = self._line[: _CONTEXT_SAMPLES + CHUNK_SAMPLES]
            probability, self._state = self._model.run(window, self._state)
            if probability < _IS_NO_SPEECH:
                self._state = self._state * _FORGETS
            self._line = self._line[CHUNK_SAMPLES:]
            self._end_sample += CHUNK_SAMPLES
            judged.append(Chunk(probability, self._end_sample, _level_dbfs(window)))
        return judged


def _level_dbfs(window: _Float32) -> float:
    new = window[_CONTEXT_SAMPLES:]
    return round(10 * math.log10(float(new @ new) / CHUNK_SAMPLES + 1e-10), 1)


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
