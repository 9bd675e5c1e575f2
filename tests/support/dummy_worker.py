"""A worker without SIP: the control protocol, and whatever misbehaviour its setup file asks for.

Run as `python -m tests.support.dummy_worker` with the arguments of `gateway worker`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gateway.process import messages as m
from gateway.process.control import ControlServer


class DummyWorker:
    """Does what the commands say."""

    def __init__(self, ways: dict[str, Any], stop: asyncio.Event) -> None:
        self.ways = ways
        self.stop = stop
        self.draining = False

    async def do(self, command: m.Command) -> BaseModel:
        match command:
            case m.GetStatus():
                late_s = self.ways.get("clock_late_s", 0.0)
                return m.WorkerStatus(
                    ready=True, slots=4, slots_used=1, pid=os.getpid(), clock_late_s=late_s
                )
            case m.Drain():
                self.draining = True
                if not self.ways.get("has_calls"):
                    self.stop.set()
        return m.Done()


async def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("--socket", "--setup"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--index")
    parser.add_argument("--sip-port")
    parser.add_argument("--rtp-ports", nargs=2)
    options = parser.parse_args()
    ways = json.loads(options.setup.read_text())
    if ways.get("fails"):
        return 3
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with asyncio.TaskGroup() as group:
        server = ControlServer(options.socket)
        serving = group.create_task(server.serve(DummyWorker(ways, stop)))
        await stop.wait()
        serving.cancel()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
