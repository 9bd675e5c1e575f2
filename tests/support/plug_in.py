"""Installs a provider of a test as a package of its own would be: by its entry point."""

from __future__ import annotations

import os
from pathlib import Path


def plug_in(folder: Path, kind: str, name: str, source: str) -> dict[str, str]:
    """Put the module and its entry point into `folder`; gives the environment that finds it."""
    metadata = folder / f"{name}-1.dist-info"
    metadata.mkdir(parents=True)
    (folder / f"{name}.py").write_text(source)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[gateway.{kind}]\n{name} = {name}\n")
    found = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(found)}
