"""Gateways and helpers that a command starts for itself on this machine, and ends again."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from gateway.child_processes import end_child
from gateway.errors import GatewayError

_READY_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.1
_LOG_LINES_SHOWN = 15


class StartError(GatewayError):
    """A process that was started here did not come up; the end of its log is in the text."""


@asynccontextmanager
async def python_process(
    log: Path, *arguments: str, is_read: bool = False, is_written: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run this interpreter with arguments as long as the context lasts.

    Args:
        log: gets its standard error, and its standard output unless `is_read`.
        arguments: for the interpreter, such as `-m`, `gateway`.
        is_read: its output comes on `stdout`, lines of up to 1 MB.
        is_written: `stdin` is a pipe.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE if is_written else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if is_read else output,
            stderr=output,
            limit=2**20,
            start_new_session=True,  # Ctrl-C reaches the command only, which ends its children
        )
    try:
        yield process
    finally:
        await end_child(process, _STOP_TIMEOUT_S)


async def until_ready(
    process: asyncio.subprocess.Process, http_port: int, log: Path, tick: Callable[[float], None]
) -> None:
    """Wait until a gateway accepts calls; `tick` gets the elapsed seconds.

    Raises:
        StartError: it ended, or is not ready in two minutes.
    """
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    while not await _is_ready(http_port):
        if process.returncode is not None:
            raise StartError(f"the gateway did not start. It says:\n{tail(log)}")
        if loop.time() - started_s > _READY_TIMEOUT_S:
            raise StartError(f"the gateway is not ready after {_READY_TIMEOUT_S:g} s:\n{tail(log)}")
        tick(loop.time() - started_s)
        await asyncio.sleep(_POLL_S)


def free_port() -> int:
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


def free_udp_ports(count: int) -> tuple[int, int]:
    """Return first (even) and last of `count` free UDP ports, below the ephemeral range."""
    while True:
        first = random.randrange(10_000, 32_000 - count, 2)  # noqa: S311 (no secret)
        if all(map(_is_free, range(first, first + count))):
            return first, first + count - 1


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def tail(log: Path) -> str:
    """Return the end of a log."""
    lines: Sequence[str] = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return os.linesep.join(lines[-_LOG_LINES_SHOWN:])


async def _is_ready(http_port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", http_port)
    except OSError:
        return False
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        status = await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
    return b" 200 " in status
