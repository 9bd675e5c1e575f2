"""RtpGuard: keeps packets of other senders out of one call's RTP sockets."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from gateway.call.line import MediaStatistics
from gateway.sip import pj
from gateway.sip.rtp_sockets import RtpSockets
from gateway.sip.rtp_source import Address, Rule, SourceChange, SourceWatch

_SRTP = 1 << 14  # PJMEDIA_TP_PROFILE_SRTP (pjmedia/types.h)


class RtpGuard:
    """Joins what is known of a call's source to the filters of its sockets.  Loop thread only."""

    def __init__(self, sockets: RtpSockets, signalling_host: str | None, relearn_s: float) -> None:
        """Accept what is known.

        Args:
            sockets: of all calls.
            signalling_host: address that the INVITE came from, empty = not known; None = we send
                it, and the address that answers come from counts.
            relearn_s: `sip.rtp_relearn_s`.
        """
        self._sockets = sockets
        self._is_ours = signalling_host is None
        self._watch = SourceWatch(signalling_host or "", relearn_s)
        self._port = 0
        """Our RTP port; RTCP has the next."""
        self._applied: tuple[Rule, ...] | None = None
        self._source_name = ""
        self._source: Address | None = None
        """Of the last packet, by that name."""
        self._report = b""
        self._foreign = 0
        """Packets dropped at ports that the call has no more."""

    def close_new(self) -> None:
        """Block all senders at sockets that the library has just opened."""
        self._sockets.close_new()

    def held(self, now_s: float) -> None:
        """The other side holds the call, and is not to send."""
        self._sockets.close_new()
        self._watch.held()
        self._apply(now_s)

    def described(self, leg: pj.Call, index: int, now_s: float) -> None:
        """Accept the outcome of an offer and answer: addresses of both sides, keys."""
        self._sockets.close_new()
        local = Address.parse(leg.getMedTransportInfo(index).localRtpName)
        info = leg.getStreamInfo(index)
        if local is not None and local.port != self._port:
            self._foreign += self._dropped()
            self._port, self._applied = local.port, None
        self._watch.described(Address.parse(info.remoteRtpAddress), now_s)
        self._watch.restarted()
        self._watch.is_protected = bool(info.proto & _SRTP)
        self._apply(now_s)

    def answered_from(self, host: str) -> None:
        """An answer to our INVITE came from an IP address."""
        if self._is_ours:
            self._watch.signalling_host = host

    def confirmed(self, now_s: float) -> None:
        """The ACK has come, or gone out."""
        self._watch.confirmed(now_s)
        self._apply(now_s)

    def look(self, leg: pj.Call, index: int, packets: int, now_s: float) -> SourceChange | None:
        """Look up the last sender; some twenty times a second.  May raise `pj.Error`."""
        name = leg.getMedTransportInfo(index).srcRtpName
        if name != self._source_name:
            self._source_name, self._source = name, Address.parse(name)
        change = self._watch.look(now_s, self._source, packets)
        self._apply(now_s)
        return change

    def is_settled(self, now_s: float) -> bool:
        """True when seldom looks will do."""
        return self._watch.is_settled(now_s)

    def close(self) -> None:
        """Block all senders: the call ends."""
        if not self._port:
            return
        self._foreign += self._dropped()
        for port in (self._port, self._port + 1):
            with suppress(LookupError):
                self._sockets.allow(port, ())
        self._port = 0  # what is dropped from now on is the caller's own

    def last_report(self, now_s: float) -> bytes:
        """Return when RTCP came last, in no particular unit."""
        report = self._sockets.last_packet(self._port + 1) if self._port else b""
        if report != self._report:
            self._report = report
            self._watch.alive(now_s)
        return report

    def completed(self, statistics: MediaStatistics) -> MediaStatistics:
        """Add what the library does not know."""
        watch = self._watch
        return replace(
            statistics,
            remote_address=str(watch.current or ""),
            signalled_address=str(watch.signalled or ""),
            source_changes=watch.changes,
            foreign_packets=self._foreign + self._dropped(),
        )

    def _dropped(self) -> int:
        return self._sockets.dropped(self._port) if self._port else 0

    def _apply(self, now_s: float) -> None:
        rules = self._watch.rules(now_s)
        if not self._port or rules == self._applied:
            return
        with suppress(LookupError):
            self._sockets.allow(self._port, rules)
            self._applied = rules
        with suppress(LookupError):  # no RTCP socket of its own
            self._sockets.allow(self._port + 1, self._watch.report_rules(now_s))
