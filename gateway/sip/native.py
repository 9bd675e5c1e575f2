"""A PJSIP module written in Python: sees every request before pjsua does and may answer it.

pjsua2 offers no such hook, and pjsua answers the fifth INVITE with 486 by itself.  The wheel
exports PJSIP's C API, so a `pjsip_module` is registered through ctypes, between the transaction
layer (which absorbs retransmissions) and the dialog layer.  The offsets below belong to one build;
`self_test` proves them at start against a real datagram, or the gateway does not start.
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.errors import SipError
from gateway.sip import pj
from gateway.sip.admission import Admit, Decision, Refuse

_PRIORITY = 24  # PJSIP_MOD_PRIORITY_TSX_LAYER (16) < ours < PJSIP_MOD_PRIORITY_UA_PROXY_LAYER (32)
_BEFORE_TRANSACTIONS = 12  # PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8) < this < TSX_LAYER
_SOURCE_NAME, _SOURCE_PORT, _MESSAGE, _MESSAGE_LENGTH = 4368, 4416, 4424, 4432
_PARSED, _METHOD = 4440, 8  # rdata->msg_info.msg, msg->line.req.method.id
_ACK, _OPTIONS = 2, 5  # pjsip_method_e
_MAX_MESSAGE = 65535
TRANSACTION_MS = 8000
"""Five transmissions of a request (0, 0.5, 1.5, 3.5, 7.5 s): then nobody is there."""
_POINTER = ctypes.sizeof(ctypes.c_void_p)

Judge = Callable[[bytes, str, int], Decision]
"""(request, source address, source port) -> decision."""


class _Str(ctypes.Structure):
    _fields_ = (("ptr", ctypes.c_char_p), ("slen", ctypes.c_ssize_t))

    @classmethod
    def of(cls, text: str) -> _Str:
        raw = text.encode()
        return cls(raw, len(raw))


_OnRequest = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class _Module(ctypes.Structure):
    """`struct pjsip_module` (pjsip/sip_module.h)."""

    _fields_ = (
        ("prev", ctypes.c_void_p),
        ("next", ctypes.c_void_p),
        ("name", _Str),
        ("id", ctypes.c_int),
        ("priority", ctypes.c_int),
        ("load", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("unload", ctypes.c_void_p),
        ("on_rx_request", _OnRequest),
        ("on_rx_response", _OnRequest),
        ("on_tx_request", ctypes.c_void_p),
        ("on_tx_response", ctypes.c_void_p),
        ("on_tsx_state", ctypes.c_void_p),
    )


def quiet_library() -> None:
    """Keep the library from printing before its log settings are in force."""
    ctypes.CDLL(pj.LIBRARY_PATH).pj_log_set_level(0)


def limit_transactions(timeout_ms: int = TRANSACTION_MS) -> None:
    """Give up unanswered requests, and 200s without an ACK, after so long.  After `libInit` only.

    Timers B, F and H, which RFC 3261 sets to 64 * T1 = 32 s: for so long one unacknowledged INVITE
    would hold one of four slots, and its BYE, which nobody answers either, as long again.
    """
    lib = ctypes.CDLL(pj.LIBRARY_PATH)
    lib.pjsip_tsx_set_timers.restype = None
    lib.pjsip_tsx_set_timers(0, 0, 0, timeout_ms)  # 0 = T1, T2, T4 as they are


@contextmanager
def transactions_of(timeout_ms: int) -> Iterator[None]:
    """Give up the requests that are first sent within this block after so long."""
    limit_transactions(timeout_ms)
    try:
        yield
    finally:
        limit_transactions()


class RequestFilter:
    """Puts `judge` in front of pjsua.  Lives as long as the endpoint; loop thread only."""

    def __init__(self, screen: Judge, judge: Judge, may_pass: Callable[[bytes], bool]) -> None:
        """Take who looks at messages.

        Args:
            screen: at every request, before the library's transactions.
            judge: at those that are no repetitions, before its dialogs.
            may_pass: at responses; says whether the library may see one.
        """
        self._screen = screen
        self._judge = judge
        self._may_pass = may_pass
        self._lib = _library()
        self._seen: tuple[bytes, str, int] | None = None
        self._seen_method = -1
        self._probe = b""
        self._callbacks = [
            _OnRequest(callback) for callback in (self._on_any, self._on_request, self._on_answer)
        ]
        on_any, on_request, on_answer = self._callbacks
        self._modules = (
            _Module(
                name=_Str.of("mod-screening"),
                id=-1,
                priority=_BEFORE_TRANSACTIONS,
                on_rx_request=on_any,
                on_rx_response=on_answer,
            ),
            _Module(
                name=_Str.of("mod-admission"), id=-1, priority=_PRIORITY, on_rx_request=on_request
            ),
        )
        self._endpoint = self._lib.pjsua_get_pjsip_endpt()
        for module in self._modules:
            status = self._lib.pjsip_endpt_register_module(self._endpoint, ctypes.addressof(module))
            if status:
                raise SipError(500, f"cannot register the admission module: pj status {status}")

    def dialogs(self) -> int:
        """SIP dialogs that the library holds."""
        return int(self._lib.pjsip_ua_get_dlg_set_count())

    def transactions(self) -> int:
        """SIP transactions that the library holds."""
        return int(self._lib.pjsip_tsx_layer_get_tsx_count())

    def active_calls(self) -> int:
        """Call slots in use, as the library counts them."""
        return int(self._lib.pjsua_call_get_count())

    def self_test(self, address: str, port: int, pump: Callable[[], object]) -> None:
        """Send ourselves a datagram and check that it is read back right.

        Raises:
            SipError: another build of pjsua2 than this code knows.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((address if address != "0.0.0.0" else "127.0.0.1", 0))  # noqa: S104 (compared)
            host, own_port = peer.getsockname()
            token = f"selftest-{own_port}"
            self._probe = token.encode()
            target = host if address == "0.0.0.0" else address  # noqa: S104 (compared)
            text = (
                f"OPTIONS sip:{token}@{target}:{port} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {host}:{own_port};branch=z9hG4bK{token}\r\n"
                f"From: <sip:{token}@{host}>;tag={token}\r\nTo: <sip:{token}@{target}>\r\n"
                f"Call-ID: {token}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 1\r\n"
                "Content-Length: 0\r\n\r\n"
            )
            peer.sendto(text.encode(), (target, port))
            for _ in range(200):
                pump()
                if self._seen:
                    break
        self._probe = b""
        if (*(self._seen or ()), self._seen_method) != (text.encode(), host, own_port, _OPTIONS):
            raise SipError(
                500,
                "this build of pjsua2 has another memory layout than 2.15.1.post1: "
                "pip install pjsua2-python==2.15.1.post1",
            )

    def _on_answer(self, rdata: int) -> int:
        try:
            return 0 if self._may_pass(_read(rdata)[0]) else 1
        except Exception:  # noqa: BLE001 (a C caller above us: an exception would be lost)
            return 1

    def _on_any(self, rdata: int) -> int:
        try:
            return self._act_on(rdata, self._screen(*_read(rdata)))
        except Exception:  # noqa: BLE001 (a C caller above us: an exception would be lost)
            return 1

    def _on_request(self, rdata: int) -> int:
        try:
            return self._handle(rdata)
        except Exception:  # noqa: BLE001 (a C caller above us: an exception would be lost)
            return 1

    def _handle(self, rdata: int) -> int:
        message, source, port = _read(rdata)
        if self._probe and self._probe in message:
            self._seen = (message, source, port)
            self._seen_method = _method(rdata)
            return 1
        return self._act_on(rdata, self._judge(message, source, port))

    def _act_on(self, rdata: int, decision: Decision) -> int:
        """Answer or drop; 0 = the library goes on with it."""
        if isinstance(decision, Admit):
            return 0
        # The library aborts the process when told to answer an ACK, and takes "ack" for one too.
        if isinstance(decision, Refuse) and _method(rdata) != _ACK:
            self._respond(rdata, decision)
        return 1

    def _respond(self, rdata: int, refusal: Refuse) -> None:
        pool = self._lib.pjsip_endpt_create_pool(self._endpoint, b"admission", 1000, 1000)
        warning = f'399 voice-gateway "refused by {refusal.rule}"'  # RFC 3261 section 20.43
        headers = (*refusal.headers, ("Warning", warning))
        keep = [(_Str.of(name), _Str.of(value)) for name, value in headers]
        nodes = [
            self._lib.pjsip_generic_string_hdr_create(pool, ctypes.byref(n), ctypes.byref(v))
            for n, v in keep
        ]
        head = (ctypes.c_void_p * 8)()
        _link([ctypes.addressof(head), *nodes])
        self._lib.pjsip_endpt_respond_stateless(
            self._endpoint,
            rdata,
            refusal.status,
            ctypes.byref(_Str.of(_header_safe(refusal.reason))),
            ctypes.addressof(head),
            None,
        )
        self._lib.pjsip_endpt_release_pool(self._endpoint, pool)


def _read(rdata: int) -> tuple[bytes, str, int]:
    source = ctypes.string_at(rdata + _SOURCE_NAME)
    port = ctypes.c_int.from_address(rdata + _SOURCE_PORT).value
    start = ctypes.c_void_p.from_address(rdata + _MESSAGE).value or 0
    length = ctypes.c_int.from_address(rdata + _MESSAGE_LENGTH).value
    if not start or not 0 < length <= _MAX_MESSAGE:
        return b"", source.decode("ascii", "replace"), port
    return ctypes.string_at(start, length), source.decode("ascii", "replace"), port


def _method(rdata: int) -> int:
    """The method as the library has read it (`pjsip_method_e`); -1 without a message."""
    message = ctypes.c_void_p.from_address(rdata + _PARSED).value
    return ctypes.c_int.from_address(message + _METHOD).value if message else -1


def _link(nodes: list[int]) -> None:
    """Join nodes to a PJ list ring; the first is its head (pj/list.h: prev, next)."""
    for node, following in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        ctypes.c_void_p.from_address(node + _POINTER).value = following
        ctypes.c_void_p.from_address(following).value = node


def _header_safe(text: str) -> str:
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in text)


def _library() -> ctypes.CDLL:
    lib = ctypes.CDLL(pj.LIBRARY_PATH)
    pointer, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(_Str)
    lib.pjsua_get_pjsip_endpt.restype = pointer
    lib.pjsip_endpt_register_module.argtypes = [pointer, pointer]
    lib.pjsip_endpt_create_pool.argtypes = [pointer, ctypes.c_char_p, size, size]
    lib.pjsip_endpt_create_pool.restype = pointer
    lib.pjsip_endpt_release_pool.argtypes = [pointer, pointer]
    lib.pjsip_endpt_release_pool.restype = None
    lib.pjsip_generic_string_hdr_create.argtypes = [pointer, text, text]
    lib.pjsip_generic_string_hdr_create.restype = pointer
    lib.pjsip_endpt_respond_stateless.argtypes = [
        pointer, pointer, ctypes.c_int, text, pointer, pointer,
    ]  # fmt: skip
    return lib
