"""The library's conference bridge: ports that carry no call are left out of its ticks.

The bridge hands a silent frame to every port 50 times a second, each by a call of Python: with all
slots of a worker free that was a third of what it cost.  pjsua2 has no switch for a port, the
C interface has one, for which the bridge's address is needed.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from gateway.sip import pj

_NO_CHANGE, _DISABLE, _ENABLE = 0, 1, 3  # pjmedia_port_op (pjmedia/conference.h)
_BRIDGE = 0x6EFC0  # pjsua_var.mconf (pjsua-lib/pjsua_internal.h) of pjsua2-python 2.15.1.post1
_MAX_PORTS = 12  # pjmedia_conf.max_ports (pjmedia/conference.c)


class Bridge:
    """Loop thread only, while the library is up."""

    def __init__(self) -> None:
        """Find it; where this build of the library looks otherwise, all ports stay in."""
        self._lib = ctypes.CDLL(pj.LIBRARY_PATH)
        self._address = self._find()

    @property
    def is_found(self) -> bool:
        """True where ports can be left out."""
        return self._address != 0

    def take_in(self, port: int) -> None:
        """Tick this port."""
        self._set(port, _ENABLE)

    def leave_out(self, port: int) -> None:
        """Do not tick it any more."""
        self._set(port, _DISABLE)

    def _set(self, port: int, what: int) -> None:
        if self._address:
            bridge = ctypes.c_void_p(self._address)
            self._lib.pjmedia_conf_configure_port(bridge, port, what, _NO_CHANGE)

    def _find(self) -> int:
        start = ctypes.addressof(ctypes.c_char.in_dll(self._lib, "pjsua_var"))
        address = int.from_bytes(_read(start + _BRIDGE, 8), "little")
        found = int.from_bytes(_read(address + _MAX_PORTS, 4), "little") if address else 0
        return address if found and found == self._lib.pjsua_conf_get_max_ports() else 0


def _read(address: int, size: int) -> bytes:
    """Read this process's memory; empty where there is none, which ends no process."""
    try:
        memory = os.open(Path("/proc/self/mem"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(memory, size, address)
    except (OSError, OverflowError):
        return b""
    finally:
        os.close(memory)
