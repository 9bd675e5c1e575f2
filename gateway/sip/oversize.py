"""What the library throws away, and ought to be answered: long or broken requests, keep-alives.

It has 4,000 bytes for a message.  A longer one is cut off over UDP, which the request screen sees;
over TCP the library drops the bytes and goes on with what follows them.  So it does
with the ping of a keep-alive (RFC 5626 section 4.4.1), after which a telephone gives us up, and
with every request that has one header that it cannot read (RFC 3261 section 16.3 wants 400).
"""

from __future__ import annotations

import ctypes
import os
import re
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from gateway.allowance import Allowance, SourceAllowances
from gateway.sip import pj
from gateway.sip.rdata import text_of
from gateway.sip.wakeup import sockets_on

MAX_BYTES = 4000
"""PJSIP_MAX_PKT_LEN."""
BROKEN, TOO_LARGE = "400 Bad Request", "513 Message Too Large"
_UNREADABLE = 171020  # PJSIP_EINVALIDMSG
_PACKET, _TRANSPORT = 320, 8  # of pjsip_rx_data, which holds what comes by UDP
_ADDRESS = 88  # pjsip_transport.key.rem_addr (pjsip/sip_transport.h)
_KEPT = ("via", "v", "from", "f", "to", "t", "call-id", "i", "cseq")
_REQUEST = re.compile(r"(?!ACK )[A-Z]+ \S+ SIP/2\.0\r?\n")
_PING, _PONG = b"\r\n\r\n", b"\r\n"
_PER_S = 10
"""Answers to one source; more of what it sends is thrown away unread."""
_UNTRUSTED_PER_S = 40
"""For all untrusted sources: each of their connections costs a search for its socket."""
_MOST_FOUND = 64
"""PJ_IOQUEUE_MAX_HANDLES: the library has no more."""
_OnDropped = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Dropped(ctypes.Structure):
    """`pjsip_tp_dropped_data` (pjsip/sip_transport.h)."""

    _fields_ = (
        ("transport", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("status", ctypes.c_int),
    )


class AnswerLimits:
    """How much of what the library throws away is looked at.  Pure."""

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        """Accept a test of whether an IP address is trusted."""
        self._is_known = is_known
        self._per_source = SourceAllowances(_PER_S, 1.0)
        self._untrusted = Allowance(_UNTRUSTED_PER_S, 1.0)

    def spend(self, source: str, now_s: float) -> bool:
        """Return whether what came from an IP address is looked at, and count it."""
        if not self._per_source.spend(source, now_s):
            return False
        return self._is_known(source) or self._untrusted.spend(now_s)


class OversizeAnswerer:
    """Answers what the library drops.  Lives as long as the endpoint."""

    def __init__(
        self, port: int, on_refused: Callable[[str, str], None], is_known: Callable[[str], bool]
    ) -> None:
        """Accept our SIP port, a callback (rule, source) and a test of trusted addresses."""
        self._connections = TcpPeers(port)
        self._udp = sockets_on(port, socket.SOCK_DGRAM)[:1]
        self._on_refused = on_refused
        self._is_known = is_known
        self._limits = AnswerLimits(is_known)
        self._callback = _OnDropped(self._on_dropped)
        lib = ctypes.CDLL(pj.LIBRARY_PATH)
        lib.pjsua_get_pjsip_endpt.restype = ctypes.c_void_p
        lib.pjsip_endpt_get_tpmgr.restype = ctypes.c_void_p
        endpoint = ctypes.c_void_p(lib.pjsua_get_pjsip_endpt())
        manager = ctypes.c_void_p(lib.pjsip_endpt_get_tpmgr(endpoint))
        lib.pjsip_tpmgr_set_drop_data_cb(manager, self._callback)

    def _on_dropped(self, place: int) -> None:
        dropped = _Dropped.from_address(place)
        if not dropped.data or not dropped.transport:
            return
        is_udp = _has_no_peer(dropped)
        size = min(dropped.length, MAX_BYTES)
        is_broken = dropped.status == _UNREADABLE and size < MAX_BYTES
        if not is_broken and (is_udp or size not in (len(_PING), MAX_BYTES)):
            return
        source = _sender(dropped) if is_udp else _peer(dropped)
        if source is None or not self._limits.spend(source[0], time.monotonic()):
            return
        head = ctypes.string_at(dropped.data, size)
        if head == _PING:
            self._connections.send(source, _PONG)
        elif is_broken:
            self._on_broken(head, source, is_udp=is_udp)
        elif answer := refusal(head.decode("utf-8", "replace"), TOO_LARGE):
            self._connections.send(source, answer)
            self._on_refused("sip.size", source[0])

    def _on_broken(self, head: bytes, source: tuple[str, int], *, is_udp: bool) -> None:
        """Answer known sources and callers; anything else gets no answer."""
        answer = refusal(head.decode("utf-8", "replace"), BROKEN)
        if not answer or not (self._is_known(source[0]) or head.startswith(b"INVITE ")):
            return
        if not is_udp:
            self._connections.send(source, answer)
        for descriptor in self._udp if is_udp else ():
            with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as found:
                found.sendto(answer, socket.MSG_DONTWAIT, source)
        self._on_refused("sip.syntax", source[0])


def _peer(dropped: _Dropped) -> tuple[str, int] | None:
    """Return the address that bytes came from."""
    packed = ctypes.string_at((dropped.transport or 0) + _ADDRESS, 8)
    family, port, host = struct.unpack("=HH4s", packed)
    return (socket.inet_ntoa(host), socket.ntohs(port)) if family == socket.AF_INET else None


def _has_no_peer(dropped: _Dropped) -> bool:
    """It is the socket of UDP, which has many."""
    return ctypes.string_at((dropped.transport or 0) + _ADDRESS + 2, 6) == bytes(6)


def _sender(dropped: _Dropped) -> tuple[str, int] | None:
    """Return the sender of a datagram: stored behind it, in the build that we know."""
    rdata = (dropped.data or 0) - _PACKET
    if ctypes.c_void_p.from_address(rdata + _TRANSPORT).value != dropped.transport:
        return None
    _, host, port = text_of(rdata)
    return host, port


def refusal(head: str, status: str) -> bytes:
    """Write a final answer to a request of which the beginning is known.

    Returns:
        Empty where no answer is due.
    """
    if not _REQUEST.match(head):
        return b""
    lines = [line.rstrip("\r") for line in head.split("\n")[1:-1]]
    if "" in lines:
        lines = lines[: lines.index("")]
    kept: list[str] = []
    is_kept = False
    for line in lines:
        if line[:1] in {" ", "\t"}:  # goes on (RFC 3261 section 7.3.1)
            kept += [line] if is_kept else []
            continue
        name = line.partition(":")[0].strip().lower()
        is_kept = name in _KEPT
        if is_kept and name in {"to", "t"} and ";tag=" not in line.rpartition(">")[2]:
            kept.append(f"{line};tag=refused")
        elif is_kept:
            kept.append(line)
    names = {line.partition(":")[0].strip().lower()[:1] for line in kept}
    if not {"v", "f", "t", "c"} <= names:
        return b""  # cut off before what an answer needs
    return "\r\n".join([f"SIP/2.0 {status}", *kept, "Content-Length: 0", "", ""]).encode()


class TcpPeers:
    """The library's TCP connections, by their other end; it does not publish them."""

    def __init__(self, port: int) -> None:
        """Accept our SIP port."""
        self._port = port
        self._found: OrderedDict[tuple[str, int], int] = OrderedDict()
        """Address of a peer -> file descriptor, when it was last looked for."""

    def send(self, peer: tuple[str, int], data: bytes) -> None:
        """Send over the connection with a peer, if it is there and takes it."""
        known = self._found.get(peer)
        if known is not None and self._send_over(known, peer, data):
            return
        self._found.pop(peer, None)
        for descriptor in sockets_on(self._port, socket.SOCK_STREAM):
            if self._send_over(descriptor, peer, data):
                self._found[peer] = descriptor
                break
        if len(self._found) > _MOST_FOUND:
            self._found.popitem(last=False)

    def _send_over(self, descriptor: int, peer: tuple[str, int], data: bytes) -> bool:
        """Return whether a descriptor still is the connection with that peer."""
        try:
            with socket.socket(fileno=os.dup(descriptor)) as found:
                if found.getpeername() != peer or found.getsockname()[1] != self._port:
                    return False
                with suppress(OSError):
                    found.send(data, socket.MSG_DONTWAIT)
                return True
        except OSError:
            return False
