"""The folder of rendered files: readable by its owner only, and no file is ever incomplete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from gateway.edge.control import is_short_enough
from gateway.errors import EdgeError

_KEY = "mask.key"
_SECOND_NS = 1_000_000_000


def prepare(folder: Path) -> None:
    """Make the folder, mode 0700.

    Raises:
        EdgeError: it cannot be made, or others may look into it and that cannot be changed.
    """
    if any(mark in str(folder) for mark in '!"\n'):
        raise EdgeError(f"edge.directory: Kamailio cannot take this path: {folder}")
    if not is_short_enough(folder):
        raise EdgeError(f"edge.directory: the path is too long for a socket in it: {folder}")
    try:
        for path in (folder, folder / "db"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
    except OSError as error:
        raise EdgeError(f"edge.directory {folder}: {error.strerror}") from error


def mask_key(folder: Path) -> str:
    """Return the key that hides addresses: the folder's own, made when there is none."""
    path = folder / _KEY
    if not path.exists():
        write(folder, {_KEY: secrets.token_hex(16)})
    return path.read_text(encoding="ascii").strip()


def write(folder: Path, files: Mapping[str, str]) -> set[str]:
    """Write files, mode 0600; give the names of those that have changed.

    Raises:
        EdgeError: the disk is full, or the like.
    """
    changed = set()
    try:
        for name, text in files.items():
            path = folder / name
            if path.exists() and path.read_text(encoding="utf-8") == text:
                continue
            _replace(path, text)
            changed.add(name)
    except OSError as error:
        raise EdgeError(f"cannot write {error.filename}: {error.strerror}") from error
    return changed


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    if path.exists():  # db_text reads a table again when the whole second of its change is later
        later_ns = path.stat().st_mtime_ns + _SECOND_NS
        if new.stat().st_mtime_ns < later_ns:
            os.utime(new, ns=(later_ns, later_ns))
    new.replace(path)
