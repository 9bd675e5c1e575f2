"""A Kamailio that somebody else runs: rendered by the command, started as its unit does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.edge.control import Control
from gateway.edge.listing import Seen, destinations
from gateway.edge.program import find_kamailio
from gateway.errors import EdgeError
from tests.support.gateway_process import to_toml

_STOP_S = 10


class OperatorsKamailio:
    """Runs what is in a folder, when it is told to."""

    def __init__(self, folder: Path, config: Mapping[str, Any], private: Path) -> None:
        """Prepare.

        Args:
            folder: of Kamailio's files: `edge.directory`.
            config: of the gateway, whole.
            private: a folder of our own.
        """
        self._folder, self._private = folder, private
        self._config_path = private / "gateway.toml"
        self._config_path.write_text(to_toml(config), encoding="utf-8")
        # Answers come to the folder that was asked from, where nobody else's are.
        (private / "control.sock").symlink_to(folder / "control.sock")
        self._control = Control(private / "control.sock")
        self._process: subprocess.Popen[bytes] | None = None

    def render(self) -> str:
        """Write the files by the command; gives what it says."""
        command = [sys.executable, "-m", "gateway", "edge", "render", "--config"]
        return subprocess.check_output([*command, self._config_path], text=True, timeout=60)

    def start(self) -> None:
        """Start it as voice-gateway-edge.service does."""
        folder = str(self._folder)
        check = [find_kamailio(), "-c", "-f", f"{folder}/kamailio.cfg"]
        subprocess.run(check, check=True, capture_output=True, timeout=60)
        with (self._private / "kamailio.log").open("ab") as log:
            self._process = subprocess.Popen(
                [find_kamailio(), "-DD", "-E", "-f", f"{folder}/kamailio.cfg", "-Y", folder,
                 "-w", folder, "-P", self._private / "kamailio.pid", "-m", "64", "-M", "8"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, umask=0o077,
            )  # fmt: skip

    def stop(self) -> None:
        """End it as systemd does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_S)
            self._process = None

    def workers(self) -> list[Seen]:
        """Whom it knows, each entry of its list."""
        try:
            return destinations(asyncio.run(self._control.call("dispatcher.list")))
        except EdgeError:  # it says so when there are none
            return []

    def accounts(self) -> list[str]:
        """Trunks that it registers with."""
        found: Any = asyncio.run(self._control.call("uac.reg_dump"))
        return [account["l_uuid"] for account in found or ()]

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.poll() is None
        return self._process.pid


@contextmanager
def operators_kamailio(folder: Path, config: Mapping[str, Any]) -> Iterator[OperatorsKamailio]:
    """Render and start a Kamailio; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="operator-") as private:
        kamailio = OperatorsKamailio(folder, config, Path(private))
        try:
            assert kamailio.render().startswith("OK: kamailio -f")
            kamailio.start()
            yield kamailio
        finally:
            kamailio.stop()
