"""`gateway edge render`: the files of an edge that is run elsewhere."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.edge import folder as files
from gateway.edge.host_facts import host_facts
from gateway.edge.program import check_files
from gateway.edge.render import MAIN, render
from gateway.edge.targets import local_targets, remote_targets
from gateway.edge.trunks import hosts_of, look_up, servers_of
from gateway.errors import EdgeError
from gateway.setup.loader import load_config


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
    found = asyncio.run(look_up(config.trunks))
    addresses = {name: hosts_of(located) for name, located in found.items()}
    servers = {name: servers_of(located) for name, located in found.items()}
    files.prepare(folder)
    around = host_facts(folder, addresses, servers, files.mask_key(folder))
    files.write(folder, render(config, targets, around))
    asyncio.run(check_files(folder))
    sys.stdout.write(f"OK: kamailio -f {folder / MAIN} -Y {folder}\n")
    return 0
