"""What rendering needs beyond the configuration: the template, this machine's addresses."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path

from gateway.edge.render import MAIN, HostFacts, Servers

_SIOCGIFADDR = 0x8915  # linux/sockios.h
_ADDRESS = slice(20, 24)  # of struct ifreq: a sockaddr_in behind the name


def host_facts(
    folder: Path,
    trunk_addresses: Mapping[str, Sequence[str]],
    trunk_servers: Servers,
    mask_key: str,
) -> HostFacts:
    """Put together what rendering into `folder` has to know."""
    template = resources.files("gateway.edge").joinpath(MAIN).read_text("utf-8")
    return HostFacts(folder, own_addresses(), trunk_addresses, trunk_servers, mask_key, template)


def own_addresses() -> tuple[str, ...]:
    """List the first IPv4 address of every interface that has one, the loopback's last."""
    found = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # an interface without an address
                request = struct.pack("256s", name.encode()[:15])
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
                found.add(socket.inet_ntoa(answer[_ADDRESS]))
    return tuple(sorted(found, key=lambda address: (address.startswith("127."), address)))
