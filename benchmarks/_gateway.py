"""A gateway of the benchmark's own: free ports, a temporary folder, ended with the benchmark."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from gateway.records.model import CallRecord
from gateway.telemetry.process import ProcessUsage, read_usage

_READY_S = 120.0
_STOP_S = 20.0

FRONT_DESK = """
[outgoing]
allow = ["sip:*@127.0.0.1:*"]

[agents.front-desk]
tools = [
  "gateway.script.examples.front_desk_tools:opening_hours",
  "gateway.script.examples.front_desk_tools:take_message",
  "gateway.script.examples.front_desk_tools:place_order",
]
builtin_tools = ["hang_up", "transfer_call"]
transfer_targets = { "front office" = "sip:operator@127.0.0.1:5070" }
"""
"""The agent of `gateway run` without a configuration file."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is ready for calls."""

    folder: Path
    sip_port: int
    http_port: int
    supervisor: int
    """Process ids."""
    worker: int
    recognizer: int
    """0 where its agents have no use for the process."""

    @property
    def uri(self) -> str:
        """Where to call."""
        return f"sip:bench@127.0.0.1:{self.sip_port}"

    async def metrics(self) -> dict[str, float]:
        """Samples of the worker, by name without prefix."""
        text = await _get(self.http_port, "/metrics")
        found = re.finditer(
            r'^gateway_(\w+)\{([^}]*process="worker-0"[^}]*)\} (\S+)$', text, re.MULTILINE
        )
        return {match[1]: float(match[3]) for match in found if match[2].count("=") == 1}

    async def record(self, caller: str, timeout_s: float = 15.0) -> CallRecord:
        """The finished `call.json` of the call from this number."""
        async with asyncio.timeout(timeout_s):
            while True:
                for path in (self.folder / "calls").glob("*/*/call.json"):
                    record = CallRecord.model_validate_json(path.read_bytes())
                    if caller in record.caller and record.state == "finished":
                        return record
                await asyncio.sleep(0.1)

    def events(self, call_id: str) -> list[dict[str, object]]:
        """Lines of a call's `events.jsonl`."""
        path = next((self.folder / "calls").glob(f"*/{call_id}/events.jsonl"))
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def usage(self) -> dict[str, ProcessUsage]:
        """What each of its processes uses."""
        pids = {"worker": self.worker, "recognizer": self.recognizer, "supervisor": self.supervisor}
        return {name: read_usage(pid) for name, pid in pids.items() if pid}


@asynccontextmanager
async def running_gateway(
    agents: str = FRONT_DESK, files: Mapping[str, str] | None = None
) -> AsyncIterator[Gateway]:
    """Run `gateway run` with these agents (TOML); `{folder}` in it is where `files` are."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        sip_port, http_port = _free_port(), _free_port()
        config = folder / "gateway.toml"
        for file, text in (files or {}).items():
            (folder / file).write_text(text)
        config.write_text(_config(sip_port, http_port, agents.replace("{folder}", name)))
        log = folder / "gateway.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "run", "--config", str(config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            await _until_ready(process, http_port, log)
            children = _children(process.pid)
            yield Gateway(
                folder,
                sip_port,
                http_port,
                process.pid,
                children["worker"],
                children.get("gateway.recognizer", 0),
            )
        finally:
            await _end(process)


def _config(sip_port: int, http_port: int, agents: str) -> str:
    # RTP below the range that the system gives to the callers.
    base = 10000 + (os.getpid() * 40) % 20000
    return f"""
[sip]
port = {sip_port}
rtp_ports = [{base}, {base + 99}]
[http]
port = {http_port}
[records]
directory = "calls"
[log]
level = "warning"
{agents}
"""


def _free_port() -> int:
    """A port that is free for UDP and TCP at this moment."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def _until_ready(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    async with asyncio.timeout(_READY_S):
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"the gateway did not start:\n{_text(log)}")
            try:
                await _get(port, "/readyz")
            except (URLError, OSError):
                await asyncio.sleep(0.2)
            else:
                return


async def _get(port: int, path: str) -> str:
    loop = asyncio.get_running_loop()

    def get() -> str:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    return await loop.run_in_executor(None, get)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _children(parent: int) -> dict[str, int]:
    """Process ids of the worker and the recognizer, by a word of their command line."""
    found: dict[str, int] = {}
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        for name in ("worker", "gateway.recognizer"):
            if name in words:
                found[name] = int(pid)
    return found


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process that was started here, and no other."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
