"""`gateway edge render`: the files of an edge that somebody else runs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.config.loader import load_config
from gateway.edge import folder as files
from gateway.edge.program import check_files
from gateway.edge.render import MAIN, render
from gateway.edge.surroundings import surroundings
from gateway.edge.targets import local_targets, remote_targets
from gateway.edge.trunks import look_up
from gateway.errors import EdgeError


def run(config_path: Path | None, into: Path | None) -> int:
    """Write and check Kamailio's files, and say how to start it.

    Raises:
        EdgeError: no edge is configured, there is no folder, or Kamailio refuses the files.
    """
    config = load_config(config_path)
    if config.workers.edge == "none" or config.edge.join:
        raise EdgeError('no edge runs here: workers.edge is "none", or edge.join names another')
    folder = into or config.edge.directory
    if folder is None:
        raise EdgeError("say where to with --into, or set edge.directory")
    folder = folder.absolute()
    count = config.workers.count if isinstance(config.workers.count, int) else 1
    targets = (*local_targets(config, count), *remote_targets(config, count))
    addresses = asyncio.run(look_up(config.trunks))
    files.prepare(folder)
    around = surroundings(folder, addresses, files.mask_key(folder))
    files.write(folder, render(config, targets, around))
    asyncio.run(check_files(folder))
    sys.stdout.write(f"OK: kamailio -f {folder / MAIN} -Y {folder}\n")
    return 0
