"""Two hooks in PJSIP: challenges before the library reacts to them, proofs before they leave.

Behind an edge every request leaves with a word that proves its sender.

By ctypes, at offsets of one build, as in `native`.  `self_test` sends itself a proof that may leave
and one that may not, and a challenge.  When anything fails in here, nothing is proved.
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import SipError
from gateway.installing import pip_install
from gateway.sip import pj
from gateway.sip.credentials import Address, Challenge, Proof, Signature
from gateway.sip.edge_peer import WORD_HEADER
from gateway.sip.message import SipRequest, parse_answer, parse_request
from gateway.sip.pjsip_types import Module, OnMessage, Str
from gateway.sip.rdata import text_of

_PRIORITY = 13  # PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8) < ours < PJSIP_MOD_PRIORITY_TSX_LAYER (16)
_MESSAGE_IN = 4440  # of rdata
_POOL, _MESSAGE_OUT, _TO_NAME, _TO_PORT = 16, 392, 1232, 1280  # of tdata
_STATUS, _METHOD, _HEADERS = 8, 8, 40  # of msg: line.status.code, line.req.method.id, hdr
_INVITE, _REGISTER = 0, 4  # pjsip_method_e
_CHALLENGES = ("WWW-Authenticate", "Proxy-Authenticate")
_PROOFS = ("Authorization", "Proxy-Authorization")
_TEXT = 64  # hvalue of pjsip_generic_string_hdr
# pjsip_www_authenticate_hdr and pjsip_authorization_hdr, with `digest` of their unions
_ASKED = {"scheme": 64, "realm": 80, "nonce": 160, "algorithm": 200, "qop": 216}
_PROVED = {"realm": 80, "nonce": 160, "uri": 176, "cnonce": 224, "nc": 272}
_SCHEME, _USERNAME, _RESPONSE, _ALGORITHM, _QOP = 64, 144, 192, 208, 256
_TEXT_MAX = 65535
_FAILED = 70001  # PJ_EUNKNOWN
_MD5, _AUTH = (ctypes.create_string_buffer(text) for text in (b"MD5", b"auth"))
"""What every challenge asks for in the eyes of the library; the proof is our work."""


class Keeper(Protocol):
    """Decides; see `Credentials`."""

    @property
    def is_placing(self) -> bool:
        """INVITEs that leave now are to be shown, as every REGISTER is."""

    def leaving(self, request: SipRequest) -> None:
        """See one."""

    def challenged(
        self, answer: SipRequest, source: str, challenges: list[Challenge]
    ) -> list[bool]:
        """Return which may be answered."""

    def sign(self, request: SipRequest, destination: Address, proof: Proof) -> Signature | None:
        """Prove, or not."""


class CredentialFilter:
    """Puts a keeper between the library and everybody else; lives as long as the endpoint."""

    def __init__(self, keeper: Keeper, word: Callable[[SipRequest], str] | None = None) -> None:
        """Start once the library has.

        Args:
            keeper: decides about challenges.
            word: returns the value of `X-Gateway-Word`.
        """
        self._keeper = keeper
        self._word = word
        self._lib = _library()
        self._callbacks = (OnMessage(self._on_answer), OnMessage(self._on_request))
        self._name = b"mod-credentials"
        self._module = Module(
            name=Str(self._name, len(self._name)),
            id=-1,
            priority=_PRIORITY,
            on_rx_response=self._callbacks[0],
            on_tx_request=self._callbacks[1],
        )
        self._endpoint = self._lib.pjsua_get_pjsip_endpt()
        status = self._lib.pjsip_endpt_register_module(
            self._endpoint, ctypes.addressof(self._module)
        )
        if status:
            raise SipError(500, f"cannot register the credentials module: pj status {status}")

    # --- what comes ---

    def _on_answer(self, rdata: int) -> int:
        try:
            self._screen_challenges(rdata)
        except Exception:  # noqa: BLE001 (a C caller above us: an exception would be lost)
            return 1  # dropped: the request ends without an answer
        return 0

    def _screen_challenges(self, rdata: int) -> None:
        message = _pointer(rdata + _MESSAGE_IN)
        if ctypes.c_int.from_address(message + _STATUS).value not in {401, 407}:
            return
        found = list(self._headers(message, _CHALLENGES))
        asked = [
            Challenge(**{name: _text(header + at) for name, at in _ASKED.items()})
            for header in found
        ]
        raw, source, _ = text_of(rdata)
        answer = parse_answer(raw.decode("utf-8", "replace"))
        kept = self._keeper.challenged(answer, source, asked)
        for header, challenge, is_kept in zip(found, asked, kept, strict=True):
            if not is_kept:
                self._lib.pj_list_erase(header)
                continue
            _point(header + _ASKED["algorithm"], _MD5)
            if challenge.chosen_qop:
                _point(header + _ASKED["qop"], _AUTH)

    # --- what leaves ---

    def _on_request(self, tdata: int) -> int:
        try:
            self._screen_proofs(tdata)
        except Exception:  # noqa: BLE001 (a C caller above us: an exception would be lost)
            return _FAILED  # not sent
        return 0

    def _screen_proofs(self, tdata: int) -> None:
        message = _pointer(tdata + _MESSAGE_OUT)
        proofs = list(self._headers(message, _PROOFS))
        method = ctypes.c_int.from_address(message + _METHOD).value
        is_new_call = method == _INVITE and self._keeper.is_placing
        if not (proofs or is_new_call or method == _REGISTER or self._word):
            return
        request = parse_request(self._printed(message))
        if self._word:
            self._put_word(_pointer(tdata + _POOL), message, self._word(request))
        self._keeper.leaving(request)
        name = ctypes.string_at(tdata + _TO_NAME).decode("ascii", "replace")
        destination = (name, ctypes.c_int.from_address(tdata + _TO_PORT).value)
        for header in proofs:
            proof = Proof(**{name: _text(header + at) for name, at in _PROVED.items()})
            signature = self._keeper.sign(request, destination, proof)
            if signature is None:
                self._lib.pj_list_erase(header)
                continue
            pool = _pointer(tdata + _POOL)
            self._write(pool, header + _RESPONSE, signature.response)
            self._write(pool, header + _ALGORITHM, signature.algorithm)
            self._write(pool, header + _QOP, signature.qop)

    def _put_word(self, pool: int, message: int, word: str) -> None:
        """Write it; a request that is sent again, with a proof, has an old one."""
        for header in self._headers(message, (WORD_HEADER,)):
            self._write(pool, header + _TEXT, word)
            return
        name, value = Str.of(WORD_HEADER), Str.of(word)
        header = self._lib.pjsip_generic_string_hdr_create(
            pool, ctypes.byref(name), ctypes.byref(value)
        )
        self._lib.pj_list_insert_before(message + _HEADERS, header)

    def _printed(self, message: int) -> str:
        buffer = ctypes.create_string_buffer(_TEXT_MAX)
        size = self._lib.pjsip_msg_print(message, buffer, _TEXT_MAX)
        if size <= 0:
            raise ValueError("a request that is too long")
        return buffer.raw[:size].decode("utf-8", "replace")

    def _headers(self, message: int, names: tuple[str, ...]) -> Iterator[int]:
        for name in names:
            wanted, start = Str.of(name), None
            while found := self._lib.pjsip_msg_find_hdr_by_name(
                message, ctypes.byref(wanted), start
            ):
                yield found
                start = _pointer(found + ctypes.sizeof(ctypes.c_void_p))  # its next
                if start == message + _HEADERS:
                    break

    def _write(self, pool: int, at: int, text: str) -> None:
        raw = text.encode()
        place = self._lib.pj_pool_alloc(pool, max(1, len(raw)))
        ctypes.memmove(place, raw, len(raw))
        _set(at, place, len(raw))

    # --- proof that this build is the one whose offsets are used here ---

    def self_test(self, address: str, port: int, pump: Callable[[], object]) -> None:
        """Send ourselves proofs and a challenge.

        Raises:
            SipError: another build of pjsua2 than this code knows.
        """
        keeper, self._keeper = self._keeper, (probe := _Probe())
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.bind((address, 0))
                peer.settimeout(1.0)
                self._send_proofs(*peer.getsockname())
                sent = peer.recv(_TEXT_MAX).decode()
                is_right = _PROBE_SIGNED in sent and "nonce-no" not in sent
                word = self._word(parse_request(sent)) if self._word else ""
                is_right = is_right and (f"{WORD_HEADER}: {word}\r" in sent) == bool(word)
                is_right = is_right and probe.seen == [(peer.getsockname(), n) for n in _NONCES]
                peer.sendto(_PROBE_ANSWER.encode(), (address, port))
            for _ in range(200):
                pump()
                if probe.challenges:
                    break
        except (OSError, ValueError) as error:
            raise SipError(500, f"the self-test of credentials failed: {error}") from error
        finally:
            self._keeper = keeper
        if not is_right or probe.challenges != [(address, *_PROBE_CHALLENGES)]:
            raise SipError(
                500,
                "this build of pjsua2 has another memory layout than 2.15.1.post1: "
                + pip_install("pjsua2-python==2.15.1.post1"),
            )

    def _send_proofs(self, host: str, port: int) -> None:
        tdata = ctypes.c_void_p()
        texts = [Str.of(f"sip:{host}:{port}"), Str.of("<sip:selftest@localhost>")]
        target, party = map(ctypes.byref, texts)
        status = self._lib.pjsip_endpt_create_request(
            self._endpoint, self._lib.pjsip_get_options_method(), target, party, target, None,
            None, 1, None, ctypes.byref(tdata),
        )  # fmt: skip
        if status or not tdata.value:
            raise ValueError(f"no request: pj status {status}")
        pool, message = _pointer(tdata.value + _POOL), _pointer(tdata.value + _MESSAGE_OUT)
        for nonce in _NONCES:
            header = self._lib.pjsip_authorization_hdr_create(pool)
            fields = {_SCHEME: "Digest", _USERNAME: "u", _RESPONSE: "library's", _ALGORITHM: "MD5"}
            fields |= {_PROVED["realm"]: "r", _PROVED["nonce"]: nonce, _PROVED["uri"]: "sip:u"}
            fields |= {_PROVED["cnonce"]: "c", _PROVED["nc"]: "00000001", _QOP: "auth"}
            for at, text in fields.items():
                self._write(pool, header + at, text)
            self._lib.pj_list_insert_before(message + _HEADERS, header)
        status = self._lib.pjsip_endpt_send_request_stateless(
            self._endpoint, tdata.value, None, None
        )
        if status:
            raise ValueError(f"not sent: pj status {status}")


_NONCES = ("nonce-no", "nonce-yes")
_PROBE_SIGNED = 'nonce="nonce-yes", uri="sip:u", response="ours", algorithm=MD5-sess, cnonce="c"'
_PROBE_CHALLENGES = (
    Challenge("Digest", "a", "n1", "MD5-sess", "auth-int"),
    Challenge("Digest", "b", "n2", "", ""),
)
_PROBE_ANSWER = (
    "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKselftest\r\n"
    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: selftest\r\nCSeq: 1 OPTIONS\r\n"
    'WWW-Authenticate: Digest realm="a", nonce="n1", algorithm=MD5-sess, qop="auth-int"\r\n'
    'Proxy-Authenticate: Digest realm="b", nonce="n2"\r\nContent-Length: 0\r\n\r\n'
)


@dataclass(slots=True)
class _Probe:
    """Keeper of the self-test: signs one of two."""

    seen: list[tuple[Address, str]] = field(default_factory=list)
    challenges: list[tuple[str, Challenge, Challenge]] = field(default_factory=list)
    is_placing: bool = False

    def leaving(self, request: SipRequest) -> None:
        """Nothing is to be remembered."""

    def challenged(
        self, answer: SipRequest, source: str, challenges: list[Challenge]
    ) -> list[bool]:
        if answer.header("call-id") == "selftest" and len(challenges) == 2:
            self.challenges.append((source, challenges[0], challenges[1]))
        return [False] * len(challenges)

    def sign(self, request: SipRequest, destination: Address, proof: Proof) -> Signature | None:
        wanted = ("OPTIONS", "r", "sip:u", "c", "00000001")
        if (request.method, proof.realm, proof.uri, proof.cnonce, proof.nc) == wanted:
            self.seen.append((destination, proof.nonce))
        return Signature("ours", "MD5-sess", "auth") if proof.nonce == "nonce-yes" else None


def keep_udp() -> None:
    """Send requests of more than 1,300 bytes by UDP too, where their URI says nothing else.

    RFC 3261 section 18.1.1 has them go by TCP, which firewalls drop: the call would never begin.

    Raises:
        SipError: another build of pjsua2 than this code knows.
    """
    settings = (ctypes.c_int * 8).in_dll(ctypes.CDLL(pj.LIBRARY_PATH), "pjsip_sip_cfg_var")
    # Five switches that are off by default, one for TLS, then two that are on (sip_config.h).
    if list(settings) not in ([0, 0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 0, 1, 1]):
        raise SipError(500, f"this build of pjsua2 has other settings: {list(settings)}")
    settings[4] = 1  # disable_tcp_switch


def _pointer(at: int) -> int:
    value = ctypes.c_void_p.from_address(at).value
    if not value:
        raise ValueError("a null pointer")
    return value


def _text(at: int) -> str:
    """Read a `pj_str_t`."""
    size = ctypes.c_ssize_t.from_address(at + ctypes.sizeof(ctypes.c_void_p)).value
    if not 0 < size <= _TEXT_MAX:
        return ""
    return ctypes.string_at(_pointer(at), size).decode("utf-8", "replace")


def _set(at: int, place: int, size: int) -> None:
    ctypes.c_void_p.from_address(at).value = place
    ctypes.c_ssize_t.from_address(at + ctypes.sizeof(ctypes.c_void_p)).value = size


def _point(at: int, text: ctypes.Array[ctypes.c_char]) -> None:
    _set(at, ctypes.addressof(text), len(text) - 1)


def _library() -> ctypes.CDLL:
    lib = ctypes.CDLL(pj.LIBRARY_PATH)
    pointer, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(Str)
    arguments = {
        "pjsip_endpt_register_module": [pointer, pointer],
        "pjsip_msg_print": [pointer, ctypes.c_char_p, size],
        "pj_list_erase": [pointer],
        "pj_list_insert_before": [pointer, pointer],
        "pjsip_endpt_send_request_stateless": [pointer, pointer, pointer, pointer],
        "pjsip_endpt_create_request": [
            pointer, pointer, text, text, text, text, text, ctypes.c_int, text, pointer,
        ],
    }  # fmt: skip
    for name, kinds in arguments.items():
        getattr(lib, name).argtypes = kinds
    lib.pj_list_erase.restype = lib.pj_list_insert_before.restype = None
    lib.pjsip_msg_print.restype = ctypes.c_ssize_t
    for name, kinds in {
        "pjsua_get_pjsip_endpt": [],
        "pjsip_msg_find_hdr_by_name": [pointer, text, pointer],
        "pj_pool_alloc": [pointer, size],
        "pjsip_authorization_hdr_create": [pointer],
        "pjsip_generic_string_hdr_create": [pointer, text, text],
        "pjsip_get_options_method": [],
    }.items():
        getattr(lib, name).restype = pointer
        getattr(lib, name).argtypes = kinds
    return lib
