"""How networks are run here: on the CPU, without spinning beside the clock thread."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from gateway.errors import ProviderUnavailable
from gateway.recognizer.model_files import check_model

_ERRORS_ONLY = 3


def session(name: str, path: Path, threads: int = 1) -> Any:  # noqa: ANN401 - it has no types
    """Load a network.

    Args:
        name: of the owner, for the error.
        path: the model file.
        threads: how many work on one run.

    Raises:
        ProviderUnavailable: the file is broken, or not the one that is known.
    """
    check_model(name, path)
    # 20 MB that only processes with a network need; others import what stands beside one.
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as exc:  # border: onnxruntime raises bare RuntimeError kin
        raise ProviderUnavailable(name, f"{path} cannot be loaded: {exc}") from exc
