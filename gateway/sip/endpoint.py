"""The SIP transport: places calls and accepts those that were admitted."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Protocol

import structlog

from gateway.allowance import LogLimiter
from gateway.call.line import CallFacts, End, Line
from gateway.call.transport import CallSink
from gateway.config.models import DtmfMethod, OutgoingConfig, SipConfig, TrunkConfig
from gateway.errors import CallRejected, NoCallSlot, SipError
from gateway.sip import pj
from gateway.sip.accounts import Accounts
from gateway.sip.admission import AdmissionPolicy
from gateway.sip.advertised import advertise
from gateway.sip.call import SipLine
from gateway.sip.credentials import Credentials
from gateway.sip.dialing import dial
from gateway.sip.digest import DigestRealm
from gateway.sip.edge_peer import EdgePeer
from gateway.sip.fitness import ALLOW
from gateway.sip.incoming import IncomingRequests, RequestSink
from gateway.sip.leg import Leg
from gateway.sip.lines import Lines
from gateway.sip.offer import expected_codec
from gateway.sip.origins import Origins
from gateway.sip.outgoing import OutgoingGuard
from gateway.sip.placing import Placing
from gateway.sip.received import Received
from gateway.sip.request_screen import RequestScreen
from gateway.sip.rtp_guard import RtpGuard
from gateway.sip.rtp_ports import RandomPorts
from gateway.sip.rtp_sockets import RtpSockets
from gateway.sip.running_library import RunningLibrary
from gateway.sip.trunk import Trunk, TrunkState
from gateway.sip.untrusted import UntrustedLimits
from gateway.sip.wakeup import BATCH_INTERVAL_S
from gateway.sip_uri import number_of, uri_number

log = structlog.get_logger(__name__)

_LOOK_S = 0.06
"""A look takes 50 us; with every second look at the library, after 66 ms and a bit, it is never in
step with packets of 20 ms."""


class SipSink(CallSink, RequestSink, Protocol):
    """Takes what the endpoint finds."""

    def on_outgoing_refused(self, rule: str, target: str) -> None:
        """`[outgoing]` did not let a call or transfer go out."""

    def on_trunk(self, state: TrunkState) -> None:
        """A registration changed."""


class SipEndpoint:
    """A `Transport` on one SIP port.  Every method runs on the loop thread."""

    def __init__(
        self,
        config: SipConfig,
        trunks: Iterable[TrunkConfig],
        outgoing: OutgoingConfig,
        sink: SipSink,
        edge: EdgePeer | None = None,
    ) -> None:
        """Prepare; nothing listens yet.

        Args:
            config: with this worker's own ports.
            trunks: registered with from here, unless an edge does so.
            outgoing: decides which targets may be called.
            sink: accepts calls and reports.
            edge: where all calls come from and go to.
        """
        trunks = tuple(trunks)
        self._config = config
        self._edge = edge
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._library = RunningLibrary(config, edge, self._knows, self._on_thrown_away)
        self._address = ""
        """host:port that others reach us at."""
        self._trunks = {
            t.name: Trunk(t, self._loop, sink.on_trunk, registers=edge is None) for t in trunks
        }
        self._origins = Origins(self._trunks, edge)
        self._outgoing = OutgoingGuard(outgoing, trunks, sink.on_outgoing_refused)
        self._accounts = Accounts(self._library.lib, config, edge, self)
        self._credentials = Credentials(
            trunks,
            (lambda: self._origins.edge_addresses) if edge else None,
            self._on_final_challenge,
        )
        self._lines = Lines(config.max_calls, self._library, self._outgoing, self._credentials)
        self._request_screen = RequestScreen(
            self._make_policy(), config.retry_after_s, self._loop.time, self._lines.is_within
        )
        self._requests = IncomingRequests(self._request_screen, self._origins, self, sink)
        self._log_limiter = LogLimiter()
        self._rtp_sockets = RtpSockets(*config.rtp_ports)
        self._rtp_ports = RandomPorts(*config.rtp_ports)
        self._placing = Placing(
            self._accounts,
            self._trunks,
            self._credentials,
            self.draw_ports,
            self._rtp_sockets.close_new,
        )
        self.draining = False

    async def __aenter__(self) -> SipEndpoint:
        try:
            self._start()
        except pj.Error as error:
            self._destroy()
            where = f"{self._config.bind}:{self._config.port}"
            raise SipError(500, f"cannot start SIP on {where}: {error.reason}") from error
        except BaseException:
            self._destroy()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for trunk in self._trunks.values():
            trunk.stop()
        self._accounts.shut_down()
        deadline = self._loop.time() + 2.0
        while self._library.pump_once() or (self.dialogs() and self._loop.time() < deadline):
            await asyncio.sleep(BATCH_INTERVAL_S)
        self._destroy()

    async def run(self) -> None:
        """Pump the library's events until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._library.names.run())
            if self._edge is None:
                for trunk in self._trunks.values():
                    lead = partial(self._accounts.open_trunk, trunk)
                    learn = partial(self._credentials.at, trunk.config.name)
                    group.create_task(trunk.keep_addresses(lead, learn))
            elif not self._edge.is_local:
                group.create_task(self._origins.keep_edge_addresses(self._edge))
            look_at_s = 0.0
            while True:
                handled = self._library.pump_once()
                if (now_s := self._loop.time()) >= look_at_s:
                    look_at_s = now_s + _LOOK_S
                    self._lines.watch_media()
                lines = self._lines
                await self._library.wait(
                    handled, has_calls=bool(lines), is_busy=lines.has_conversation
                )

    # --- calls ---

    def place(
        self,
        target: str,
        trunk: str = "",
        caller_id: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> SipLine:
        """Send an INVITE; the line tells what becomes of it.

        Args:
            target: SIP URI, or a number when a trunk is named.
            trunk: name of one; empty = straight to the URI.
            caller_id: number to show, empty = as the trunk is configured.
            variables: of the request that places it.

        Raises:
            OutgoingRefused: `[outgoing]` does not allow it.
            NoCallSlot: all slots are taken.
            SipError: unknown trunk or bad target.
        """
        self._outgoing.check_destination(target, trunk)
        self.make_room()
        if self.active_calls() >= self._config.max_calls:
            raise NoCallSlot(503, f"all {self._config.max_calls} call slots taken")
        if trunk and trunk not in self._trunks:
            raise SipError(404, f"no trunk named {trunk!r}")
        dialled = dial(target, self._trunks[trunk].config if trunk else None, caller_id)
        caller, uri = self._placing.caller(dialled), dialled.uri
        facts = CallFacts(
            self._sink.new_call_id(), "out", uri_number(uri) or uri, number_of(caller),
            dialled.trunk, uri, variables=variables or {},
        )  # fmt: skip
        self._outgoing.begin_call(facts.call_id, target, trunk)
        port = self._lines.take_port()
        line = SipLine(facts, port, self._loop, self._outgoing, self._guard(None))
        line.keys.method = self._dtmf(trunk)
        line.expected_codec = self._config.codecs[0]  # the first of our offer
        try:
            self._placing.begin(line, dialled)
        except pj.Error as error:
            line.on_disconnected(500, error.reason)
            self._lines.recycle(line)
            raise CallRejected(500, f"cannot call {uri}: {error.reason}") from error
        self._lines.add(line)
        return line

    def change_outgoing(self, outgoing: OutgoingConfig) -> None:
        """Judge by another `[outgoing]` from now on."""
        self._outgoing.change(outgoing)

    def release(self, line: Line) -> None:
        """Forget a call that is over; its slot is free.  Idempotent."""
        if isinstance(line, SipLine):
            self._lines.remove(line)

    # --- what can be seen ---

    @property
    def slots(self) -> int:
        """How many calls it carries at once."""
        return self._config.max_calls

    def active_calls(self) -> int:
        """Return how many slots are in use."""
        return self._lines.active_calls()

    def clock_late_s(self) -> float:
        """Return how long the media clock is overdue in calls that are up."""
        return self._lines.clock_late_s()

    def dialogs(self) -> int:
        """SIP dialogs alive."""
        return self._library.dialogs()

    def trunks(self) -> list[TrunkState]:
        """State of every trunk."""
        return [trunk.state for trunk in self._trunks.values()]

    # --- start and end ---

    def _start(self) -> None:
        self._address = self._library.start(self._requests, self._credentials)
        self._lines.open(self._loop)
        self._open_accounts()
        advertise(ALLOW.split(", "), ("100rel", "timer"))
        self.draw_ports()  # fails at once where the library is another

    def _destroy(self) -> None:
        self._lines.close()
        self._accounts.forget()
        self._library.end(awaits_answers=bool(self._trunks))

    def _open_accounts(self) -> None:
        self._accounts.open(self._address)
        if self._edge:  # it finds their servers
            for trunk in self._trunks.values():
                self._accounts.open_trunk(trunk)

    # --- events ---

    def _dtmf(self, trunk_name: str) -> DtmfMethod:
        trunk = self._trunks.get(trunk_name)
        return (trunk.config.dtmf if trunk else None) or self._config.dtmf

    def draw_ports(self) -> None:
        """Choose where the library looks for RTP ports next."""
        for number in self._accounts.numbers():
            self._rtp_ports.draw(number)

    def line_of(self, received: Received) -> SipLine | None:
        """Find the call whose dialog a request belongs to."""
        return self._lines.line_of(received)

    def is_over(self, received: Received) -> bool:
        """The dialog of a request is still there, but its call is over, or we are ending it."""
        return self._lines.is_over(received)

    def _knows(self, source: str) -> bool:
        return self._request_screen.knows(source)

    def _on_thrown_away(self, rule: str, source: str) -> None:
        self._sink.on_turned_away(rule, "", source)

    def make_room(self) -> None:
        """Delete the library's objects of calls that are over."""
        self._lines.make_room()

    def on_incoming(self, call_number: int) -> None:
        """Make a line of an admitted INVITE.  Called by the library's account callback.

        Raises:
            SipError: the call was not admitted as just this transaction; it is refused.
        """
        admitted = self._requests.admitted.take()
        if admitted is None:
            raise SipError(403, "a call without admission")
        request, received = admitted.request, admitted.received
        self._library.tcp.on_call(received.transport)
        origin = self._origins.of(request, received.source, received.port)
        account = self._accounts.incoming
        if account is None:  # cannot be: calls come by an account
            raise NoCallSlot(503, "no account")
        line = SipLine(
            self._origins.facts(self._sink.new_call_id(), request, origin),
            self._lines.take_port(),
            self._loop,
            self._outgoing,
            self._guard(origin.address),
        )
        line.keys.method = self._dtmf(origin.trunk)
        line.their_tag = received.from_tag
        line.expected_codec = expected_codec(request, self._config.codecs)
        if admitted.admit.is_untrusted:
            line.is_untrusted, line.ack_timeout_s = True, self._config.untrusted.ack_timeout_s
        leg = Leg(account, line, call_number)
        line.bind(leg)
        self._lines.add(line)
        try:
            self._rtp_sockets.close_new()
            self._sink.on_incoming(line)
        except BaseException:
            # Not now: the library aborts the process where a call ends within this callback.
            self._loop.call_soon(self._give_up, line)
            raise

    def _give_up(self, line: SipLine) -> None:
        """End a call that no conversation has accepted."""
        line.hang_up_nowait(End("crashed"))
        self.release(line)

    def on_registration(
        self, trunk_name: str, status: int, reason: str, expires_s: int, retry_after_s: int
    ) -> None:
        """Pass a REGISTER's outcome to its trunk."""
        if trunk_name in self._trunks:
            self._trunks[trunk_name].on_registration(status, reason, expires_s, retry_after_s)

    def _on_final_challenge(self, trunk: str, realm: str, why: str) -> None:
        if self._log_limiter.passes("challenge", self._loop.time()):
            log.warning("challenge_not_answered", trunk=trunk, realm=realm[:80], reason=why)

    def _guard(self, signalling_host: str | None) -> RtpGuard:
        if self._edge and signalling_host is None:
            signalling_host = ""  # all answers come from the edge
        return RtpGuard(self._rtp_sockets, signalling_host, self._config.rtp_relearn_s)

    def _make_policy(self) -> AdmissionPolicy:
        config = self._config
        users = {name: secret.get_secret_value() for name, secret in config.users.items()}
        networks = [ipaddress.ip_network(text, strict=False) for text in config.allow_sources]
        if self._edge:  # it has judged already
            networks, users = [], {}
        elif not networks and ipaddress.ip_address(config.bind).is_loopback and not config.users:
            networks = [ipaddress.ip_network("127.0.0.0/8")]
        return AdmissionPolicy(
            networks=tuple(networks),
            trunk_networks=self._origins.trunk_networks,
            realm=DigestRealm(config.realm, users, os.urandom(32)) if users else None,
            untrusted=UntrustedLimits(config.untrusted, self._lines.untrusted_slots),
            codecs=config.codecs,
            max_calls=config.max_calls,
            retry_after_s=config.retry_after_s,
            session_min_s=config.session_min_s,
            active_calls=self._lines.active_calls,
            is_draining=lambda: self.draining,
            transports=config.transports,
            edge_word=self._origins.edge_word if self._edge else None,
        )
