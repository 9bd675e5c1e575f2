"""Structures of PJSIP's C interface, for `ctypes`."""

from __future__ import annotations

import ctypes


class Str(ctypes.Structure):
    """`pj_str_t`."""

    _fields_ = (("ptr", ctypes.c_char_p), ("slen", ctypes.c_ssize_t))

    @classmethod
    def of(cls, text: str) -> Str:
        """Make one; it must be kept as long as the library may read it."""
        raw = text.encode()
        return cls(raw, len(raw))


OnMessage = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class Module(ctypes.Structure):
    """`struct pjsip_module` (pjsip/sip_module.h)."""

    _fields_ = (
        ("prev", ctypes.c_void_p),
        ("next", ctypes.c_void_p),
        ("name", Str),
        ("id", ctypes.c_int),
        ("priority", ctypes.c_int),
        ("load", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("unload", ctypes.c_void_p),
        ("on_rx_request", OnMessage),
        ("on_rx_response", OnMessage),
        ("on_tx_request", OnMessage),
        ("on_tx_response", OnMessage),
        ("on_tsx_state", ctypes.c_void_p),
    )
