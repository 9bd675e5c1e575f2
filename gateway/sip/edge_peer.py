"""A worker's view of its edge: its address, and the real source of a request.  Pure."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass, field

from gateway.config.models import GatewayConfig
from gateway.sip.message import SipRequest
from gateway.sip_uri import parse_name_addr

SOURCE_HEADER = "X-Gateway-Source"
"""`address:port` of the real sender.  The edge removes it from messages from outside."""
TRUNK_HEADER = "X-Gateway-Trunk"
UNTRUSTED_HEADER = "X-Gateway-Untrusted"
"""Present for untrusted callers, which `sip.allow_sources = ["0.0.0.0/0"]` admits."""
FORMER_UNTRUSTED_HEADER = "X-Gateway-Stranger"
"""Its former name.  For one release: workers are replaced while the edge stays as it is."""
WORD_HEADER = "X-Gateway-Word"
"""Proves that the edge has written the three above: a hash of a key, Call-ID and their values.
In requests of a worker it proves to the edge that they are a worker's: see `worker_word`."""
KEY_ENV = "GATEWAY_EDGE_KEY"
"""Has the workers of a host know the key of their edge."""
FINAL_HEADER = "X-Gateway-Final"
"""On a refusal that the dialplan wanted: the edge does not try the next worker."""
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from."""

    address: str
    port: int
    trunk: str = ""
    """Name of the trunk, where the edge knows it."""
    is_untrusted: bool = False
    """The edge admits all sources, and knows no more of this one."""

    def __str__(self) -> str:
        """Format as `address:port`."""
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class EdgePeer:
    """The edge in front of this worker."""

    host: str
    """Address or name."""
    port: int
    is_local: bool
    """It runs on this host."""
    bind: str
    """Where the worker's SIP listens: the loopback for an edge on this host (media is elsewhere).
    Empty: all interfaces."""
    key: str = field(default="", repr=False)
    """That the edge signs its word with; empty: its address and port have to do."""

    @classmethod
    def of(cls, config: GatewayConfig, own_key: str = "") -> EdgePeer | None:
        """Return where the edge is, by the configuration as loaded; None when there is none.

        Args:
            config: as loaded.
            own_key: of the edge of this host.
        """
        if config.workers.edge == "none":
            return None
        key = word_key(config, "" if config.edge.join else own_key)
        if config.edge.join:
            host, _, port = config.edge.join.partition(":")
            bind = "" if config.sip.bind == "0.0.0.0" else config.sip.bind  # noqa: S104 (compared)
            return cls(host, int(port or 5060), is_local=False, bind=bind, key=key)
        host = local_signalling_address(config.sip.bind)
        return cls(host, config.sip.port, is_local=True, bind=host, key=key)

    @property
    def uri(self) -> str:
        """Route of every call that this worker places."""
        return f"sip:{self.host}:{self.port};lr"

    def word(
        self, request: SipRequest, source: str, port: int, edge_addresses: Collection[str]
    ) -> Origin | None:
        """Return the sender that the edge names for a request; None when it names none.

        It says so of new calls only, after it has judged them, and takes these headers out of
        everything else that it passes on.
        """
        told = request.headers.get(SOURCE_HEADER.lower(), ())
        if port != self.port or source not in edge_addresses or len(told) != 1:
            return None
        if self.key and not self._is_signed(request, told[0]):
            return None
        address, _, number = told[0].rpartition(":")
        if not _is_address(address) or not number.isdecimal():
            return None
        trunk, is_untrusted = request.header(TRUNK_HEADER), bool(_untrusted_mark(request))
        return Origin(address, int(number), trunk, is_untrusted=is_untrusted)

    def sign(self, request: SipRequest) -> str:
        """Return the word that a request of this worker goes to the edge with."""
        return worker_word(self.key, request)

    def _is_signed(self, request: SipRequest, told: str) -> bool:
        trunk, untrusted = request.header(TRUNK_HEADER), _untrusted_mark(request)
        said = f"{self.key} {request.header('call-id')} {told} {trunk} {untrusted}"
        expected = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()
        given = request.headers.get(WORD_HEADER.lower(), ())
        return len(given) == 1 and hmac.compare_digest(given[0].encode(), expected.encode())


def worker_word(key: str, request: SipRequest) -> str:
    """Prove that a worker has sent a request: which one it is, and where a new call goes.

    Not where requests within a call go: the edge unmasks that before it looks.
    """
    number, _, method = request.header("cseq").strip().partition(" ")
    said = f"{key} worker {request.header('call-id')} {number} {method.strip()}"
    if _begins_a_call(request):
        said += f" {request.uri}"
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()


def word_key(config: GatewayConfig, own_key: str) -> str:
    """Return the key of the edge's word: what hosts share, else the edge's own; empty for none."""
    secret = config.edge.key.get_secret_value() or own_key
    return hashlib.sha256(f"{secret} word".encode()).hexdigest() if secret else ""


def local_signalling_address(bind: str) -> str:
    """Return the address where edge and workers of one host talk: the loopback or `sip.bind`'s."""
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        return _LOOPBACK
    return bind if address.is_loopback else _LOOPBACK


def _untrusted_mark(request: SipRequest) -> str:
    """Return the value of the header that marks an untrusted caller; empty where there is none."""
    return request.header(UNTRUSTED_HEADER) or request.header(FORMER_UNTRUSTED_HEADER)


def _begins_a_call(request: SipRequest) -> bool:
    """Return whether a request is ours; foreign headers are in requests within calls only."""
    try:
        return "tag" not in parse_name_addr(request.header("to")).parameters
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
