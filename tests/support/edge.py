"""A real Kamailio, rendered and watched as in `gateway run`, for the length of a test."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config.models import GatewayConfig
from gateway.edge.edge import Edge
from gateway.edge.folder import mask_key
from gateway.edge.targets import Target
from gateway.sip.edge_peer import word_key
from gateway.sip.trunk_status import TrunkStatus
from tests.support.gateway_process import free_port

needs_kamailio = pytest.mark.skipif(
    shutil.which("kamailio", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="Kamailio is not installed: apt-get install kamailio kamailio-tls-modules",
)


class EdgeUnderTest:
    """An edge that answers, and what it told."""

    def __init__(self, edge: Edge, config: GatewayConfig, folder: Path) -> None:
        self.edge, self.config, self.folder = edge, config, folder
        self.port = config.sip.port
        self.trunk_news: list[TrunkStatus] = []

    @property
    def key(self) -> str:
        """What its workers sign with."""
        return word_key(self.config, mask_key(self.folder))

    @property
    def pid(self) -> int:
        return int((self.folder / "kamailio.pid").read_text())

    async def ask(self, method: str, *parameters: str | int) -> Any:
        return await self.edge._control.call(method, *parameters)

    async def loads(self) -> dict[str, int]:
        """Calls per worker, as the dispatcher counts them."""
        records = (await self.ask("dispatcher.list"))["RECORDS"]
        found = [t["DEST"] for r in records for t in r["SET"]["TARGETS"]]
        return {d["URI"].split(";")[0][4:]: d["RUNTIME"]["DLGLOAD"] for d in found}

    async def back(self, timeout_s: float = 15) -> None:
        async with asyncio.timeout(timeout_s):
            await self.edge.is_up.wait()


def target(port: int, slots: int = 4, **how: Any) -> Target:
    return Target("127.0.0.1", port, slots, **how)


def edge_config(**tables: Any) -> GatewayConfig:
    """A configuration with an edge on a free port; tables are merged over it."""
    tables["sip"] = {"port": free_port(), **tables.get("sip", {})}
    tables["edge"] = {"probe_s": 1, "processes": 2, **tables.get("edge", {})}
    tables["workers"] = {"edge": "kamailio"}
    return GatewayConfig.model_validate(tables)


@asynccontextmanager
async def running_edge(
    folder: Path, targets: Iterable[Target], config: GatewayConfig | None = None
) -> AsyncIterator[EdgeUnderTest]:
    """Run an edge until the block is left."""
    config = config or edge_config()
    news: list[TrunkStatus] = []
    edge = Edge(config, folder, 1, news.append)
    under_test = EdgeUnderTest(edge, config, folder)
    under_test.trunk_news = news
    async with asyncio.TaskGroup() as group:
        await edge.show_workers(targets)
        keeper = group.create_task(edge.keep())
        waiting = group.create_task(edge.is_up.wait())
        async with asyncio.timeout(20):
            await asyncio.wait({keeper, waiting}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not keeper.done():
                yield under_test
        finally:
            keeper.cancel()
            waiting.cancel()


def make_certificate(folder: Path, signed_by: tuple[Path, Path] | None = None) -> tuple[Path, Path]:
    """A certificate for `localhost`, and its key; signed by an authority, or by itself."""
    folder.mkdir(exist_ok=True)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    authority = ["-CA", signed_by[0], "-CAkey", signed_by[1]] if signed_by else []
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *authority,
         "-subj", "/CN=localhost", "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
        timeout=60,
    )  # fmt: skip
    return certificate, key
