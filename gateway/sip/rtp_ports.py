"""RandomPorts: one call's RTP port does not predict the next call's.

The library counts up, for each account, from the first port of the range.  Where it counts is
memory of its own (`pjsua_acc.next_rtp_port`), and set here before it opens sockets.
"""

from __future__ import annotations

import ctypes
import secrets

from gateway.errors import SipError
from gateway.sip import pj

# struct pjsua_data pjsua_var (pjsua-lib/pjsua_internal.h) of 2.15.1.post1
_ACCOUNT_BYTES, _FIRST_PORT, _NEXT_PORT = 6432, 4040, 8736


class RandomPorts:
    """Draws the port that an account's next call tries first; the library goes on from there."""

    def __init__(self, first: int, last: int) -> None:
        """Accept the range, both ends included; RTP has even places in it."""
        self._first = first
        self._pairs = max(1, (last - first + 1) // 2)
        self._base = 0

    def draw(self, account: int) -> int:
        """Choose the next port of an account (its number in the library).

        Raises:
            SipError: another build of pjsua2 than this code knows.
        """
        if not self._base:
            library = ctypes.CDLL(pj.LIBRARY_PATH)
            self._base = ctypes.addressof(ctypes.c_char.in_dll(library, "pjsua_var"))
        place = self._base + account * _ACCOUNT_BYTES
        if ctypes.c_uint.from_address(place + _FIRST_PORT).value != self._first:
            raise SipError(500, "this build of pjsua2 keeps RTP ports elsewhere than 2.15.1.post1")
        port = self._first + 2 * secrets.randbelow(self._pairs)
        ctypes.c_uint16.from_address(place + _NEXT_PORT).value = port
        return port
