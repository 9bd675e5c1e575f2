"""The library's RTP sockets: find them, filter their packets in the kernel, read the last sender.

The library opens them by itself and does not hand them out; they are found by their ports.  A
filter of the kernel (classic BPF, socket(7) SO_ATTACH_FILTER) costs nothing per packet, needs no
privilege, and leaves the library as it is.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.sip.rtp_source import Rule

_SO_ATTACH_FILTER, _SO_MEMINFO = 26, 55
_SK_MEMINFO_DROPS = 8
_SIOCGSTAMP = 0x8906
_LOAD_WORD, _LOAD_HALF, _IF_EQUAL, _RETURN = 0x20, 0x28, 0x15, 0x06  # linux/bpf_common.h
_NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF
_SOURCE_ADDRESS, _SOURCE_PORT = _NETWORK_HEADER + 12, 0  # RFC 791, and RFC 768 at the packet's head
_ALL, _NOTHING = 0xFFFFFFFF, 0
_DIRECTORY = Path("/proc/self/fd")


class RtpSockets:
    """Finds the UDP sockets of a range of ports in this process.  Loop thread only."""

    def __init__(self, first: int, last: int) -> None:
        """Accept the range, both ends included."""
        self._ports = range(first, last + 2)  # the last RTCP port is one above
        self._known: dict[str, int] = {}
        """Socket's name in /proc (its inode) = port; 0 = another socket."""
        self._descriptors: dict[int, int] = {}
        """Port = file descriptor."""

    def close_new(self) -> list[int]:
        """Find sockets that came since the last time, and block all packets at them.

        Returns:
            Their ports.
        """
        names = {name: descriptor for descriptor, name in _sockets()}
        new = []
        for name in names.keys() - self._known.keys():
            port = _udp_port(names[name])
            self._known[name] = port if port in self._ports else 0
            if port in self._ports:
                new.append(port)
        self._known = {name: port for name, port in self._known.items() if name in names}
        self._descriptors = {port: names[name] for name, port in self._known.items() if port}
        for port in new:
            self.allow(port, ())
        return new

    def allow(self, port: int, rules: Sequence[Rule]) -> None:
        """Let the kernel pass packets that fit one of the rules, to the socket on a port."""
        program = filter_program(rules)
        buffer = ctypes.create_string_buffer(program, len(program))
        head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
        with self._socket(port) as found, suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)

    def last_packet(self, port: int) -> bytes:
        """Return when the last packet was read from the socket on a port; opaque, empty = never."""
        with suppress(OSError, LookupError), self._socket(port) as found:
            return fcntl.ioctl(found.fileno(), _SIOCGSTAMP, bytes(16))
        return b""

    def dropped(self, port: int) -> int:
        """Packets that did not pass (or for which there was no room) so far."""
        with suppress(OSError, LookupError), self._socket(port) as found:
            info = found.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_SK_MEMINFO_DROPS + 1))
            return int(struct.unpack_from("I", info, 4 * _SK_MEMINFO_DROPS)[0])
        return 0

    @contextmanager
    def _socket(self, port: int) -> Iterator[socket.socket]:
        """Return the socket on a port, as long as it is needed.

        Raises:
            LookupError: there is none any more.
        """
        descriptor = self._descriptors.get(port, -1)
        if _udp_port(descriptor) != port:  # closed, and its number given to another
            self._descriptors.pop(port, None)
            raise LookupError(f"no RTP socket on port {port}")
        with socket.socket(fileno=os.dup(descriptor)) as found:
            yield found


def filter_program(rules: Sequence[Rule]) -> bytes:
    """Write the filter for packets of UDP over IPv4 (linux/filter.h `struct sock_filter`)."""
    steps: list[tuple[int, int, int, int]] = []
    for rule in rules:
        tests: list[tuple[int, int, int, int]] = []
        if rule.port:
            tests += [(_LOAD_HALF, 0, 0, _SOURCE_PORT), (_IF_EQUAL, 0, 1, rule.port)]
        if rule.host:
            host = int(ipaddress.IPv4Address(rule.host))
            skipped = len(tests) + 1
            tests = [(_LOAD_WORD, 0, 0, _SOURCE_ADDRESS), (_IF_EQUAL, 0, skipped, host), *tests]
        steps += [*tests, (_RETURN, 0, 0, _ALL)]
    steps.append((_RETURN, 0, 0, _NOTHING))
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _sockets() -> Iterator[tuple[int, str]]:
    try:
        entries = list(_DIRECTORY.iterdir())
    except OSError:
        return
    for entry in entries:
        with suppress(OSError):
            name = str(entry.readlink())
            if name.startswith("socket:"):
                yield int(entry.name), name


def _udp_port(descriptor: int) -> int:
    """The port of a UDP socket; 0 = it is none, or not there."""
    if descriptor < 0:
        return 0
    try:
        with socket.socket(fileno=os.dup(descriptor)) as found:
            is_udp = found.family == socket.AF_INET and found.type == socket.SOCK_DGRAM
            return int(found.getsockname()[1]) if is_udp else 0
    except OSError:
        return 0
