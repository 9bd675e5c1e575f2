"""`python -m tests.fuzz`: start a gateway, send it what strangers might, say how it took it."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.api import fuzz_http
from tests.fuzz.figures import Figures
from tests.fuzz.media import fuzz_media
from tests.fuzz.sip import Peer, fuzz_sdp, fuzz_sip, try_torture
from tests.fuzz.torture import MESSAGES
from tests.fuzz.verdict import Health, call_again, faults_after, health
from tests.support.live_gateway import LiveGateway, live_gateway

TARGETS = ("torture", "sip", "sdp", "rtp", "dtmf", "http")
CONFIG = {
    "log": {"level": "info"},
    "outgoing": {"allow": ["sip:x@127.0.0.1:9"], "calls_per_minute": 5},
    "agents": {"desk": {"greeting": "Good morning, this is the front desk. How can I help?"}},
}


async def run(gateway: LiveGateway, target: str, seconds: float, seed: int) -> Figures:
    """Fuzz one target; the figures hold what is wrong, of the answers and of the gateway after."""
    before, seen = await health(gateway), len(gateway.log)
    figures = await attack(gateway, target, seconds, seed)
    for fault in await faults_since(gateway, before, seen):
        figures.fault(fault)
    sys.stdout.write(f"{figures.line()}\n")
    sys.stdout.flush()
    return figures


async def attack(gateway: LiveGateway, target: str, seconds: float, seed: int) -> Figures:
    """Send what one target is to get, and look at the answers alone."""
    simple: dict[str, Callable[[], Figures]] = {
        "torture": lambda: _torture(gateway.sip_port),
        "sip": lambda: fuzz_sip(gateway.sip_port, seconds, seed),
        "sdp": lambda: fuzz_sdp(gateway.sip_port, seconds, seed),
        "http": lambda: fuzz_http(gateway.http_port, seconds, seed),
    }
    if target in simple:
        return await asyncio.to_thread(simple[target])
    return await fuzz_media(target, gateway.uri(), seconds, seed)


async def faults_since(gateway: LiveGateway, before: Health, seen: int) -> list[str]:
    """Make a real call and look at the gateway; `seen` is how much of its log was there before."""
    try:
        await gateway.free(40)
        await call_again(gateway)
        after = await health(gateway)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is the finding)
        return [f"no real call afterwards: {type(error).__name__}: {error}"]
    sys.stdout.write(f"      after: {after.line()}\n")
    return faults_after(before, after, gateway.log[seen:])


def admission(count: int, seed: int) -> subprocess.CompletedProcess[bytes]:
    """Compare admission with the library in a process of its own; its figures go to our output."""
    numbers = ("--count", str(count), "--seed", str(seed))
    return subprocess.run([sys.executable, "-m", "tests.fuzz.admission", *numbers], check=False)


def _torture(port: int) -> Figures:
    figures = Figures("torture")
    peer = Peer(port, figures)
    for number, message in enumerate(MESSAGES):
        if wrong := try_torture(peer, message, f"torture{number}x{port}"):
            figures.fault(f"RFC 4475 {message.section} {message.name}: {wrong}")
    peer.socket.close()
    return figures


def main() -> int:
    """Run; exit code 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    choices = (*TARGETS, "admission", [])
    parser.add_argument("targets", nargs="*", choices=choices, help="default: all")
    parser.add_argument("--seconds", type=float, default=120.0, help="for each target")
    parser.add_argument("--count", type=int, default=1_000_000, help="requests for admission")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same")
    parser.add_argument("--keep", type=Path, help="folder for log and records (default: a new one)")
    args = parser.parse_args()
    folder = args.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    targets = [name for name in args.targets or TARGETS if name != "admission"]
    faults = 0
    if len(targets) < len(args.targets) or not args.targets:
        faults += admission(args.count, args.seed).returncode
    if not targets:
        return 1 if faults else 0
    with live_gateway(folder, CONFIG) as gateway:
        for target in targets:
            figures = asyncio.run(run(gateway, target, args.seconds, args.seed))
            faults += len(figures.faults)
            if figures.faults:
                (folder / f"last-{target}.bin").write_bytes(b"\n=====\n".join(figures.last))
            sys.stdout.writelines(f"FOUND {figures.target}: {text}\n" for text in figures.faults)
            sys.stdout.flush()
    sys.stdout.write(f"{faults} findings; log and records: {folder}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
