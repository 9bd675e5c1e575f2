"""The two processes of the demo: a gateway on ports of its own, and a caller."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import GatewayError
from gateway.process.local import free_port, free_udp_ports, python_process, until_ready

_RTP_PORTS = 40


class DemoError(GatewayError):
    """The demo could not be carried out; says why and where to look."""


@dataclass(frozen=True, slots=True)
class DemoGateway:
    """A gateway that is ready for calls."""

    sip_port: int
    http_port: int
    log: Path


@asynccontextmanager
async def demo_gateway(
    folder: Path, records: Path, port: int, tick: Callable[[float], None]
) -> AsyncIterator[DemoGateway]:
    """Run `gateway run` with the offline front desk as long as the context lasts.

    Args:
        folder: for configuration and log.
        records: where the call bundle goes.
        port: SIP port, 0 = a free one.
        tick: told several times a second how long the start takes so far, in seconds.

    Raises:
        StartError: it did not start.
    """
    sip_port, http_port = port or free_port(), free_port()
    config, log = folder / "gateway.toml", folder / "gateway.log"
    config.write_text(_config(sip_port, http_port, records), encoding="utf-8")
    async with python_process(log, "-m", "gateway", "run", "--config", str(config)) as process:
        await until_ready(process, http_port, log, tick)
        yield DemoGateway(sip_port, http_port, log)


@asynccontextmanager
async def demo_caller(
    gateway: DemoGateway, folder: Path, user: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Call the gateway from a second process; its events come on `stdout`, one JSON a line."""
    scenario = Path(__file__).with_name("call.toml")
    arguments = ["-m", "gateway.probe", "--to", f"sip:demo@127.0.0.1:{gateway.sip_port}"]
    arguments += ["--scenario", str(scenario), "--user", user]
    arguments += ["--report", str(folder / "caller.json"), "--record", str(folder / "caller.wav")]
    async with python_process(folder / "caller.log", *arguments, is_read=True) as process:
        yield process


def _config(sip_port: int, http_port: int, records: Path) -> str:
    first, last = free_udp_ports(_RTP_PORTS)
    return f"""\
[sip]
port = {sip_port}
rtp_ports = [{first}, {last}]
[http]
port = {http_port}
[records]
directory = {json.dumps(str(records))}
[log]
format = "json"
"""
