"""smart-turn v3.2 (BSD-2) on onnxruntime: does the caller sound as if the turn were over?

The model file comes out of the `pipecat-ai` wheel; none of its code is imported.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np

from gateway.audio.format import NARROWBAND, SAMPLE_BYTES
from gateway.audio.resample import resample_floats
from gateway.errors import ProviderUnavailable
from gateway.installing import pip_install
from gateway.recognizer.log_mel import RATE_HZ, log_mel
from gateway.recognizer.onnx import session

SOURCE_HZ = NARROWBAND.sample_rate_hz
INSTALL = pip_install("--no-deps pipecat-ai==1.14.0")
_MODEL_FILE = "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"
_WINDOW_S = 8
_WINDOW_SAMPLES = _WINDOW_S * RATE_HZ


def model_file() -> Path:
    """Find the model in the installed wheel.

    Raises:
        ProviderUnavailable: not installed, or another version without it.
    """
    try:
        distribution = importlib.metadata.distribution("pipecat-ai")
    except importlib.metadata.PackageNotFoundError as exc:
        raise ProviderUnavailable("smart-turn", f"pipecat-ai is missing: {INSTALL}") from exc
    path = Path(str(distribution.locate_file(_MODEL_FILE)))
    if not path.is_file():
        raise ProviderUnavailable("smart-turn", f"{path} is missing: {INSTALL}")
    return path


class SmartTurnModel:
    """The loaded network.  Stateless between calls; one thread at a time is meant to use it."""

    def __init__(self, path: Path) -> None:
        """Load it.  Raises ProviderUnavailable when the file is broken."""
        self._session = session("smart-turn", path)

    def probability(self, pcm: bytes, rate_hz: int = SOURCE_HZ) -> float:
        """Judge where the audio ends.

        Args:
            pcm: the turn so far, mono s16le; its last 8 s count.
            rate_hz: of the audio, 8000 or 16000.  Its telephone band is judged, for the use that
                is made of the probability was measured with that.

        Returns:
            Probability that the turn is over, 0..1.
        """
        last = pcm[-_WINDOW_S * rate_hz * SAMPLE_BYTES :]
        tail = np.frombuffer(last, dtype="<i2").astype(np.float32) / 32768
        narrow = resample_floats(tail, rate_hz, SOURCE_HZ)
        wide = resample_floats(narrow, SOURCE_HZ, RATE_HZ)[-_WINDOW_SAMPLES:]
        window = np.pad(wide, (_WINDOW_SAMPLES - len(wide), 0)).astype(np.float32)
        output = self._session.run(None, {"input_features": log_mel(window)[None]})[0]
        return float(output.reshape(-1)[0])
