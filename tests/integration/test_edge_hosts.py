"""Gateways on several hosts behind one edge: a host lost, a host joined, a bad line, under load."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import SipError
from gateway.probe.sip_messages import Message
from gateway.probe.transactions import SipSocket
from gateway.recognizer.process import RecognizerProcess
from tests.support.edge import needs_kamailio
from tests.support.gateway_process import to_toml
from tests.support.network import Host, Line, Network, needs_namespaces
from tests.support.sip_parties import Caller

HOLD_S = 3.0
CALLERS = 6
KEY = "shared by all hosts"
SCALE = float(os.environ.get("EDGE_HOSTS_SCALE", "1"))
"""1 = the short form; `make soak` makes each phase longer by this."""
pytestmark = [needs_kamailio, needs_namespaces, pytest.mark.timeout(140 + 60 * SCALE)]
EDGE, GATEWAYS = 1, (11, 12, 13)
QUIET = {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"}


@dataclass(slots=True)
class Outcome:
    """One call."""

    began_s: float
    status: int
    setup_s: float
    worker: str
    """Host that its media came from, by SDP."""
    was_cut: bool
    """The gateway or the edge hung up, or nobody answered our BYE."""


@dataclass(slots=True)
class Load:
    """Callers who call, talk for a while, hang up and call again."""

    host: Host
    outcomes: list[Outcome] = field(default_factory=list)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(self._one(number))

    async def _one(self, number: int) -> None:
        await asyncio.sleep(number * HOLD_S / CALLERS)
        while not self.is_over.is_set():
            await self._call()

    async def _call(self) -> None:
        loop = asyncio.get_running_loop()
        _, sip = await loop.create_datagram_endpoint(SipSocket, sock=self.host.udp())
        try:
            phone = Caller(sip, (f"10.77.0.{EDGE}", 5060))
            began_s = time.monotonic()
            answer = await phone.call()
            setup_s = time.monotonic() - began_s
            outcome = Outcome(began_s, answer.status, setup_s, media_host(answer), was_cut=False)
            self.outcomes.append(outcome)
            if answer.status == 200:
                outcome.was_cut = not await self._talk(phone)
            else:
                await asyncio.sleep(HOLD_S)
        finally:
            sip.close()

    async def _talk(self, phone: Caller) -> bool:
        """Hold the line; did it last, and end as it should?"""
        end_s = time.monotonic() + HOLD_S
        while time.monotonic() < end_s:
            await asyncio.sleep(0.1)
            if any(request.method == "BYE" for request in phone.seen):
                return False
        with suppress(TimeoutError, SipError):
            async with asyncio.timeout(10):
                return (await phone.ask("BYE")).status == 200
        return False

    def since(self, at_s: float) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.began_s >= at_s]


def media_host(answer: Message) -> str:
    found = re.search(rb"c=IN IP4 (\S+)", answer.body)
    return found[1].decode() if found else ""


class Gateway:
    """`gateway run` on a host of its own."""

    def __init__(self, host: Host, folder: Path, config: dict[str, Any]) -> None:
        self.host = host
        folder.mkdir(parents=True)
        (folder / "gateway.toml").write_text(to_toml(config))
        self.log = folder / "gateway.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                host.command(sys.executable, "-m", "gateway", "run", "--config",
                             str(folder / "gateway.toml")),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    async def ready(self, timeout_s: float = 60) -> None:
        await self.said('"event": "ready"', timeout_s)

    async def said(self, what: str, timeout_s: float) -> None:
        end_s = time.monotonic() + timeout_s
        while what not in (text := await asyncio.to_thread(self.log.read_text)):
            assert self.process.poll() is None, text[-3000:]
            assert time.monotonic() < end_s, f"{self.host.name} never said {what}\n{text[-3000:]}"
            await asyncio.sleep(0.1)

    def kill(self) -> None:
        """End everything that runs on the host, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        found = subprocess.run(["ip", "netns", "pids", self.host.space],
                               capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
        for pid in found.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        self.process.wait(10)


def config(host: Host, recognizer: str, **tables: Any) -> dict[str, Any]:
    return {
        "sip": {"bind": host.address, "allow_sources": ["10.77.0.0/24"]},
        "http": {"port": 8080},
        "log": {"format": "json", "level": "info"},
        "workers": {"count": 1, "edge": "kamailio"},
        "agents": {"desk": {"greeting": "Good morning.", "llm": QUIET,
                            "stt": {"provider": "moonshine", "socket": recognizer}}},
        **tables,
    }  # fmt: skip


@pytest.fixture
def network() -> Iterator[tuple[Network, ExitStack]]:
    with ExitStack() as stack:
        yield Network(stack), stack


@asynccontextmanager
async def carrying(line: Line) -> AsyncIterator[None]:
    line.watch()
    try:
        yield
    finally:
        line.unwatch()


def test_hosts_come_and_go_under_load(
    network: tuple[Network, ExitStack], tmp_path: Path, record_property: Any
) -> None:
    made, stack = network
    edge_host = made.host("edge", EDGE)
    hosts = [made.host(f"gw{n}", n) for n in GATEWAYS]
    far, line = made.distant_host("far", 100)

    async def scenario() -> None:
        async with RecognizerProcess(tmp_path / "r.sock") as recognizer, carrying(line):
            socket = str(recognizer.socket)
            edge = {
                "hosts": [f"{h.address}*1" for h in hosts],
                "key": KEY,
                "probe_s": 1,
                "lost_after_s": 2.0,
                "processes": 2,
            }
            front = Gateway(edge_host, tmp_path / "edge", config(edge_host, socket, edge=edge))
            stack.callback(front.kill)
            join = {"join": edge_host.address, "key": KEY}

            def start(host: Host) -> Gateway:
                gateway = Gateway(host, tmp_path / host.name, config(host, socket, edge=join))
                stack.callback(gateway.kill)
                return gateway

            first, second = start(hosts[0]), start(hosts[1])
            for gateway in (front, first, second):
                await gateway.ready()
            await asyncio.sleep(2.5)  # until probes have found them
            load = Load(far)
            async with asyncio.TaskGroup() as group:
                group.create_task(load.run())
                await phases(load, made, first, start, hosts, line)
                load.is_over.set()
            report(load, line, record_property)
            only_lost(load, hosts[0])

    async def phases(
        load: Load, made: Network, first: Gateway, start: Any, hosts: list[Host], line: Line
    ) -> None:
        calm_s = time.monotonic()
        await asyncio.sleep(5 * SCALE)
        assert {o.worker for o in load.since(calm_s)} >= {h.address for h in hosts[:2]}

        # A host is gone, cable and all.
        lost_s = time.monotonic()
        made.unplug(hosts[0])
        first.kill()
        await asyncio.sleep(12 * SCALE)
        for outcome in load.outcomes:
            assert outcome.status == 200, outcome
            if outcome.worker != hosts[0].address:
                assert not outcome.was_cut, outcome
        late = load.since(lost_s + 8)
        assert late
        assert all(outcome.worker != hosts[0].address for outcome in late)

        # Another joins.
        third = start(hosts[2])
        await third.ready()
        joined_s = time.monotonic()
        await asyncio.sleep(6 * SCALE)
        assert any(o.worker == hosts[2].address for o in load.since(joined_s))

        # And the line of the callers gets bad.
        bad_s = time.monotonic()
        line.loss, line.delay_s, line.jitter_s = 0.1, 0.03, 0.02
        await asyncio.sleep(8 * SCALE)
        line.loss = line.delay_s = line.jitter_s = 0.0
        assert line.lost > 20
        assert load.since(bad_s)

    asyncio.run(scenario())


def only_lost(load: Load, lost: Host) -> None:
    """No call was refused, and none cut but on the host that was lost."""
    assert not [o for o in load.outcomes if o.status != 200]
    assert {o.worker for o in load.outcomes if o.was_cut} <= {lost.address}


def report(load: Load, line: Line, record_property: Any) -> None:
    """Say how it went (pytest -rP, or the junit file)."""
    setups = sorted(o.setup_s for o in load.outcomes)
    figures = {
        "calls": len(setups),
        "by_status": dict(Counter(o.status for o in load.outcomes)),
        "by_host": dict(Counter(o.worker for o in load.outcomes)),
        "cut": dict(Counter(o.worker for o in load.outcomes if o.was_cut)),
        "frames": line.passed,
        "frames_lost": line.lost,
        "setup_p50_ms": round(setups[len(setups) // 2] * 1000),
        "setup_p95_ms": round(setups[len(setups) * 95 // 100] * 1000),
        "setup_max_ms": round(setups[-1] * 1000),
    }
    for name, value in figures.items():
        record_property(name, value)
    sys.stdout.write(f"{figures}\n")
