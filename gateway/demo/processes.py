"""The two processes of the demo: a gateway on ports of its own, and a caller."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import GatewayError
from gateway.process.children import end_child

_READY_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.1
_LOG_LINES_SHOWN = 15
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
        DemoError: it did not start.
    """
    sip_port, http_port = port or _free_port(), _free_port()
    config, log = folder / "gateway.toml", folder / "gateway.log"
    config.write_text(_config(sip_port, http_port, records), encoding="utf-8")
    async with _process(log, "-m", "gateway", "run", "--config", str(config)) as process:
        await _until_ready(process, http_port, log, tick)
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
    async with _process(folder / "caller.log", *arguments, is_read=True) as process:
        yield process


@asynccontextmanager
async def _process(
    log: Path, *arguments: str, is_read: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if is_read else output,
            stderr=output,
            limit=2**20,  # the caller's report is one line
            start_new_session=True,  # Ctrl-C reaches the demo only, which ends its children
        )
    try:
        yield process
    finally:
        await end_child(process, _STOP_TIMEOUT_S)


async def _until_ready(
    process: asyncio.subprocess.Process, http_port: int, log: Path, tick: Callable[[float], None]
) -> None:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    while not await _is_ready(http_port):
        if process.returncode is not None:
            raise DemoError(f"the gateway did not start. It says:\n{tail(log)}")
        if loop.time() - started_s > _READY_TIMEOUT_S:
            raise DemoError(f"the gateway is not ready after {_READY_TIMEOUT_S:g} s:\n{tail(log)}")
        tick(loop.time() - started_s)
        await asyncio.sleep(_POLL_S)


async def _is_ready(http_port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", http_port)
    except OSError:
        return False
    try:
        writer.write(b"GET /readyz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        status = await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
    return b" 200 " in status


def _config(sip_port: int, http_port: int, records: Path) -> str:
    first, last = _free_rtp_ports()
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


def _free_port() -> int:
    """A port of the loopback that is free for UDP and TCP at this moment."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            with suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


def _free_rtp_ports() -> tuple[int, int]:
    """First and last of a stretch of free UDP ports, below those that the system hands out."""
    while True:
        first = random.randrange(10_000, 32_000, 2)  # noqa: S311 (no secret)
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + _RTP_PORTS):
                udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                udp.bind(("127.0.0.1", port))
            return first, first + _RTP_PORTS - 1


def tail(log: Path) -> str:
    """Give the end of a log."""
    lines: Sequence[str] = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return os.linesep.join(lines[-_LOG_LINES_SHOWN:])
