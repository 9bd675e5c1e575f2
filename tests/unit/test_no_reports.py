"""No library reports home from a process of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOAD = """
from pathlib import Path
import gateway.recognizer.onnx
import onnxruntime
packages = Path(onnxruntime.__file__).parents[1]
model = next((packages / "silero_vad").rglob("*.onnx"))
onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
"""


def test_onnxruntime_keeps_no_device_id(tmp_path: Path) -> None:
    environ = {name: v for name, v in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environ |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environ.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", LOAD], env=environ, check=True, timeout=60)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
