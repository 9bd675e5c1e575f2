"""The checked configuration that a gateway runs with, and the exact texts that were checked.

Workers are started from the kept texts, not from the disk: a file that is being edited cannot keep
a worker from coming back, and no worker runs with another configuration than its peers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.config.dialplans import Dialplan
from gateway.config.files import ConfigFiles, KeptFiles
from gateway.config.models import GatewayConfig
from gateway.setup.engines import all_tables_of
from gateway.setup.loader import load_config, load_dialplan


@dataclass(frozen=True, slots=True)
class Setup:
    """One checked configuration."""

    path: Path | None
    """`gateway.toml`; None = the built-in configuration."""
    texts: Mapping[str, str]
    config: GatewayConfig
    plan: Dialplan

    @property
    def folder(self) -> Path:
        """The folder that relative tool paths start at."""
        return self.path.parent if self.path else Path()

    def keep(self, file: Path) -> None:
        """Write it down for a worker, readable by this user only: it may hold secrets."""
        path = str(self.path) if self.path else None
        text = json.dumps({"config": path, "texts": dict(self.texts)})
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)


def read_setup(path: Path | None, files: ConfigFiles | None = None) -> Setup:
    """Read and check configuration and dialplan.  Raises ConfigError."""
    files = files or ConfigFiles()
    config = load_config(path, files=files)
    plan = load_dialplan(config, files=files)
    return Setup(path, files.texts, config, plan)


def kept_setup(file: Path) -> Setup:
    """Read what `Setup.keep` wrote.  Raises ConfigError."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    path = Path(kept["config"]) if kept["config"] else None
    return read_setup(path, KeptFiles(kept["texts"]))


def used_files(config: GatewayConfig) -> Mapping[str, str]:
    """Return name and state of each: as the engines do, by time and size (models are large)."""
    return {str(path): _state(path) for path in sorted(set(_paths(config)))}


def _paths(config: GatewayConfig) -> Iterator[Path]:
    for agent in config.agents.values():
        for _, table in all_tables_of(agent):
            yield from (value for value in table.rest().values() if isinstance(value, Path))
        references = (reference.rpartition(":")[0] for reference in agent.tools)
        yield from (Path(where) for where in references if where.endswith(".py"))


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_mtime_ns} {found.st_size}"
