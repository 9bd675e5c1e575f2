"""Rows of a run: every call's are kept at once, so an ended run loses nothing.

`results/turns/LABEL/CONDITION.json` holds what was measured, a row per turn, interruption or call.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks._report import RESULTS, machine

Row = dict[str, Any]


class Store:
    """All rows of one label."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.folder: Path = RESULTS / "turns" / label

    def start(self, condition: str, about: Mapping[str, object]) -> Rows:
        """Begin a condition anew."""
        return Rows(self.folder / f"{condition}.json", {**about, "machine": machine()})

    def rows(self, condition: str) -> list[Row]:
        """What was measured; empty when it was not."""
        path = self.folder / f"{condition}.json"
        if not path.is_file():
            return []
        found: list[Row] = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return found

    def conditions(self) -> Iterator[str]:
        """Names of what was measured, sorted."""
        return (path.stem for path in sorted(self.folder.glob("*.json")))


class Rows:
    """Rows of one condition while it is measured."""

    def __init__(self, path: Path, about: Mapping[str, object]) -> None:
        self._path, self._about = path, about
        self.rows: list[Row] = []
        self.failed: list[str] = []
        """Calls that could not be made or measured, and why."""

    def add(self, *rows: Row) -> None:
        """Keep rows, on disk too."""
        self.rows += rows
        self._write()

    def keep(self, bundle: Path) -> None:
        """Keep the bundle of a call that went wrong: it can be replayed."""
        shutil.copytree(bundle, self._path.parent / "calls" / bundle.name, dirs_exist_ok=True)

    def fail(self, why: str) -> None:
        """Keep that a call failed."""
        self.failed.append(why)
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**self._about, "failed": self.failed, "rows": self.rows}, indent=1)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(self._path)
