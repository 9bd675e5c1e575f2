"""Who may start a call: one pure decision per request, before the library allocates."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.sip.digest import DigestRealm, Verdict
from gateway.sip.message import SipRequest, ambiguity
from gateway.sip.offer import descriptions, offered_codecs, structure_fault
from gateway.sip.strangers import Strangers

_KNOWN = frozenset(
    {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "PRACK", "INFO", "NOTIFY"}
)
_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, NOTIFY"
_OFFERING = frozenset({"INVITE", "UPDATE"})
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Admit:
    """Let the library handle it."""

    user: str = ""
    """Who authenticated, if anybody had to."""
    is_stranger: bool = False
    """Nobody vouches for this caller: see `strangers`."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer at once with a final response."""

    rule: str
    """The configuration key or limit that refused it: in log, record and Warning header."""
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()
    is_challenge: bool = False
    """A 401 that a well-behaved caller will answer: not a refused call yet."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """Drop it silently: an answer would help a flood more than it would help a caller."""

    rule: str = ""
    """The limit or rule that it broke; empty = no SIP request at all."""


Decision = Admit | Refuse | Ignore


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """What `[sip]` says about callers, and how full we are."""

    networks: tuple[Network, ...]
    trunk_networks: Callable[[], Iterable[Network]]
    """Addresses of the trunks, looked up when asked."""
    realm: DigestRealm | None
    strangers: Strangers
    codecs: tuple[str, ...]
    max_calls: int
    retry_after_s: int
    session_min_s: int
    active_calls: Callable[[], int]
    is_draining: Callable[[], bool]

    def flooded(self, source: str, now_s: float) -> Ignore | None:
        """Count a request from IP address `source` at monotonic time `now_s`, before it is read."""
        if self._is_trusted(source):
            return None
        rule = self.strangers.over_rate(source, now_s)
        return Ignore(rule) if rule else None

    def decide(self, request: SipRequest, source: str, now_s: float) -> Decision:
        """Judge a request from IP address `source` at wall time `now_s`."""
        if not request.is_initial and request.method in _OFFERING:
            # The library would answer 500; the call goes on as it was (RFC 3261 section 14.2).
            return self._media(request) or Admit()
        if request.method == "OPTIONS" and self.is_draining():
            return self._room() or Admit()  # the probe of an edge: it sends no more calls
        if request.method != "INVITE":
            return Admit()
        who = self._authenticate(request, source, now_s)
        if isinstance(who, Refuse):
            return who
        return (
            _takeover(request)
            or self._room()
            or self._share(who, source)
            or self._session(request)
            or self._media(request)
            or who
        )

    def _authenticate(self, request: SipRequest, source: str, now_s: float) -> Admit | Refuse:
        if self._is_trusted(source):
            return Admit()
        if _is_in(source, self.networks):
            return Admit(is_stranger=True)
        if self.realm is None:
            return Refuse("sip.allow_sources", 403, "Source not allowed")
        return self._check_password(self.realm, request, source, now_s)

    def _check_password(
        self, realm: DigestRealm, request: SipRequest, source: str, now_s: float
    ) -> Admit | Refuse:
        if not self.strangers.may_try_password(source, now_s):
            rule = "sip.strangers.wrong_passwords_per_minute"
            return Refuse(rule, 403, "Too many wrong passwords")
        offered = request.header("authorization")
        verdict, user = realm.verify(offered, request.method, now_s)
        if verdict is Verdict.RIGHT:
            return Admit(user)
        if verdict is Verdict.WRONG:
            self.strangers.wrong_password(source, now_s)
            return Refuse("sip.users", 403, "Wrong user or password")
        stale = verdict is Verdict.STALE
        challenges = realm.challenges(now_s, stale=stale)
        headers = tuple(("WWW-Authenticate", value) for value in challenges)
        return Refuse("sip.users", 401, "Unauthorized", headers, is_challenge=True)

    def _is_trusted(self, source: str) -> bool:
        """Tell whether somebody vouches for an address: `0.0.0.0/0` allows all and knows none."""
        narrow = (network for network in self.networks if network.prefixlen)
        return _is_in(source, (*narrow, *self.trunk_networks()))

    def _share(self, who: Admit, source: str) -> Refuse | None:
        rule = self.strangers.over_share(source) if who.is_stranger else ""
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


def unfit(request: SipRequest) -> Refuse | Ignore | None:
    """Say what to do with what the library cannot take or could read otherwise; None = it is fit.

    To be asked before the library's transactions see the request.
    """
    if request.is_initial and request.method.upper() == "ACK":
        # Acknowledges nothing.  Where it looks like a merged request (RFC 3261 section 8.2.2.2) the
        # library would answer it with 482, and abort the process over answering an ACK.
        return Ignore("sip.syntax")
    if unclear := ambiguity(request):
        return Refuse("sip.syntax", 400, f"Bad request: {unclear}")
    for description in descriptions(request):
        if fault := structure_fault(description):
            return _bad_description(request, fault)
    if request.method not in _KNOWN and request.is_initial:
        return Refuse("sip.methods", 405, "Method Not Allowed", (("Allow", _ALLOW),))
    return None


def _bad_description(request: SipRequest, fault: str) -> Refuse | Ignore:
    """An answer of the peer in an ACK can only be dropped: the call then ends without one."""
    if request.method.upper() == "ACK":
        return Ignore("sdp")
    return Refuse("sdp", 400, f"Bad SDP: {fault}")


def _takeover(request: SipRequest) -> Refuse | None:
    """Refuse a call that wants the place of another (RFC 3891): the library would let it."""
    if "replaces" not in request.headers:
        return None
    headers = (("Unsupported", "replaces"),)
    return Refuse("sip.replaces", 420, "Calls cannot be replaced", headers)
