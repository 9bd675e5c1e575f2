"""Where models are, and whether they are whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.models.catalogue import Model, known_models

_VARIABLE = "GATEWAY_MODELS_DIR"
_RECORD = "fetched.json"
"""In a model's folder, written last: what was fetched, its checksums, and what was accepted."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What stands in a model's folder once it is whole."""

    name: str
    licence: str
    """That was accepted."""
    at: str
    """ISO 8601."""
    sha256: dict[str, str] = field(default_factory=dict)
    """By the name of the file that was fetched."""


def models_folder() -> Path:
    """Return the folder of all models: `$GATEWAY_MODELS_DIR`, else in the user's data folder."""
    if named := os.environ.get(_VARIABLE):
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "voice-gateway" / "models"


def folder_of(name: str) -> Path:
    """Return the folder of a model."""
    return models_folder() / name


def located(value: Path, folder: Path) -> Path:
    """Return the path that a setting means.

    Args:
        value: as configured: a path, or the name of a model in the catalogue.
        folder: relative paths start here; a file there goes before a model of the same name.
    """
    path = folder / value.expanduser()
    name = str(value)
    return folder_of(name) if name in known_models() and not path.exists() else path


def missing_model(path: Path) -> str:
    """Return what to do where a configured path is a model that is not here; else empty."""
    name = path.name
    if path != folder_of(name) or name not in known_models() or is_here(name):
        return ""
    return f"the model {name} is not here: {command(name, known_models()[name])}"


def command(name: str, model: Model) -> str:
    """Return the command that fetches a model."""
    known = all(file.sha256 for file in model.files)
    more = "" if known else " --trust-first"
    return f"gateway models get {name} --accept{more}   (licence: {model.licence})"


def is_here(name: str) -> bool:
    """Return whether a model was fetched as a whole."""
    return fetched(name) is not None


def fetched(name: str) -> Fetched | None:
    """Return what is recorded of a model; None = it is not here, or not whole."""
    try:
        found = Fetched(**json.loads((folder_of(name) / _RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found


def write_record(folder: Path, record: Fetched) -> None:
    """Record that a folder holds a whole model."""
    (folder / _RECORD).write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
