"""Silero VAD v6 (MIT) at its native 8 kHz, by onnxruntime; torch is never imported."""

from __future__ import annotations

import importlib.metadata
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gateway.audio.format import SAMPLE_BYTES
from gateway.audio.level import has_sound
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

_SETTLED_CHUNKS = 10
"""After 320 ms without speech the network is not asked about chunks without `has_sound`."""
_SILENT_DBFS = -100.0
"""What `_level_dbfs` makes of digital silence."""
_CHUNK_BYTES = CHUNK_SAMPLES * SAMPLE_BYTES
_CONTEXT_BYTES = _CONTEXT_SAMPLES * SAMPLE_BYTES
_WINDOW_BYTES = _CONTEXT_BYTES + _CHUNK_BYTES

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
    """Speech probabilities of one call: frames of any length in, one number per 256 samples out.

    A line without speech for a while is settled: as long as nothing on it may be speech, chunks
    have probability 0, and the network only forgets.
    """

    def __init__(self, model: SileroModel, first_sample: int = 0) -> None:
        self._model = model
        self._state = np.zeros((2, 1, 128), np.float32)
        self._line = bytes(_CONTEXT_BYTES)
        self._end_sample = first_sample
        self._latest = bytes(_WINDOW_BYTES)
        self._new_bytes = 0
        self._silent_chunks = 0
        """Without speech, one after the other."""
        self._forgotten = 0
        """Number of chunks by which the network's memory has still to fade."""

    def push(self, frame: bytes) -> list[Chunk]:
        """Accept mono s16le at 8000 Hz, whole samples; return each chunk that is complete."""
        self._line += frame
        self._latest = (self._latest + frame)[-_WINDOW_BYTES:]
        self._new_bytes = len(frame)
        judged = []
        while len(self._line) >= _WINDOW_BYTES:
            window, self._line = self._line[:_WINDOW_BYTES], self._line[_CHUNK_BYTES:]
            self._end_sample += CHUNK_SAMPLES
            judged.append(self._judge(window))
        return judged

    def peek(self) -> Chunk | None:
        """Judge the latest 32 ms before their chunk is complete; the network forgets them.

        Returns:
            None on a settled line: the latest 32 ms are no speech.
        """
        if self._is_settled(self._latest):
            return None
        samples = _samples(self._latest)
        probability, _ = self._model.run(samples, self._memory())
        end = self._end_sample + (len(self._line) - _CONTEXT_BYTES) // SAMPLE_BYTES
        level_dbfs = _level_dbfs(samples[-self._new_bytes // SAMPLE_BYTES :])
        return Chunk(probability, end, level_dbfs, is_provisional=True)

    def _judge(self, window: bytes) -> Chunk:
        if self._is_settled(window):
            self._forgotten += 1
            new = window[_CONTEXT_BYTES:]
            level_dbfs = _SILENT_DBFS if new.count(0) == len(new) else _level_dbfs(_samples(new))
            return Chunk(0.0, self._end_sample, level_dbfs)
        samples = _samples(window)
        probability, self._state = self._model.run(samples, self._memory())
        if probability < _IS_NO_SPEECH:
            self._silent_chunks += 1
            self._forgotten = 1
        else:
            self._silent_chunks = 0
        return Chunk(probability, self._end_sample, _level_dbfs(samples[_CONTEXT_SAMPLES:]))

    def _is_settled(self, window: bytes) -> bool:
        return self._silent_chunks >= _SETTLED_CHUNKS and not has_sound(window)

    def _memory(self) -> _Float32:
        """Return what the network remembers of the chunks so far."""
        if self._forgotten:
            self._state = self._state * _FORGETS**self._forgotten
            self._forgotten = 0
        return self._state


def _samples(pcm: bytes) -> _Float32:
    samples: _Float32 = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768)
    return samples


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
