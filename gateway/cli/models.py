"""`gateway models`: list the catalogue, fetch a model, say where models are."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from gateway.models import find, folder_of, is_here, known_models, models_folder
from gateway.models.catalogue import Model, ModelFile
from gateway.models.fetching import FetchFailed, Progress
from gateway.models.installing import install
from gateway.providers.registry import names

_BAR = 30
_MEGABYTE = 1_000_000


def run_list() -> int:
    """Print each model with what it takes, and whether it is here."""
    rows = [("NAME", "STATE", "LANGUAGES", "SIZE", "LICENCE", "WHAT")]
    for name, model in known_models().items():
        state = "here" if is_here(name) else "-"
        rows.append((name, state, ",".join(model.languages), _size(model), model.licence,
                     model.what))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        sys.stdout.write("  ".join([*cells, row[-1]]) + "\n")
    return 0


def run_path(name: str) -> int:
    """Print the folder of all models, or of one.  Raises UnknownModel."""
    if name:
        find(name)
    sys.stdout.write(f"{folder_of(name) if name else models_folder()}\n")
    return 0


def run_get(name: str, source: Path | None, *, accept: bool, trust_first: bool) -> int:
    """Fetch a model.  Raises GatewayError."""
    model = find(name)
    if not accept:
        raise FetchFailed(
            f"{name} is under the licence {model.licence} ({model.licence_url}): read it, then"
            " add --accept"
        )
    record = install(name, model, source, _report, trust_first=trust_first)
    new = [file.name for file in model.files if not file.sha256]
    for file in new:
        sys.stdout.write(f"recorded SHA-256 of {file}: {record.sha256[file]}\n")
    sys.stdout.write(f"{name} is in {folder_of(name)}\n")
    if model.provider in names("stt"):
        sys.stdout.write(f'use: stt = {{ provider = "{model.provider}", model = "{name}" }}\n')
    return 0


def _size(model: Model) -> str:
    return f"{model.bytes / _MEGABYTE:.0f} MB" if model.bytes else "?"


def _report(file: ModelFile) -> Progress:
    """Draw a bar on a terminal; elsewhere write a line for every tenth."""
    written = -1
    is_terminal = sys.stderr.isatty()

    def progress(done: int, whole: int) -> None:
        nonlocal written
        tenth = 10 * done // whole if whole else done // (10 * _MEGABYTE)
        if is_terminal:
            share = min(1.0, done / whole) if whole else 0.0
            bar = ("#" * round(_BAR * share)).ljust(_BAR, ".") if whole else "?" * _BAR
            line = f"{file.name} [{bar}] {done / _MEGABYTE:.1f} MB"
            sys.stderr.write(f"\r{line[: shutil.get_terminal_size().columns - 1]}")
            sys.stderr.write("\n" if whole and done >= whole else "")
        elif tenth != written:
            of = f" of {whole / _MEGABYTE:.1f}" if whole else ""
            sys.stderr.write(f"{file.name}: {done / _MEGABYTE:.1f}{of} MB\n")
        written = tenth

    return progress
