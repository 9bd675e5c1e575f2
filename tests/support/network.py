"""Several hosts on one machine: network namespaces on a bridge, one of them over a bad line."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import random
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000  # sched.h
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
_FRAME = 65536


def why_not() -> str:
    """Say what this machine lacks; empty = it can."""
    if os.geteuid() != 0:
        return "needs root: it makes network namespaces"
    if not shutil.which("ip"):
        return "needs ip: apt-get install iproute2"
    name = f"vgt{os.getpid()}"
    if subprocess.run(
        ["ip", "netns", "add", name], capture_output=True, check=False, timeout=60
    ).returncode:
        return "network namespaces cannot be made here"
    try:
        for kind in (["type", "bridge"], ["type", "veth", "peer", "name", "b"]):
            command = ["ip", "-n", name, "link", "add", f"x{kind[1][0]}", *kind]
            if subprocess.run(command, capture_output=True, check=False, timeout=60).returncode:
                return f"the kernel has no {kind[1]}"
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=60)
    return "" if Path("/dev/net/tun").exists() else "there is no /dev/net/tun"


needs_namespaces = pytest.mark.skipif(bool(why_not()), reason=why_not() or "fine")


@dataclass(slots=True)
class Line:
    """An Ethernet line that loses and delays, both ways (what netem does, where there is none)."""

    ends: tuple[int, int]
    """File descriptors of two TAP devices."""
    loss: float = 0.0
    """Part of the frames."""
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Added at random; frames may overtake each other."""
    lost: int = 0
    passed: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(5))

    def watch(self) -> None:
        """Carry frames; the running loop does it."""
        loop = asyncio.get_running_loop()
        for here, there in (self.ends, self.ends[::-1]):
            loop.add_reader(here, self._carry, here, there)

    def unwatch(self) -> None:
        for end in self.ends:
            asyncio.get_running_loop().remove_reader(end)

    def _carry(self, here: int, there: int) -> None:
        with suppress(BlockingIOError):
            frame = os.read(here, _FRAME)
            if self.chance.random() < self.loss:
                self.lost += 1
                return
            self.passed += 1
            late_s = self.delay_s + self.jitter_s * self.chance.random()
            if late_s:
                asyncio.get_running_loop().call_later(late_s, _put, there, frame)
            else:
                _put(there, frame)


def _put(end: int, frame: bytes) -> None:
    with suppress(OSError):  # closed in the meantime, or full: lost
        os.write(end, frame)


class Network:
    """Hosts 10.77.0.x on one bridge."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._prefix = f"vgt{os.getpid()}"
        self._hub = self._make("hub")
        _ip("-n", self._hub, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._hub, "link", "set", "br0", "up")

    def host(self, name: str, number: int) -> Host:
        """A host on a good line."""
        space = self._make(name)
        _ip("-n", self._hub, "link", "add", name, "type", "veth",
            "peer", "name", "eth0", "netns", space)  # fmt: skip
        _ip("-n", self._hub, "link", "set", name, "master", "br0", "up")
        return self._dress(space, name, number)

    def distant_host(self, name: str, number: int) -> tuple[Host, Line]:
        """A host on a line that can be made bad."""
        space = self._make(name)
        ends = (self._tap(f"{name}0", self._hub, name), self._tap(f"{name}1", space, "eth0"))
        _ip("-n", self._hub, "link", "set", name, "master", "br0", "up")
        return self._dress(space, name, number), Line(ends)

    def unplug(self, host: Host) -> None:
        """Pull the cable."""
        _ip("-n", self._hub, "link", "set", host.name, "down")

    def _make(self, name: str) -> str:
        space = f"{self._prefix}-{name}"
        _ip("netns", "add", space)
        self._stack.callback(_ip, "netns", "del", space)
        _ip("-n", space, "link", "set", "lo", "up")
        return space

    def _dress(self, space: str, name: str, number: int) -> Host:
        address = f"10.77.0.{number}"
        _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        return Host(name, space, address)

    def _tap(self, device: str, space: str, name: str) -> int:
        end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        self._stack.callback(os.close, end)
        flags = _IFF_TAP | _IFF_NO_PI
        temporary = f"{device}{os.getpid() % 10000}"
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH", temporary.encode(), flags))
        _ip("link", "set", temporary, "netns", space, "name", name)
        return end


@dataclass(frozen=True, slots=True)
class Host:
    """One of them."""

    name: str
    space: str
    address: str

    def command(self, *words: str) -> list[str]:
        """What runs a command there."""
        return ["ip", "netns", "exec", self.space, *words]

    def udp(self) -> socket.socket:
        """A UDP socket there; sockets stay where they were made."""
        with self._inside():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind((self.address, 0))
        return made

    @contextmanager
    def _inside(self) -> Iterator[None]:
        libc = ctypes.CDLL(None, use_errno=True)
        home_path, there_path = Path("/proc/self/ns/net"), Path(f"/run/netns/{self.space}")
        with home_path.open() as home, there_path.open() as there:
            if libc.setns(there.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(home.fileno(), _CLONE_NEWNET)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
