"""What tests of faults ask of a running gateway: its children, its log, its records."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.gateway_process import (
    GatewayUnderTest,
    running_gateway,
    start_gateway,
    to_toml,
)

STEP_S = 0.05


class LiveGateway:
    """A gateway that runs (or was to run), seen only from outside."""

    def __init__(self, gateway: GatewayUnderTest) -> None:
        self.gateway = gateway
        self.process = gateway.process
        self.sip_port, self.http_port = gateway.sip_port, gateway.http_port
        self.edge_port = 0
        """Of an edge in front of it, where a test runs one."""

    def uri(self, user: str = "100") -> str:
        return f"sip:{user}@127.0.0.1:{self.sip_port}"

    # --- processes and log ---

    def child(self, word: str) -> int:
        """Process id of the child whose command line holds `word`; 0 = none."""
        return next((pid for pid, line in children(self.process.pid) if word in line), 0)

    @property
    def worker_pid(self) -> int:
        return self.child(" worker ")

    @property
    def log(self) -> str:
        return self.gateway.log.read_text(errors="replace")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Every log entry of this name."""
        lines = (line for line in self.log.splitlines() if f'"{event}"' in line)
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == event]

    # --- HTTP ---

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        url = f"http://127.0.0.1:{self.http_port}"
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            return client.request(method, path, json=body)

    async def ask_beside(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """The same while the caller's media go on."""
        return await asyncio.to_thread(self.ask, method, path, body)

    def gauge(self, name: str, process: str = "worker-0") -> float:
        """One sample of /metrics."""
        for line in self.ask("GET", "/metrics").text.splitlines():
            head, _, value = line.rpartition(" ")
            if head.partition("{")[0] == f"gateway_{name}" and f'"{process}"' in head:
                return float(value)
        raise KeyError(name)

    async def free(self, timeout_s: float = 10) -> None:
        """Wait until no slot is used."""
        await eventually(lambda: self.gauge("call_slots_used") == 0, timeout_s, "free slots")

    async def idle(self, timeout_s: float = 20) -> None:
        """Wait until no slot is used and no dialog remembered (timer J: some seconds)."""
        await self.free(timeout_s)
        await eventually(lambda: self.gauge("sip_dialogs") == 0, timeout_s, "no dialogs")

    # --- records ---

    def records(self) -> list[dict[str, Any]]:
        """Every call.json, oldest first."""
        paths = sorted(self.gateway.records.glob("*/*/call.json"), key=lambda p: p.parent.name)
        return [json.loads(path.read_bytes()) for path in paths]

    async def finished(self, sip_call_id: str, timeout_s: float = 10) -> dict[str, Any]:
        """Wait for the complete record of a call."""

        def is_there() -> dict[str, Any] | None:
            found = (r for r in self.records() if r["sip_call_id"] == sip_call_id)
            return next((r for r in found if r["state"] == "finished"), None)

        record: dict[str, Any] = await eventually(is_there, timeout_s, f"record of {sip_call_id}")
        return record

    def events(self, record: Mapping[str, Any], kind: str = "") -> list[dict[str, Any]]:
        """A call's events, all or those of one kind."""
        return [e for e in self.gateway.events(record) if kind in ("", e["kind"])]


async def eventually(look: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Look, beside the loop, until something is true, and give it."""
    end = time.monotonic() + timeout_s
    while not (found := await asyncio.to_thread(look)):
        assert time.monotonic() < end, f"waited {timeout_s:g} s in vain for {what}"
        await asyncio.sleep(STEP_S)
    return found


@contextmanager
def live_gateway(
    folder: Path,
    config: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> Iterator[LiveGateway]:
    """Run a gateway until the block is left; its end must be clean."""
    with running_gateway(folder, _toml(config), environ, within) as gateway:
        yield LiveGateway(gateway)


def begun_gateway(
    folder: Path, config: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> LiveGateway:
    """Start a gateway that may fail; whoever calls this stops it."""
    return LiveGateway(start_gateway(folder, _toml(config), environ))


def children(pid: int) -> list[tuple[int, str]]:
    """Ids and command lines of a process's children, a space after every word."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for number in tasks.read_text().split():
            try:
                words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
            except OSError:  # ended meanwhile
                continue
            found.append((int(number), b" ".join(words).decode()))
    return found


def _toml(config: Mapping[str, Any]) -> str:
    return to_toml({"log": {"format": "json", "level": "debug"}, **config})
