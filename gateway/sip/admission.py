"""Decide which requests may start a call: one pure decision each, before the library allocates."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.sip.decision import Admit, Decision, Ignore, Refuse
from gateway.sip.digest import DigestRealm, Verdict, proved_uri
from gateway.sip.edge_peer import Origin
from gateway.sip.message import SipRequest
from gateway.sip.offer import (
    descriptions,
    offered_codecs,
)
from gateway.sip.untrusted import UntrustedLimits
from gateway.sip_uri import members, parse_name_addr, parse_uri

_ABOUT_TRANSACTIONS = frozenset({"ACK", "CANCEL"})
_OFFERING = frozenset({"INVITE", "UPDATE"})
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """What `[sip]` says about callers, and how full we are."""

    networks: tuple[Network, ...]
    trunk_networks: Callable[[], Iterable[Network]]
    """Addresses of the trunks, looked up when asked."""
    realm: DigestRealm | None
    untrusted: UntrustedLimits
    codecs: tuple[str, ...]
    max_calls: int
    retry_after_s: int
    session_min_s: int
    active_calls: Callable[[], int]
    is_draining: Callable[[], bool]
    transports: tuple[str, ...] = ("udp", "tcp")
    """By which requests of ours can reach a caller."""
    edge_word: Callable[[SipRequest, str, int], Origin | None] | None = None
    """The origin of a new call as the edge in front of us names it; None without an
    edge.  Behind one, no other source may bring calls."""

    def flooded(self, source: str, now_s: float, dialog: str = "") -> Ignore | None:
        """Count a request, before it is read.

        Args:
            source: IP address that it comes from.
            now_s: monotonic.
            dialog: Call-ID of the call that it belongs to, tags and all; empty for none.  A source
                in a call has limits of its own, apart from those of untrusted sources.
        """
        if self.is_trusted(source):
            return None
        if dialog:
            rule = self.untrusted.over_dialog_rate(dialog, now_s)
        else:
            rule = self.untrusted.over_rate(source, now_s)
        return Ignore(rule) if rule else None

    def decide(self, request: SipRequest, source: str, port: int, now_s: float) -> Decision:
        """Judge a request from IP address `source` and its port at wall time `now_s`."""
        if not request.is_initial and request.method in _OFFERING:
            # The library would answer 500; the call goes on as it was (RFC 3261 section 14.2).
            return _moved_away(request, self.transports) or self._media(request) or Admit()
        if request.method != "INVITE" or not request.is_initial:
            return self._no_call(request, source)
        caller: Admit | Refuse
        if self.edge_word:
            origin = self.edge_word(request, source, port)
            if origin is None:
                return Refuse("workers.edge", 403, "Calls come by the edge")
            caller, source = Admit(is_untrusted=origin.is_untrusted), origin.address
        else:
            caller = self._authenticate(request, source, now_s)
        if isinstance(caller, Refuse):
            return caller
        return (
            _takeover(request)
            or _unreachable(request, self.transports)
            or self._room()
            or self._share(caller, source)
            or self._session(request)
            or self._media(request)
            or caller
        )

    def _no_call(self, request: SipRequest, source: str) -> Decision:
        if not request.is_initial or request.method in _ABOUT_TRANSACTIONS:
            return Admit()  # the library knows its dialogs and transactions; others it refuses
        if request.method == "OPTIONS":
            if not self._may_call(source):
                return Ignore("sip.allow_sources")
            # The probe of an edge, which sends no more calls to a draining worker.
            return (self._room() if self.is_draining() else None) or Admit()
        return Refuse("sip.dialog", 481, "Call/Transaction Does Not Exist")

    def _may_call(self, source: str) -> bool:
        return self.is_trusted(source) or _is_in(source, self.networks)

    def _authenticate(self, request: SipRequest, source: str, now_s: float) -> Admit | Refuse:
        if self.is_trusted(source):
            return Admit()
        if _is_in(source, self.networks):
            return Admit(is_untrusted=True)
        if self.realm is None:
            return Refuse("sip.allow_sources", 403, "Forbidden")
        return self._check_password(self.realm, request, source, now_s)

    def _check_password(
        self, realm: DigestRealm, request: SipRequest, source: str, now_s: float
    ) -> Admit | Refuse:
        if not self.untrusted.may_try_password(source, now_s):
            rule = "sip.untrusted.wrong_passwords_per_minute"
            return Refuse(rule, 403, "Forbidden")
        offered = realm.addressed(request.headers.get("authorization", ()))
        call = f"{source}\n{request.header('call-id')}\n{request.uri}"
        verdict, user = realm.verify(offered, request.method, now_s, call)
        if verdict is Verdict.RIGHT:
            if _is_for_another(proved_uri(offered), request.uri):
                return Refuse("sip.users", 400, "Authorization is for another Request-URI")
            return Admit(user)
        if verdict is Verdict.WRONG:
            self.untrusted.wrong_password(source, now_s)
            return Refuse("sip.users", 403, "Forbidden")
        stale = verdict is Verdict.STALE
        challenges = realm.challenges(now_s, call, stale=stale)
        headers = tuple(("WWW-Authenticate", value) for value in challenges)
        return Refuse("sip.users", 401, "Unauthorized", headers, is_challenge=True)

    def is_trusted(self, source: str) -> bool:
        """Return whether an address is trusted: `0.0.0.0/0` allows all and trusts none."""
        narrow = (network for network in self.networks if network.prefixlen)
        return _is_in(source, (*narrow, *self.trunk_networks()))

    def _share(self, caller: Admit, source: str) -> Refuse | None:
        rule = self.untrusted.over_share(source) if caller.is_untrusted else ""
        if not rule:
            return None
        retry = (("Retry-After", str(self.retry_after_s)),)
        return Refuse(rule, 503, "Too many calls from unknown callers", retry)

    def _room(self) -> Refuse | None:
        retry = (("Retry-After", str(self.retry_after_s)),)
        if self.is_draining():
            return Refuse("draining", 503, "Shutting down", retry)
        if self.active_calls() >= self.max_calls:
            return Refuse("sip.max_calls", 503, f"All {self.max_calls} call slots taken", retry)
        return None

    def _session(self, request: SipRequest) -> Refuse | None:
        """Refuse session timers that would refresh all the time (RFC 4028 section 9)."""
        wanted = request.header("session-expires").partition(";")[0].strip()
        if not wanted.isdecimal() or "timer" not in request.header("supported").lower():
            return None
        if len(wanted) > 9 or int(wanted) >= self.session_min_s:
            return None
        headers = (("Min-SE", str(self.session_min_s)),)
        return Refuse("sip.session_min_s", 422, "Session Interval Too Small", headers)

    def _media(self, request: SipRequest) -> Refuse | None:
        found = descriptions(request)
        if not found:
            return None
        try:
            offered = offered_codecs(found[0])
        except ValueError as error:
            return Refuse("sdp", 400, f"Bad SDP: {error}")
        if offered is None:
            return Refuse("sdp", 488, "No audio in the offer")
        if not set(offered) & set(self.codecs):
            return Refuse("sip.codecs", 488, f"No common codec, offered {' '.join(offered)[:60]}")
        return None


def _is_in(source: str, networks: Iterable[Network]) -> bool:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _is_for_another(proved: str, uri: str) -> bool:
    """Return whether a digest was made for a call to another target (RFC 7616 section 3.4.6).

    Hosts may differ: proxies rewrite them.  So may all where it names no user (RFC 3261 section
    22.4): some clients prove the server's address only.
    """
    try:
        users = parse_uri(proved).user, parse_uri(uri).user
    except ValueError:
        return False
    return bool(users[0]) and users[0] != users[1]


def _unreachable(request: SipRequest, transports: tuple[str, ...]) -> Refuse | None:
    """Refuse a caller that no request of ours would reach: the library would answer 500."""
    hops = request.headers.get("record-route") or request.headers.get("contact", ())
    try:
        hop = parse_name_addr(next(members(hops), "")).uri
    except ValueError:
        return None  # the library's to refuse
    if hop.scheme == "sips":
        return Refuse("sip.transports", 416, "Unsupported URI Scheme")
    transport = hop.parameters.get("transport", "").lower()
    if transport and transport not in transports:
        return Refuse("sip.transports", 400, "Contact has a transport that is not served")
    return None


def _moved_away(request: SipRequest, transports: tuple[str, ...]) -> Refuse | None:
    """Refuse a request within a call that would lead our next ones where none can be sent.

    Not where proxies stand between: the next request goes to them, whatever the Contact says.
    """
    hops = sum(1 for _ in members(request.headers.get("via", ())))
    return _unreachable(request, transports) if hops < 2 else None


def _takeover(request: SipRequest) -> Refuse | None:
    """Refuse a call that wants the place of another (RFC 3891): the library would let it."""
    if "replaces" not in request.headers:
        return None
    headers = (("Unsupported", "replaces"),)
    return Refuse("sip.replaces", 420, "Calls cannot be replaced", headers)
