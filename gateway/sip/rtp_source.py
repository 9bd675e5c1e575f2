"""SourceWatch: the source of RTP that a call accepts, and so the target of its own.  Pure.

The library follows any source that has sent ten packets (symmetric RTP), at any time.  Here the
source is learned once, by likelihood, and kept; `rules` lists what the kernel lets through, and
nothing else reaches the library.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_HOST_AFTER_S = 1.0
"""How long to wait for the described address and port, unless a NAT is likely."""
_ANY_SOURCE_AFTER_S = 3.0
_ANY_SOURCE_UNTIL_S = 15.0
"""Start and end, after the ACK, of the time in which any source may be learned."""
_CERTAIN = 2
"""Likelihood of an address that was described, and is at a host of the call."""
_REBIND_S = 3.0
"""Silence after which a source may have a new port at its NAT."""


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address and a UDP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """Read `host:port`; None for what is no IPv4 address and port, or is no host's."""
        host, _, port = text.rpartition(":")
        try:
            address = ipaddress.IPv4Address(host)
        except ValueError:
            return None
        if address.is_unspecified or not port.isdecimal() or not 0 < int(port) < 65536:
            return None
        return cls(host, int(port))

    def __str__(self) -> str:
        """Format as `host:port`."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Packets that may pass: of this host (empty = any) and port (0 = any)."""

    host: str = ""
    port: int = 0


ANY_SOURCE = (Rule(),)


@dataclass(frozen=True, slots=True)
class SourceChange:
    """The call is led by packets from another address now."""

    address: Address
    reason: str
    """`signalled`: as described; `learned`: another, found at the beginning; `moved`: after a
    silence."""


class SourceWatch:
    """Follows one call.  Times are seconds on any steady clock."""

    def __init__(self, signalling_host: str, relearn_s: float) -> None:
        """Accept what is known before there are media.

        Args:
            signalling_host: address that the INVITE, or the answer to ours, came from; empty = not
                known (yet).
            relearn_s: silence after which any source may follow; 0 = never.
        """
        self.signalling_host = signalling_host
        self._relearn_s = relearn_s
        self.signalled: Address | None = None
        """Where the other side's description says that it is."""
        self.current: Address | None = None
        """The source whose packets are accepted; None before the first packet."""
        self._home: Address | None = None
        """The likeliest learned or described source: it gets the call back by sending."""
        self.changes = 0
        """How often that was another one than before."""
        self.is_protected = False
        """SRTP: the key identifies the sender, at any address."""
        self._is_held = False
        """The other side is not to send: no new source is learned."""
        self._is_resuming = False
        """It is to send again, and has not yet: a NAT may have forgotten its port meanwhile."""
        self._open_s: float | None = None
        """When the ACK, or a description with another address, came."""
        self._heard_s = 0.0
        self._packets = 0

    def confirmed(self, now_s: float) -> None:
        """Begin to learn: the call has been acknowledged."""
        if self._open_s is None:
            self._open_s = now_s

    def held(self) -> None:
        """The other side holds the call: no source is learned meanwhile."""
        self._is_held = True

    def described(self, address: Address | None, now_s: float) -> None:
        """Accept the address of a new description; a changed one is learned anew."""
        if self._is_held:
            self._is_held, self._is_resuming = False, self.current is not None
            self._heard_s = now_s  # the silence before was no sign of anything
        if address == self.signalled:
            return
        first = self.signalled is None and self.current is None
        self.signalled, self.current, self._home = address, None, None
        if not first or self._open_s is not None:
            self._open_s = now_s

    def restarted(self) -> None:
        """Count packets from zero: there is a new stream."""
        self._packets = 0

    def alive(self, now_s: float) -> None:
        """Note the arrival of RTCP."""
        self._heard_s = now_s

    def look(self, now_s: float, source: Address | None, packets: int) -> SourceChange | None:
        """Accept the source of the last packet, and how many packets of the stream were taken.

        Returns:
            The source that the call follows now, if it has changed.
        """
        grew, self._packets = packets > self._packets, packets
        if not grew:
            return None
        self._heard_s = now_s
        if self._is_held:
            return None
        self._is_resuming = False
        if source is None or source == self.current:
            return None
        if self.is_protected and self.current is not None and source != self.signalled:
            return None  # the last packet need not be one of those that were taken
        before, self.current = self.current, source
        if self._home is None or self._likelihood(source) > self._likelihood(self._home):
            self._home = source
        if before is not None:
            self.changes += 1
        if source == self.signalled:
            return SourceChange(source, "signalled")
        return SourceChange(source, "learned" if before is None else "moved")

    def is_settled(self, now_s: float) -> bool:
        """True when it is the described one or was learned long ago: what changes takes seconds."""
        if self.current is None or self._open_s is None or self._is_resuming:
            return False
        is_described = self._likelihood(self.current) == _CERTAIN
        return is_described or now_s - self._open_s >= _ANY_SOURCE_UNTIL_S

    def rules(self, now_s: float) -> tuple[Rule, ...]:
        """Return from which sources packets may pass now."""
        if self.is_protected:
            return ANY_SOURCE
        addresses = (self.signalled, self.current, self._home)
        known = [Rule(a.host, a.port) for a in addresses if a is not None]
        age_s = 0.0 if self._open_s is None else now_s - self._open_s
        if self._is_held:
            return tuple(dict.fromkeys(known))
        if self._open_s is not None and self.current is None:
            if _ANY_SOURCE_AFTER_S <= age_s < _ANY_SOURCE_UNTIL_S:
                return ANY_SOURCE
            if age_s >= _HOST_AFTER_S or self._is_nat_likely:
                known += self._hosts()
            return tuple(dict.fromkeys(known))
        if self.current is not None:
            if not self._likelihood(self.current):
                known += self._hosts()  # with an address that the caller did not have yet
            quiet_s = now_s - self._heard_s
            if self._relearn_s and quiet_s >= self._relearn_s:
                return ANY_SOURCE
            if quiet_s >= _REBIND_S or self._is_resuming:
                known += [*self._hosts(), Rule(self.current.host)]
        return tuple(dict.fromkeys(known))

    def report_rules(self, now_s: float) -> tuple[Rule, ...]:
        """Return from which sources RTCP may pass: the same hosts, from any port.

        Where any RTP may pass, RTCP of a new host waits for its RTP: the library sends its own
        reports to any source that has sent three, and does not come back by RTP.
        """
        rules = self.rules(now_s)
        if rules == ANY_SOURCE and not self.is_protected:
            known = [a for a in (self.signalled, self.current, self._home) if a is not None]
            rules = (*(Rule(address.host) for address in known), *self._hosts())
        return tuple(dict.fromkeys(Rule(rule.host) for rule in rules))

    @property
    def _is_nat_likely(self) -> bool:
        return self.signalled is None or self.signalled.host != self.signalling_host

    def _likelihood(self, address: Address) -> int:
        """Rank an address: `_CERTAIN` = described, 1 = at a host of it or of SIP, 0 = others."""
        return (address == self.signalled) + (Rule(address.host) in self._hosts())

    def _hosts(self) -> list[Rule]:
        hosts = [self.signalled.host] if self.signalled else []
        return [Rule(host) for host in (*hosts, self.signalling_host) if host]
