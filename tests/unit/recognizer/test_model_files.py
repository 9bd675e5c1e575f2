"""A model file that is not the one that was released is not loaded."""

from pathlib import Path

import pytest

from gateway.errors import ProviderUnavailable
from gateway.providers.vad import silero
from gateway.recognizer.model_files import KNOWN, check_model
from gateway.recognizer.moonshine import MoonshineModel, model_folder
from gateway.recognizer.onnx import session


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_file_of_that_name_is_not_enough(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"another network")
    with pytest.raises(ProviderUnavailable, match="not the file that was released"):
        check_model("any", path)


def test_what_is_not_known_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"x")
    with pytest.raises(ProviderUnavailable, match="is not known"):
        session("any", tmp_path / "other.onnx")
    with pytest.raises(ProviderUnavailable, match="cannot be loaded"):
        session("any", tmp_path / "none" / "silero_vad.onnx")


def test_one_changed_byte_is_seen(tmp_path: Path) -> None:
    content = bytearray(silero._model_path().read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "silero_vad.onnx"
    path.write_bytes(content)
    with pytest.raises(ProviderUnavailable, match="not the file that was released"):
        session("silero", path)


def test_a_vocabulary_is_checked_like_a_network(tmp_path: Path) -> None:
    for file in model_folder().iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "tokenizer.bin").unlink()
    (tmp_path / "tokenizer.bin").write_bytes(b"\x01a")
    with pytest.raises(ProviderUnavailable, match="tokenizer"):
        MoonshineModel(tmp_path)
