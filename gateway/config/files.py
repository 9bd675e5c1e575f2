"""The texts of the configuration files: as they are on disk, or as they were when last checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class ConfigFiles:
    """Reads from disk and remembers what it read."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        """Absolute path -> what was read."""

    def read(self, path: Path) -> bytes:
        """Return a file's bytes.  Raises OSError, ValueError (a path that can be none)."""
        data = path.read_bytes()
        self.texts[str(path.absolute())] = data.decode("utf-8", "replace")
        return data

    def toml_files(self, folder: Path) -> list[Path]:
        """List the `*.toml` of a folder, sorted.  Raises OSError."""
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")

    def is_folder(self, path: Path) -> bool:
        """Return whether there is such a folder."""
        try:
            return path.is_dir()
        except (OSError, ValueError):  # no name that a folder could have
            return False


class KeptFiles(ConfigFiles):
    """Holds what was read before, whatever is on disk by now."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__()
        self.texts = dict(texts)

    def read(self, path: Path) -> bytes:
        """Return a kept text.  Raises FileNotFoundError."""
        try:
            return self.texts[str(path.absolute())].encode()
        except KeyError:
            raise FileNotFoundError(str(path)) from None

    def toml_files(self, folder: Path) -> list[Path]:
        """List the kept `*.toml` of a folder, sorted."""
        here = folder.absolute()
        return sorted(
            path for path in map(Path, self.texts) if path.parent == here and path.suffix == ".toml"
        )

    def is_folder(self, path: Path) -> bool:
        """Return whether a text of this folder was kept."""
        return bool(self.toml_files(path))
