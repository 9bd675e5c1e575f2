"""Facts about this machine's network, from /proc and the socket calls.  Decides nothing."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

Protocol = Literal["udp", "tcp"]
PortState = Literal["free", "used", "forbidden", "not_here"]
_STATES: dict[int, PortState] = {
    errno.EADDRINUSE: "used",
    errno.EACCES: "forbidden",
    errno.EPERM: "forbidden",
    errno.EADDRNOTAVAIL: "not_here",
}
_TCP_LISTEN = "0A"
_LOOKUP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Socket:
    """One socket of /proc/net/udp or tcp."""

    address: str
    port: int
    inode: int


@dataclass(frozen=True, slots=True)
class PortUse:
    """Whether a port can be had."""

    protocol: Protocol
    address: str
    port: int
    state: PortState
    owner: str = ""
    """`name (process 123)` of its owner, where that can be read."""


def port_use(protocol: Protocol, address: str, port: int) -> PortUse:
    """Try to bind a port, and name its owner when it is in use.

    Raises:
        OSError: it fails for none of the usual reasons.
    """
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if protocol == "tcp":  # connections of before that linger are no obstacle
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            state = _STATES.get(error.errno or 0)
            if state is None:
                raise
            owner = owner_of(protocol, port) if state == "used" else ""
            return PortUse(protocol, address, port, state, owner)
    return PortUse(protocol, address, port, "free")


def owner_of(protocol: Protocol, port: int) -> str:
    """Name the process that has a port; empty where that cannot be seen (other users')."""
    return next(iter(owners(s for s in open_sockets(protocol) if s.port == port)), "")


def owners(sockets: Iterable[Socket]) -> set[str]:
    """Name the processes that have these sockets, as far as this user may see them."""
    wanted = {f"socket:[{s.inode}]" for s in sockets}
    found: set[str] = set()
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            if any(_target(entry) in wanted for entry in folder.iterdir()):
                name = (folder.parent / "comm").read_text(errors="replace").strip()
                found.add(f"{name} (process {folder.parent.name})")
    return found


def open_sockets(protocol: Protocol) -> list[Socket]:
    """List bound UDP or listening TCP sockets (IPv4, and IPv6 ones that take IPv4 too)."""
    found: list[Socket] = []
    for name in (protocol, f"{protocol}6"):
        with suppress(OSError):
            found += parse_sockets(Path("/proc/net", name).read_text(), protocol)
    return found


def parse_sockets(text: str, protocol: Protocol) -> list[Socket]:
    """Read proc(5) /proc/net/udp or tcp; of TCP only those that listen.  Pure."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or (protocol == "tcp" and fields[3] != _TCP_LISTEN):
            continue
        address, _, port = fields[1].partition(":")
        dotted = str(IPv4Address(bytes.fromhex(address[-8:])[::-1]))
        found.append(Socket(dotted, int(port, 16), int(fields[9])))
    return found


def local_addresses() -> frozenset[str]:
    """IPv4 addresses of this machine; empty where /proc does not tell."""
    try:
        return parse_fib_trie(Path("/proc/net/fib_trie").read_text())
    except OSError:
        return frozenset()


def parse_fib_trie(text: str) -> frozenset[str]:
    """Read the local addresses out of /proc/net/fib_trie.  Pure."""
    return frozenset(re.findall(r"\|-- ([\d.]+)\n\s+/32 host LOCAL", text))


def address_towards(host: str) -> str:
    """Own address from which packets to `host` leave; empty when there is no route.

    Nothing is sent: connecting a UDP socket only chooses the route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


async def resolve(host: str) -> tuple[str, ...]:
    """Look up the IPv4 addresses of a host name; empty when there are none."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOKUP_TIMEOUT_S):
            found = await loop.getaddrinfo(host, 5060, family=socket.AF_INET)
    except (OSError, ValueError, TimeoutError):  # ValueError: no host name at all
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""
