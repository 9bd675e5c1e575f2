"""The program kamailio: found, asked to check its files, run in the foreground."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from gateway.allowance import LogLimiter
from gateway.child_processes import end_child
from gateway.edge.render import MAIN
from gateway.errors import EdgeError

log = structlog.get_logger(__name__)

INSTALL = "apt-get install --no-install-recommends kamailio kamailio-tls-modules"
_SHARED_MB, _PRIVATE_MB = 64, 8
_STOP_S = 5.0
_CHECK_S = 30.0
_MOST_FAULTS = 4
"""What it says after the first is of little help."""
_RESTART_MIN_S, _RESTART_MAX_S = 0.5, 15.0
_HEALTHY_S = 30.0
"""Lifetime in seconds after which the next start is tried at once."""
_LINE = re.compile(r"^\s*\d+\(\d+\)\s+(\w+):\s*(.*)$")
"""`12(3456) ERROR: <text>`"""
_PLACE = re.compile(r"\[[\w/.]+\.c:\d+\]")
_PLACES = 64
_LONGEST_TEXT = 500
_LONGEST_LINE = 2**20
"""It quotes messages, which have up to 64 KB."""
_LEVELS = {"BUG": "error", "CRITICAL": "error", "ALERT": "error", "ERROR": "error",
           "WARNING": "warning", "NOTICE": "info", "INFO": "info"}  # fmt: skip
_HARMLESS = re.compile(
    r"cannot find load for|old destination address not found|reparse_on_dns_failover is enabled"
    r"|receive_fd\(\): EOF"
    r"|Setting the (probing )?state failed"
)
"""Said of calls and workers that are gone already."""


def find_kamailio() -> str:
    """Return the path of the program.

    Raises:
        EdgeError: it is not installed; says how to.
    """
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    found = shutil.which("kamailio", path=path)
    if found is None:
        raise EdgeError(f'workers.edge = "kamailio", but Kamailio is not installed: {INSTALL}')
    return found


async def check_files(folder: Path) -> None:
    """Have Kamailio check its files (`kamailio -c`).

    Raises:
        EdgeError: what it says about them.
    """
    process = await asyncio.create_subprocess_exec(
        *_command(folder), "-c",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_CHECK_S):
            _, said = await process.communicate()
    except TimeoutError as error:
        raise EdgeError(f"kamailio -c did not end within {_CHECK_S:g} s") from error
    finally:
        await end_child(process, _STOP_S)
    if process.returncode:
        raise EdgeError(complaint(said.decode(errors="replace"), folder))


def complaint(said: str, folder: Path) -> str:
    """Put in one text what `kamailio -c` found wrong."""
    lines = [match.groups() for line in said.splitlines() if (match := _LINE.match(line))]
    wrong = [text for level, text in lines if _LEVELS.get(level) == "error"]
    found = "\n  ".join(list(dict.fromkeys(wrong))[:_MOST_FAULTS]) or said.strip()[-500:]
    hint = ""
    if "could not find module" in found or "could not open module" in found:
        hint = f"\nA module is missing: {INSTALL}"
    return f"Kamailio refuses {folder / MAIN}:\n  {found}{hint}"


async def keep_running(
    folder: Path, restart: asyncio.Event, is_up: asyncio.Event, was_up: asyncio.Event
) -> None:
    """Run Kamailio, again with back-off when it dies, at once when `restart` is set.

    Args:
        folder: of its files.
        restart: set when it has to read its files again.
        is_up: set by its observer when it answers; cleared here when it ends.
        was_up: set with it and never cleared.

    Raises:
        EdgeError: it ended before it ever answered.
    """
    delay_s = _RESTART_MIN_S
    loop = asyncio.get_running_loop()
    while True:
        started_s = loop.time()
        code, wanted = await _run_once(folder, restart)
        is_up.clear()  # its successor has to be told everything again
        if wanted:
            continue
        if not was_up.is_set():
            raise EdgeError(f"Kamailio ended at once, exit code {code}; the log above says why")
        if loop.time() - started_s > _HEALTHY_S:
            delay_s = _RESTART_MIN_S
        log.error("edge_died", exit_code=code, restart_in_s=delay_s)
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, _RESTART_MAX_S)


async def _run_once(folder: Path, restart: asyncio.Event) -> tuple[int | None, bool]:
    """Run Kamailio to its end; return its exit code, and whether that end was wanted."""
    restart.clear()
    async with _running(folder) as process, asyncio.TaskGroup() as group:
        end = group.create_task(process.wait())
        wish = group.create_task(restart.wait())
        try:
            await asyncio.wait([end, wish], return_when=asyncio.FIRST_COMPLETED)
        finally:
            wanted = not end.done()
            if wanted:
                with suppress(ProcessLookupError):
                    process.terminate()
            wish.cancel()
    if wanted:
        log.info("edge_restarts", reason="its configuration has changed")
    return process.returncode, wanted


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Kamailio as long as the context lasts; its log becomes ours."""
    # Not a pipe of asyncio's: wait() would wait for the processes that outlive a killed parent.
    ours, theirs = socket.socketpair()
    said, closing = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
    try:
        process = await asyncio.create_subprocess_exec(
            *_tied_to_us(), *_command(folder), "-DD", "-E",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=theirs.fileno(),
            process_group=0,
            umask=0o077,
        )  # fmt: skip
    except OSError:
        closing.close()
        raise
    finally:
        theirs.close()
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(_pass_on(said))
        try:
            yield process
        finally:
            if not await end_child(process, _STOP_S):
                log.warning("edge_killed", reason="it did not end by itself")
            with suppress(ProcessLookupError):  # children that outlived it would keep its ports
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.wait([reader], timeout=_STOP_S)
            reader.cancel()
            closing.close()


def _tied_to_us() -> list[str]:
    """Have Kamailio end when we are killed, else its ports were taken at our next start."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _command(folder: Path) -> list[str]:
    """Return its command line; nothing secret is in it."""
    return [
        find_kamailio(), "-f", str(folder / MAIN), "-Y", str(folder), "-w", str(folder),
        "-P", str(folder / "kamailio.pid"), "-m", str(_SHARED_MB), "-M", str(_PRIVATE_MB),
    ]  # fmt: skip


async def _pass_on(stream: asyncio.StreamReader) -> None:
    """Log its output, with a limit on each kind of line that untrusted senders can cause."""
    limiter = LogLimiter()
    now_s = asyncio.get_running_loop().time
    while raw := await stream.readline():
        match = _LINE.match(raw.decode(errors="replace").rstrip())
        if match is None:
            continue
        level, text = match.groups()
        if _HARMLESS.search(text):
            log.debug("edge_says", text=text)
            continue
        kind = kind_of(level, text)
        if limiter.passes(kind, now_s()):
            say = getattr(log, _LEVELS.get(level, "debug"))
            say("edge_says", text=text[:_LONGEST_TEXT], not_logged=limiter.held_back(kind))


def kind_of(level: str, text: str) -> str:
    """Sort what it says by where in its source it does; the number of kinds is bounded."""
    place = _PLACE.search(text)
    return f"{level[:10]} {zlib.crc32(place[0].encode()) % _PLACES if place else ''}"
