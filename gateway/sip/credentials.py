"""Prove passwords of trunks to their own servers and realms only.  Pure.

The SIP library answers every challenge to every request of an account, from any sender.  So it
gets no password: it is shown only the challenges that may be answered, and what it would prove is
proved here (RFC 7616 section 3.4), for the request as it leaves and the address that it goes to.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from gateway.config.models import TrunkConfig
from gateway.sip.message import SipRequest
from gateway.sip_uri import NameAddr, parse_name_addr, parse_uri

Address = tuple[str, int]
_K = TypeVar("_K")
_V = TypeVar("_V")
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
_REMEMBERED = 256
_REALMS = 4
"""Number of realms of one registrar that are kept, the newest."""
NO_TRUNK, ELSEWHERE, OTHER_REALM, UNKNOWN_KIND, WRONG = (
    "it is no request of a trunk's", "it does not come from the trunk's server",
    "its realm is not the trunk's", "its algorithm or qop is unknown", "the password is wrong",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Challenge:
    """One `WWW-Authenticate` or `Proxy-Authenticate` header."""

    scheme: str
    realm: str
    nonce: str
    algorithm: str = ""
    qop: str = ""

    @property
    def chosen_qop(self) -> str | None:
        """Which of the offered qualities we take, empty = the form without; None = none of them."""
        offered = [word.strip().lower() for word in self.qop.strip('"').split(",")]
        return next((word for word in ("auth", "auth-int", "") if word in offered), None)

    @property
    def is_known(self) -> bool:
        """We can answer it."""
        base = self.algorithm.upper().removesuffix("-SESS") or "MD5"
        is_digest = self.scheme.lower() == "digest"
        return is_digest and base in _HASHES and self.chosen_qop is not None


@dataclass(frozen=True, slots=True)
class Proof:
    """Fields of the `Authorization` that the library wants to send."""

    realm: str
    nonce: str
    uri: str
    cnonce: str = ""
    nc: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """What replaces the library's own."""

    response: str
    algorithm: str
    """Empty as the challenge had none."""
    qop: str


@dataclass(slots=True)
class _Trunk:
    config: TrunkConfig
    registers: bool
    """We do so ourselves, and see how its registrar asks for a password."""
    servers: frozenset[Address] = frozenset()
    realms: tuple[str, ...] = ()
    """Those that its registrar named, or that have asked about calls placed over it."""


class Credentials:
    """Knows which challenges may be answered, and answers them.  Loop thread only."""

    def __init__(
        self,
        trunks: Iterable[TrunkConfig],
        edge_addresses: Callable[[], Collection[str]] | None = None,
        on_final: Callable[[str, str, str], None] = lambda _trunk, _realm, _why: None,
    ) -> None:
        """Accept the trunks.

        Args:
            trunks: with their accounts.
            edge_addresses: where the edge is that registers them and passes everything on.
            on_final: told of challenges that are not answered: (trunk or empty, realm, why).
        """
        self._edge_addresses = edge_addresses
        self._on_final = on_final
        self._trunks = {
            trunk.name: _Trunk(trunk, trunk.register_ and edge_addresses is None)
            for trunk in trunks
            if trunk.user
        }
        self._placing = ""
        self._expected: OrderedDict[str, str] = OrderedDict()
        """Call-ID of an INVITE that has not left yet -> trunk."""
        self._placed: dict[tuple[str, str], tuple[str, int]] = {}
        """(Call-ID, our tag) -> trunk, CSeq of the INVITE that began the call."""
        self._registering: OrderedDict[tuple[str, str], str] = OrderedDict()
        """(Call-ID, our tag) of a REGISTER -> trunk."""
        self._asked: OrderedDict[tuple[str, str, str], Challenge] = OrderedDict()
        """(trunk, realm, nonce) -> a challenge that may be answered."""
        self._tried: OrderedDict[tuple[str, str, str, str], int] = OrderedDict()
        """(Call-ID, method, realm, nonce) -> CSeq of the request that it was asked about."""

    def at(self, trunk: str, servers: Collection[Address]) -> None:
        """Accept the addresses where a trunk's requests go."""
        if trunk in self._trunks:
            self._trunks[trunk].servers = frozenset(servers)

    @contextmanager
    def placing(self, trunk: str) -> Iterator[None]:
        """The call that is begun within this block is placed over this trunk."""
        self._placing, known = trunk, set(self._placed)
        try:
            yield
        except BaseException:
            for key in self._placed.keys() - known:
                del self._placed[key]
            raise
        finally:
            self._placing = ""

    def expect(self, call_id: str, trunk: str) -> None:
        """Accept the Call-ID of a call that was placed; its INVITE may wait for a look-up."""
        if trunk and all(known != call_id for known, _ in self._placed):
            _keep(self._expected, call_id, trunk)

    def ended(self, call_id: str) -> None:
        """Forget a call."""
        self._expected.pop(call_id, None)
        for key in [key for key in self._placed if key[0] == call_id]:
            del self._placed[key]

    @property
    def is_placing(self) -> bool:
        """A call over a trunk is being placed: its INVITE must be shown to `leaving`."""
        return bool(self._placing or self._expected)

    def leaving(self, request: SipRequest) -> None:
        """See an INVITE or REGISTER of ours before it is sent."""
        sender = _name_addr(request.header("from"))
        if sender and request.method == "REGISTER":
            own = (sender.uri.user, _target(request.uri))
            for name, trunk in self._trunks.items():
                if trunk.registers and own == _own(trunk.config):
                    _keep(self._registering, _key(request, sender), name)
        if request.method != "INVITE" or not sender or not _is_initial(request):
            return
        trunk_name = self._placing or self._expected.pop(request.header("call-id"), "")
        if trunk_name:
            key = _key(request, sender)
            self._placed.setdefault(key, (trunk_name, _cseq(request)[0]))

    def challenged(
        self, answer: SipRequest, source: str, challenges: Sequence[Challenge]
    ) -> list[bool]:
        """Return which challenges of a 401 or 407 the library may see; none = it is final."""
        cseq, method = _cseq(answer)
        trunk = self._trunk_of(answer, method)
        call_id = answer.header("call-id")
        kept: list[bool] = []
        realms: set[str] = set()
        for challenge in challenges:
            why = self._objection(trunk, answer, source, challenge)
            key = (call_id, method, challenge.realm, challenge.nonce)
            if not why and self._tried.get(key) == cseq - 1:
                why = WRONG
            if why:
                self._on_final(trunk.config.name if trunk else "", challenge.realm, why)
            elif trunk and challenge.realm not in realms:  # the first of a realm is preferred
                realms.add(challenge.realm)
                _keep(self._asked, (trunk.config.name, challenge.realm, challenge.nonce), challenge)
                _keep(self._tried, key, cseq)
                kept.append(True)
                continue
            kept.append(False)
        return kept

    def sign(self, request: SipRequest, destination: Address, proof: Proof) -> Signature | None:
        """Prove the password of the trunk that a request is about; None = nothing may be proved."""
        trunk = self._trunk_of(request, request.method)
        if trunk is None or not self._is_towards(trunk, request, destination):
            return None
        asked = self._asked.get((trunk.config.name, proof.realm, proof.nonce))
        if asked is None or (asked.qop and not (proof.cnonce and proof.nc)):
            return None
        return _signature(trunk.config, asked, request, proof)

    def _trunk_of(self, message: SipRequest, method: str) -> _Trunk | None:
        sender = _name_addr(message.header("from"))
        if sender is None:
            return None
        key = _key(message, sender)
        if method == "REGISTER":
            return self._trunks.get(self._registering.get(key, ""))
        name, _ = self._placed.get(key, ("", 0))
        return self._trunks.get(name)

    def _objection(
        self, trunk: _Trunk | None, answer: SipRequest, source: str, challenge: Challenge
    ) -> str:
        """Return why a challenge is final; empty = it may be answered."""
        if trunk is None:
            return NO_TRUNK
        if not self._is_from(trunk, source):
            return ELSEWHERE
        if not challenge.is_known:
            return UNKNOWN_KIND
        return "" if self._is_realm_of(trunk, answer, challenge.realm) else OTHER_REALM

    def _is_from(self, trunk: _Trunk, source: str) -> bool:
        if self._edge_addresses is not None:
            return source in self._edge_addresses()
        return any(source == address for address, _ in trunk.servers)

    def _is_realm_of(self, trunk: _Trunk, answer: SipRequest, realm: str) -> bool:
        if trunk.config.realm:
            return realm == trunk.config.realm
        if _cseq(answer)[1] == "REGISTER" or (not trunk.registers and self._is_first(answer)):
            # Only the trunk's server is asked so: a registrar, or the target of a new call.
            others = [known for known in trunk.realms if known != realm]
            trunk.realms = (realm, *others)[:_REALMS]
        return realm in trunk.realms

    def _is_first(self, answer: SipRequest) -> bool:
        """The answer is to the very INVITE that began a call."""
        sender = _name_addr(answer.header("from"))
        begun = self._placed.get(_key(answer, sender)) if sender else None
        return begun is not None and _cseq(answer) == (begun[1], "INVITE")

    def _is_towards(self, trunk: _Trunk, request: SipRequest, destination: Address) -> bool:
        if self._edge_addresses is None:
            return destination in trunk.servers
        if destination[0] not in self._edge_addresses():
            return False
        # The edge passes it on to where it says, and proofs within calls to trunks only.
        return not _is_initial(request) or _target(request.uri) == _own(trunk.config)[1]


def _signature(
    config: TrunkConfig, asked: Challenge, request: SipRequest, proof: Proof
) -> Signature:
    """RFC 7616 section 3.4.1 to 3.4.3."""
    algorithm = asked.algorithm.upper()
    name = _HASHES[algorithm.removesuffix("-SESS") or "MD5"]

    def digest(text: str) -> str:
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    user = config.auth_user or config.user
    secret = digest(f"{user}:{proof.realm}:{config.password.get_secret_value()}")
    if algorithm.endswith("-SESS"):
        secret = digest(f"{secret}:{proof.nonce}:{proof.cnonce}")
    qop = asked.chosen_qop or ""
    action = f"{request.method}:{proof.uri}"
    if qop == "auth-int":
        action += f":{digest(request.body)}"
    middle = f"{proof.nonce}:{proof.nc}:{proof.cnonce}:{qop}" if qop else proof.nonce
    return Signature(digest(f"{secret}:{middle}:{digest(action)}"), asked.algorithm, qop)


def _own(config: TrunkConfig) -> tuple[str, tuple[str, int]]:
    """Return the user and the (host, port) of a trunk's account."""
    return config.user, _target(f"sip:{config.server}")


def _target(uri: str) -> tuple[str, int]:
    try:
        found = parse_uri(uri)
    except ValueError:
        return "", 0
    return found.host, found.port or 5060


def _name_addr(text: str) -> NameAddr | None:
    try:
        return parse_name_addr(text)
    except ValueError:
        return None


def _key(message: SipRequest, sender: NameAddr) -> tuple[str, str]:
    return message.header("call-id"), _tag(sender)


def _tag(party: NameAddr) -> str:
    return party.parameters.get("tag", "")


def _is_initial(request: SipRequest) -> bool:
    """A request of ours that begins a dialog: its To has no tag."""
    to = _name_addr(request.header("to"))
    return to is not None and not _tag(to)


def _cseq(message: SipRequest) -> tuple[int, str]:
    number, _, method = message.header("cseq").strip().partition(" ")
    return (int(number) if number.isdecimal() else 0), method.strip()


def _keep(table: OrderedDict[_K, _V], key: _K, value: _V) -> None:
    """Remember up to a limit."""
    table[key] = value
    table.move_to_end(key)
    while len(table) > _REMEMBERED:
        table.popitem(last=False)
