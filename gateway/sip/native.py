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
from dataclasses import replace
from functools import partial

from gateway.errors import SipError
from gateway.installing import pip_install
from gateway.sip import pj
from gateway.sip.decision import Admit, Answer, Decision, Ignore, Refuse
from gateway.sip.offer_repair import mended
from gateway.sip.pjsip_types import Module, OnMessage, Str
from gateway.sip.rdata import drop_body, drop_routes, method_of, overwrite, received, text_of
from gateway.sip.received import Received
from gateway.sip.request_screen import Passage

_PRIORITY = 24  # PJSIP_MOD_PRIORITY_TSX_LAYER (16) < ours < PJSIP_MOD_PRIORITY_UA_PROXY_LAYER (32)
_BEFORE_TRANSACTIONS = 12  # PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8) < this < TSX_LAYER
_AFTER_DIALOGS = (
    40  # UA_PROXY_LAYER < this < PJSIP_MOD_PRIORITY_DIALOG_USAGE (48), APPLICATION (64)
)
TRANSACTION_MS = 8000
"""Five transmissions of a request (0, 0.5, 1.5, 3.5, 7.5 s): then the target is unreachable."""
_POINTER = ctypes.sizeof(ctypes.c_void_p)

Judge = Callable[[Received], Decision]


class PjsipModule:
    """A module of the library whose callbacks are ours.  Lives as long as the endpoint."""

    def __init__(
        self,
        name: str,
        priority: int,
        on_request: Callable[[int], int],
        on_answer: Callable[[int], int] | None = None,
    ) -> None:
        """Accept callbacks that get the address of a `pjsip_rx_data` and return 1 to keep it."""
        answer = OnMessage(on_answer) if on_answer else OnMessage()
        self._callbacks = (OnMessage(on_request), answer)
        self._module = Module(
            name=Str.of(name),
            id=-1,
            priority=priority,
            on_rx_request=self._callbacks[0],
            on_rx_response=answer,
        )

    def register(self) -> None:
        """Have the library call it.

        Raises:
            SipError: it does not want to.
        """
        lib = _library()
        endpoint = lib.pjsua_get_pjsip_endpt()
        status = lib.pjsip_endpt_register_module(endpoint, ctypes.addressof(self._module))
        if status:
            raise SipError(500, f"cannot register an admission module: pj status {status}")


def quiet_library() -> None:
    """Keep the library from printing before its log settings are in force."""
    ctypes.CDLL(pj.LIBRARY_PATH).pj_log_set_level(0)


def limit_transactions(timeout_ms: int = TRANSACTION_MS) -> None:
    """Give up unanswered requests, and 200s without an ACK, after this time.  After `libInit` only.

    Timers B, F and H, by RFC 3261 64 * T1 = 32 s: for that time one unacknowledged INVITE
    would hold one of four slots, and its BYE, unanswered too, as long again.
    """
    lib = ctypes.CDLL(pj.LIBRARY_PATH)
    lib.pjsip_tsx_set_timers.restype = None
    lib.pjsip_tsx_set_timers(0, 0, 0, timeout_ms)  # 0 = T1, T2, T4 as they are


@contextmanager
def transactions_of(timeout_ms: int) -> Iterator[None]:
    """Give up requests that are first sent within this block after this time."""
    limit_transactions(timeout_ms)
    try:
        yield
    finally:
        limit_transactions()


class RequestFilter:
    """Puts `judge` in front of pjsua.  Lives as long as the endpoint; loop thread only."""

    def __init__(
        self,
        screen: Judge,
        judge: Judge,
        outside: Judge,
        passage: Callable[[bytes], Passage],
        explains: Callable[[str], bool],
    ) -> None:
        """Accept the functions that look at messages.

        Args:
            screen: at every request, before the library's transactions.
            judge: at those that are no repetitions, before its dialogs.
            outside: at those that no dialog has taken, before a call or anything else is made.
            passage: at responses; returns what of one the library may see.
            explains: whether a sender's IP address may learn why it is refused.
        """
        self._passage = passage
        self._explains = explains
        self._lib = _library()
        self._seen: Received | None = None
        self._probe = b""
        self._endpoint = self._lib.pjsua_get_pjsip_endpt()
        on_any = partial(self._on_any_request, screen)
        on_new = partial(self._on_request, self._unless_probe(judge))
        on_outside = partial(self._on_request, outside)
        self._modules = (
            PjsipModule("mod-screening", _BEFORE_TRANSACTIONS, on_any, self._on_answer),
            PjsipModule("mod-admission", _PRIORITY, on_new),
            PjsipModule("mod-new-calls", _AFTER_DIALOGS, on_outside),
        )
        for module in self._modules:
            module.register()

    def dialogs(self) -> int:
        """SIP dialogs that the library holds."""
        return int(self._lib.pjsip_ua_get_dlg_set_count())

    def has_dialog(self, call_id: str, own_tag: str, their_tag: str) -> bool:
        """Return whether a request with these belongs to a dialog that the library holds."""
        parts = [Str.of(text) for text in (call_id, own_tag, their_tag)]
        return bool(self._lib.pjsip_ua_find_dialog(*map(ctypes.byref, parts), 0))

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
            expected = _probe(token, f"{host}:{own_port}", f"{target}:{port}")
            peer.sendto(expected.data, (target, port))
            for _ in range(200):
                pump()
                if self._seen:
                    break
        self._probe = b""
        if self._seen is None or replace(self._seen, transport=0) != expected:
            raise SipError(
                500,
                "this build of pjsua2 has another memory layout than 2.15.1.post1: "
                + pip_install("pjsua2-python==2.15.1.post1"),
            )

    def _on_any_request(self, screen: Judge, rdata: int) -> int:
        try:
            _mend(rdata)
        except Exception:  # noqa: BLE001 (a C caller above us: an exception would be lost)
            return 1
        return self._on_request(screen, rdata)

    def _on_answer(self, rdata: int) -> int:
        try:
            _mend(rdata)
            passage = self._passage(text_of(rdata)[0])
            if passage is Passage.WITHOUT_BODY:
                drop_body(rdata)
        except Exception:  # noqa: BLE001 (a C caller above us: an exception would be lost)
            return 1
        return 1 if passage is Passage.NOTHING else 0

    def _on_request(self, judge: Judge, rdata: int) -> int:
        try:
            return self._act_on(rdata, judge(received(rdata)))
        except Exception:  # noqa: BLE001 (a C caller above us: an exception would be lost)
            return 1  # what cannot be judged gets in nowhere

    def _unless_probe(self, judge: Judge) -> Judge:
        """Keep our own datagram of the self-test for ourselves."""

        def look(request: Received) -> Decision:
            if not self._probe or self._probe not in request.data:
                return judge(request)
            self._seen = request
            return Ignore()

        return look

    def _act_on(self, rdata: int, decision: Decision) -> int:
        """Answer or drop; 0 = the library goes on with it."""
        if isinstance(decision, Admit):
            if decision.without_body:
                drop_body(rdata)
            return 0
        # The library aborts the process when told to answer an ACK, and takes "ack" for one too.
        if isinstance(decision, Refuse | Answer) and method_of(rdata) != "ACK":
            self._respond(rdata, decision)
        return 1

    def _respond(self, rdata: int, answer: Refuse | Answer) -> None:
        if answer.status >= 300:
            drop_routes(rdata)  # they are of use in a dialog only, and must fit into the answer
        pool = self._lib.pjsip_endpt_create_pool(self._endpoint, b"admission", 1000, 1000)
        headers, reason = answer.headers, None
        if isinstance(answer, Refuse) and self._explains(text_of(rdata)[1]):
            warning = f'399 voice-gateway "refused by {answer.rule}"'  # RFC 3261 section 20.43
            headers = (*headers, ("Warning", warning))
            reason = ctypes.byref(Str.of(_header_safe(answer.reason)))
        keep = [(Str.of(name), Str.of(value)) for name, value in headers]
        nodes = [
            self._lib.pjsip_generic_string_hdr_create(pool, ctypes.byref(n), ctypes.byref(v))
            for n, v in keep
        ]
        head = (ctypes.c_void_p * 8)()
        _link([ctypes.addressof(head), *nodes])
        self._lib.pjsip_endpt_respond_stateless(
            self._endpoint,
            rdata,
            answer.status,
            reason,  # none: the library's own phrase for the status
            ctypes.addressof(head),
            None,
        )
        self._lib.pjsip_endpt_release_pool(self._endpoint, pool)


def _mend(rdata: int) -> None:
    """Before any module reads the message, so that all read the same."""
    overwrite(rdata, mended(text_of(rdata)[0]))


def _probe(token: str, own: str, target: str) -> Received:
    """Make a datagram that no two readers read alike by chance, and what must be read in it."""
    host = own.partition(":")[0]
    body = f"v=0 {token}\r\n".encode()
    head = (
        f"UPDATE sip:{token}@{target} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {own};branch=z9hG4bK{token}\r\n"
        f'f: "a <b>;tag=c" <sip:{token}@{host};tag=d>;tag=from-{token}\r\n'
        f"t: <sip:{token}@{host}>;x=y;tag=to-{token}\r\n"
        f"Call-ID: {token}\r\nCSeq: 4711 UPDATE\r\nMax-Forwards: 1\r\n"
        f"X-Self-Test: 1\r\nc: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    names = ("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "X-Self-Test")
    return Received(
        data=head.encode() + body,
        source=host,
        port=int(own.rpartition(":")[2]),
        method="UPDATE",
        cseq_method="UPDATE",
        to_tag=f"to-{token}",
        from_tag=f"from-{token}",
        call_id=token,
        cseq=4711,
        branch=f"z9hG4bK{token}",
        header_names=frozenset((*names, "Content-Type", "Content-Length")),
        content_type="text/plain",
        body=body,
    )


def _link(nodes: list[int]) -> None:
    """Join nodes to a PJ list ring; the first is its head (pj/list.h: prev, next)."""
    for node, following in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        ctypes.c_void_p.from_address(node + _POINTER).value = following
        ctypes.c_void_p.from_address(following).value = node


def _header_safe(text: str) -> str:
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in text)


def _library() -> ctypes.CDLL:
    lib = ctypes.CDLL(pj.LIBRARY_PATH)
    pointer, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(Str)
    lib.pjsua_get_pjsip_endpt.restype = pointer
    lib.pjsip_endpt_register_module.argtypes = [pointer, pointer]
    lib.pjsip_endpt_create_pool.argtypes = [pointer, ctypes.c_char_p, size, size]
    lib.pjsip_endpt_create_pool.restype = pointer
    lib.pjsip_endpt_release_pool.argtypes = [pointer, pointer]
    lib.pjsip_endpt_release_pool.restype = None
    lib.pjsip_generic_string_hdr_create.argtypes = [pointer, text, text]
    lib.pjsip_generic_string_hdr_create.restype = pointer
    lib.pjsip_ua_find_dialog.argtypes = [text, text, text, ctypes.c_int]
    lib.pjsip_ua_find_dialog.restype = pointer
    lib.pjsip_endpt_respond_stateless.argtypes = [
        pointer, pointer, ctypes.c_int, text, pointer, pointer,
    ]  # fmt: skip
    return lib
