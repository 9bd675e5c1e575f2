"""What the gateway runs with: configuration and dialplan, and the very texts that were checked.

Workers are started from the kept texts, not from the disk: a file that is being edited cannot keep
a worker from coming back, and no worker runs with what the others do not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.config.dialplans import Dialplan
from gateway.config.files import ConfigFiles, KeptFiles
from gateway.config.loader import load_config, load_dialplan
from gateway.config.models import GatewayConfig


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
        """What relative tool paths start at."""
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
