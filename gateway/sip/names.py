"""Names: looks host names up beside the loop, which the SIP library would do on it.

The library calls getaddrinfo() wherever a message names a host: Contact, Record-Route, Via's maddr.
As long as that takes, no message is read and no call goes on.  So it gets a resolver of ours
(`pjsip_endpt_set_ext_resolver`), and its own way to the C library's is closed: there it finds
addresses only.
"""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from gateway.errors import SipError
from gateway.sip import pj
from gateway.sip.lookups import Lookups
from gateway.sip.pjsip_types import Str

log = structlog.get_logger(__name__)

_AT_ONCE, _WAITING = 3, 16
"""Lookups under way, and names that wait; more are answered as unknown."""
_LONGEST_S = 6.0
_KEPT_S, _MOST_KEPT = 60.0, 256
_UNKNOWN = 70018  # PJ_ERESOLVE: the library makes 502 of it
_RELIABLE, _SECURE = 1, 2  # pjsip_transport_flags_e
_UDP, _TCP, _TLS, _IPV6 = 1, 2, 3, 128  # pjsip_transport_type_e
_MOST_ADDRESSES = 4
_EAI_NONAME, _AI_NUMERICHOST = -2, 4
# Where the library of 2.15.1.post1 keeps its ways to libc's functions, and has one of its own.
_GETADDRINFO, _GETHOSTBYNAME, _PJ_GETADDRINFO = 0x7092E0, 0x708CC8, 0x4AF250

_Resolve = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 5)
_Answer = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_GetAddrInfo = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p
)
_GetHostByName = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)


class _HostInfo(ctypes.Structure):
    """`pjsip_host_info` (pjsip/sip_types.h)."""

    _fields_ = (
        ("flag", ctypes.c_uint),
        ("type", ctypes.c_int),
        ("host", Str),
        ("port", ctypes.c_int),
    )


class _Resolver(ctypes.Structure):
    """`pjsip_ext_resolver` (pjsip/sip_resolve.h)."""

    _fields_ = (("resolve", _Resolve),)


@dataclass(frozen=True, slots=True)
class _Question:
    """A request for an address, and how to answer the library."""

    kind: int
    port: int
    token: int
    answer: int
    """Address of the function to call."""


@dataclass(slots=True)
class Names:
    """The library's resolver.  Loop thread only; lives as long as the endpoint."""

    loop: asyncio.AbstractEventLoop
    look_up: Callable[[str], Awaitable[list[str]]] = field(
        default_factory=lambda: Lookups("names").addresses
    )
    _waiting: dict[str, list[_Question]] = field(default_factory=dict)
    _wanted: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _known: dict[str, tuple[float, tuple[str, ...]]] = field(default_factory=dict)
    """Name = until when it is believed, and its addresses; none where it is unknown."""
    _is_over: bool = False
    """The library has ended: what it asked is not answered any more."""
    _kept: list[object] = field(default_factory=list)
    """What the library calls, and must not go away before it."""

    def install(self) -> None:
        """Make the library ask only here.

        Raises:
            SipError: another build of pjsua2 than this code knows.
        """
        lib = ctypes.CDLL(pj.LIBRARY_PATH)
        resolver = _Resolver(_Resolve(self._ask))
        self._kept.append(resolver)
        lib.pjsua_get_pjsip_endpt.restype = ctypes.c_void_p
        endpoint = ctypes.c_void_p(lib.pjsua_get_pjsip_endpt())
        if lib.pjsip_endpt_set_ext_resolver(endpoint, ctypes.byref(resolver)):
            raise SipError(500, "the SIP library takes no resolver")
        _close_own_way(lib)

    def end(self) -> None:
        """Answer nothing from now on: the library is about to go."""
        self._is_over = True
        self._waiting.clear()

    async def run(self) -> None:
        """Look up what is asked for, until cancelled."""
        places = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                name = await self._wanted.get()
                await places.acquire()
                task = group.create_task(self._look_up(name))
                task.add_done_callback(lambda _: places.release())

    def _ask(
        self, _resolver: int | None, _pool: int | None, target: int, token: int, answer: int
    ) -> None:
        """Answer the library at once, or when the name is known.  Called by the library."""
        info = _HostInfo.from_address(target)
        host = ctypes.string_at(info.host.ptr, info.host.slen).decode("latin-1")
        kind = info.type & ~_IPV6
        if not kind:
            kind = _TLS if info.flag & _SECURE else _TCP if info.flag & _RELIABLE else _UDP
        question = _Question(kind, info.port or (5061 if kind == _TLS else 5060), token, answer)
        found = self._at_hand(host.lower())
        if found:
            _reply(question, found)
        elif found is not None:
            self._fail(question)
        elif host.lower() in self._waiting:
            self._waiting[host.lower()].append(question)
        elif len(self._waiting) >= _WAITING:
            self._fail(question)
        else:
            self._waiting[host.lower()] = [question]
            self._wanted.put_nowait(host.lower())

    def _fail(self, question: _Question) -> None:
        """Report it later: when sending fails at once, the library may free what it still uses."""
        self.loop.call_soon(self._reply_unless_over, question)

    def _reply_unless_over(self, question: _Question) -> None:
        if not self._is_over:
            _reply(question, ())

    def _at_hand(self, host: str) -> tuple[str, ...] | None:
        if is_address(host):
            return (host,) if ":" not in host else ()
        until_s, addresses = self._known.get(host, (0.0, ()))
        return addresses if until_s > self.loop.time() else None

    async def _look_up(self, name: str) -> None:
        addresses: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(_LONGEST_S):
                addresses = tuple(await self.look_up(name))
        except (OSError, ValueError) as error:  # ValueError: no name at all
            log.info("sip_name_unknown", name=name[:100], error=str(error) or "no answer in time")
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        self._known[name] = (self.loop.time() + _KEPT_S, addresses)
        for question in self._waiting.pop(name, ()):
            _reply(question, addresses)


def is_address(host: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _reply(question: _Question, addresses: tuple[str, ...]) -> None:
    answer = _Answer(question.answer)
    if not addresses:
        answer(_UNKNOWN, question.token, None)
        return
    found = server_addresses(question.kind, question.port, addresses[:_MOST_ADDRESSES])
    buffer = ctypes.create_string_buffer(found, len(found))
    answer(0, question.token, ctypes.addressof(buffer))


def server_addresses(kind: int, port: int, addresses: tuple[str, ...]) -> bytes:
    """Write `pjsip_server_addresses` (pjsip/sip_resolve.h): a count, and records of 44 bytes."""
    records = [
        struct.pack("=iIIHH4s20xi", kind, 0, 0, socket.AF_INET, socket.htons(port), packed, 16)
        for packed in map(socket.inet_aton, addresses)
    ]
    return struct.pack("=I", len(records)) + b"".join(records) + bytes(16 * 44)


def _close_own_way(lib: ctypes.CDLL) -> None:
    """Let the library's own calls of libc find addresses only.  Stays so in this process."""
    if _closed:
        return
    base = (ctypes.cast(lib.pj_getaddrinfo, ctypes.c_void_p).value or 0) - _PJ_GETADDRINFO
    libc = ctypes.CDLL(None)
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    libc.getaddrinfo.argtypes = [text, text, pointer, pointer]

    def address_only(
        host: bytes | None, service: bytes | None, hints: int | None, found: int | None
    ) -> int:
        if host is not None and not is_address(host.decode("latin-1")):
            return _EAI_NONAME
        return int(libc.getaddrinfo(host, service, hints, found))

    for place, name, function in (
        (_GETADDRINFO, "getaddrinfo", _GetAddrInfo(address_only)),
        (_GETHOSTBYNAME, "gethostbyname", _GetHostByName(lambda _: None)),
    ):
        way = ctypes.c_void_p.from_address(base + place)
        if not _leads_to(way.value or 0, base, name):
            raise SipError(500, "this build of pjsua2 looks names up elsewhere than 2.15.1.post1")
        way.value = ctypes.cast(function, ctypes.c_void_p).value
        _closed.append(function)


_closed: list[object] = []


def _leads_to(target: int, base: int, name: str) -> bool:
    """Return whether it is libc's function, or the way to find that (before the first call)."""
    known = ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
    return target == known or base + 0x110000 <= target < base + 0x4C3000  # the library's code
