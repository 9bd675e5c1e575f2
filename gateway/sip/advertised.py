"""What the library says that we can (Allow, Supported): nothing that is refused."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable

from gateway.errors import SipError
from gateway.sip import pj
from gateway.sip.pjsip_types import Str

_ALLOW, _SUPPORTED = 4, 36  # pjsip_hdr_e (pjsip/sip_msg.h)
_COUNT, _VALUES, _MOST = 64, 72, 32  # struct pjsip_generic_array_hdr, PJSIP_GENERIC_ARRAY_MAX_COUNT


def advertise(methods: Iterable[str], extensions: Iterable[str]) -> None:
    """Remove what is not named here from the library's lists.  After all modules are there.

    Raises:
        SipError: another build of pjsua2 than this code knows.
    """
    lib = ctypes.CDLL(pj.LIBRARY_PATH)
    lib.pjsua_get_pjsip_endpt.restype = ctypes.c_void_p
    lib.pjsip_endpt_get_capability.restype = ctypes.c_void_p
    endpoint = ctypes.c_void_p(lib.pjsua_get_pjsip_endpt())

    def header(number: int) -> int:
        found = lib.pjsip_endpt_get_capability(endpoint, number, None)
        return int(found or 0)

    _keep(header(_ALLOW), {method.upper() for method in methods}.__contains__, "INVITE")
    _keep(header(_SUPPORTED), set(extensions).__contains__, "timer")


def _keep(header: int, wanted: Callable[[str], bool], known: str) -> None:
    values = listed(header)
    if known not in values:
        raise SipError(500, "this build of pjsua2 lists capabilities elsewhere than 2.15.1.post1")
    kept = [value for value in values if wanted(value)]
    places = [header + _VALUES + ctypes.sizeof(Str) * number for number in range(len(values))]
    raw = dict(
        zip(values, (ctypes.string_at(place, ctypes.sizeof(Str)) for place in places), strict=True)
    )
    for place, value in zip(places, kept, strict=False):
        ctypes.memmove(place, raw[value], ctypes.sizeof(Str))
    ctypes.c_uint.from_address(header + _COUNT).value = len(kept)


def listed(header: int) -> list[str]:
    """Read the values of a header that is a list."""
    count = ctypes.c_uint.from_address(header + _COUNT).value if header else 0
    if count > _MOST:
        return []
    found = (Str.from_address(header + _VALUES + ctypes.sizeof(Str) * n) for n in range(count))
    return [ctypes.string_at(one.ptr, one.slen).decode("ascii", "replace") for one in found]
