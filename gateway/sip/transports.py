"""The library's TCP connections: told of them, it can be told to close some."""

from __future__ import annotations

import ctypes
import os
import socket
from collections import deque
from collections.abc import Callable

from gateway.sip import pj
from gateway.sip.connections import Connections
from gateway.sip.wakeup import sockets_on

# struct pjsip_transport (pjsip/sip_transport.h) of pjsua2-python 2.15.1.post1
_REMOTE_HOST, _DIRECTION = 200, 224
_INCOMING = 2  # PJSIP_TP_DIR_INCOMING
_BACKLOG = 12
"""Connections that the library may accept at once, before we see one of them."""
_HANDLES = 44
"""With this many in use, accept none: a backlog, and a dozen that we open, fit into 64."""
_HANDLE_FREE_S = 0.6
"""PJ_IOQUEUE_KEY_FREE_DELAY is half a second."""
_SWEEP_S = 0.5


class TcpKeeper:
    """Closes idle connections of untrusted sources.  Loop thread only."""

    def __init__(
        self,
        is_known: Callable[[str], bool],
        on_closed: Callable[[str, str], None],
        now_s: Callable[[], float],
    ) -> None:
        """Accept a test of IP addresses, a callback for closings (rule, source) and a clock."""
        self._is_known = is_known
        self._on_closed = on_closed
        self._now_s = now_s
        self._connections = Connections()
        self._sources: dict[int, str] = {}
        self._to_close: deque[tuple[int, str]] = deque()
        self._swept_s = 0.0
        self._alive: set[int] = set()
        """All connections, also those that we have opened."""
        self._freed_s: deque[float] = deque()
        self._accept_switch: AcceptSwitch | None = None
        self._lib = ctypes.CDLL(pj.LIBRARY_PATH)
        self._lib.pjsip_transport_shutdown.argtypes = [ctypes.c_void_p]

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def is_in_use(self) -> bool:
        """True while there are connections, accepted or opened."""
        return bool(self._alive)

    def watch(self, port: int) -> None:
        """Limit the connections that are accepted on a port."""
        self._accept_switch = AcceptSwitch(port)

    def end(self) -> None:
        """Let go of the port."""
        if self._accept_switch:
            self._accept_switch.end()

    def on_transport(self, transport: int, state: int) -> None:
        """Follow what the library says of a connection."""
        if state == pj.PJSIP_TP_STATE_CONNECTED:
            self._alive.add(transport)
            self._opened(transport)
        elif state in (pj.PJSIP_TP_STATE_DISCONNECTED, pj.PJSIP_TP_STATE_DESTROY):
            self._connections.closed(transport)
            self._sources.pop(transport, None)
        if state == pj.PJSIP_TP_STATE_DESTROY and transport in self._alive:
            self._alive.remove(transport)
            self._freed_s.append(self._now_s() + _HANDLE_FREE_S)

    def on_message(self, transport: int) -> None:
        """A whole message came over it."""
        self._connections.spoke(transport, self._now_s())

    def on_call(self, transport: int) -> None:
        """A call was let in over it."""
        self._connections.has_call(transport)

    def sweep(self) -> None:
        """Close what has to go; never within a callback of the library."""
        now_s = self._now_s()
        if now_s - self._swept_s > _SWEEP_S:
            self._swept_s = now_s
            late = self._connections.overdue(now_s)
            self._to_close += [(transport, "sip.tcp.silent") for transport in late]
        while self._to_close:
            transport, rule = self._to_close.popleft()
            source = self._sources.pop(transport, None)
            if source is not None:  # it has not gone meanwhile
                self._lib.pjsip_transport_shutdown(transport)
                self._on_closed(rule, source)
        while self._freed_s and self._freed_s[0] < now_s:
            self._freed_s.popleft()
        if self._accept_switch:
            self._accept_switch.accept_if(len(self._alive) + len(self._freed_s) < _HANDLES)

    def _opened(self, transport: int) -> None:
        if ctypes.c_int.from_address(transport + _DIRECTION).value != _INCOMING:
            return
        start = ctypes.c_void_p.from_address(transport + _REMOTE_HOST).value or 0
        length = ctypes.c_ssize_t.from_address(transport + _REMOTE_HOST + 8).value
        raw = ctypes.string_at(start, length) if start and 0 < length < 64 else b""
        source = raw.decode("ascii", "replace")
        self._sources[transport] = source
        known = self._is_known(source)
        full = self._connections.opened(transport, source, is_known=known, now_s=self._now_s())
        self._to_close += [(other, "sip.tcp.connections") for other in full]


class AcceptSwitch:
    """Lets the library accept connections, or has them wait in the system's queue.

    The library accepts all that wait, and drops them when it has no handle left.  It knows its
    socket by number: while it is off, that number is of another socket, which is silent.
    """

    def __init__(self, port: int) -> None:
        """Find the socket that listens on a port; without /proc it stays on."""
        found = sockets_on(port, socket.SOCK_STREAM)
        self._is_accepting = True
        self._number = found[0] if found else -1
        self._real = socket.socket(fileno=os.dup(self._number)) if found else None
        self._silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if self._real:
            self._real.listen(_BACKLOG)

    def accept_if(self, is_wanted: bool) -> None:  # noqa: FBT001 (it is on or off)
        """Accept connections or leave them waiting."""
        if self._real is None or is_wanted == self._is_accepting:
            return
        self._is_accepting = is_wanted
        shown = self._real if is_wanted else self._silent
        os.dup2(shown.fileno(), self._number, inheritable=False)

    def end(self) -> None:
        """Close what we have of it, before the library closes its own."""
        self.accept_if(True)  # noqa: FBT003
        self._silent.close()
        if self._real:
            self._real.close()
        self._real = None
