"""The model files that were tried and measured: each is known by its SHA-256.

A network is a program: a file that was damaged or exchanged is not run.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from gateway.errors import ProviderUnavailable

KNOWN = {
    # moonshine-voice 0.1.0
    "encoder_model.ort": "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
    "decoder_model_merged.ort": "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
    "tokenizer.bin": "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
    # silero-vad 6.2.3
    "silero_vad.onnx": "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    # hibari-tts 0.2.1
    "hibari.onnx": "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
    "oov.onnx": "d3cfd8122c5f172a98c8de38268bf1213ee09f2c2ae4df6e055fc6532590fe76",
    # pipecat-ai 1.14.0
    "smart-turn-v3.2-cpu.onnx": "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
}
"""File name -> SHA-256 of what may be loaded under that name."""


def check_model(name: str, path: Path) -> None:
    """Compare a model file with the one that is known.

    Args:
        name: of the owner, for the error.
        path: the file.

    Raises:
        ProviderUnavailable: it is another file, unknown, or cannot be read.
    """
    wanted = KNOWN.get(path.name)
    if wanted is None:
        raise ProviderUnavailable(name, f"{path} cannot be loaded: its SHA-256 is not known here")
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ProviderUnavailable(name, f"{path} cannot be loaded: {error}") from error
    if found != wanted:
        raise ProviderUnavailable(
            name,
            f"{path} cannot be loaded: it is not the file that was released (SHA-256 {found},"
            f" not {wanted}); install its package again",
        )
