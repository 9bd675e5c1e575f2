"""Models that are no Python packages: a catalogue, a folder for them, and how they get there.

`catalogue.toml` names each with source, licence, size and checksum.  Nothing is fetched but by
`gateway models get NAME --accept`.
"""

from __future__ import annotations

from gateway.models.catalogue import Model, find, known_models
from gateway.models.store import folder_of, is_here, located, models_folder

__all__ = ["Model", "find", "folder_of", "is_here", "known_models", "located", "models_folder"]
