"""The SIP library's life: start, the event pump on the loop, transports, accounts, slots, end."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Protocol

import structlog

from gateway.allowance import Muffler
from gateway.config.models import OutgoingConfig, SipConfig, TrunkConfig
from gateway.conversation.line import CallFacts
from gateway.errors import CallRejected, NoCallSlot, SipError
from gateway.sip import pj
from gateway.sip.admission import AdmissionPolicy, Admit, Decision, Ignore, Network, Refuse
from gateway.sip.call import Leg, SipLine
from gateway.sip.digest import DigestRealm
from gateway.sip.edge_peer import EdgePeer, Origin
from gateway.sip.gate import Gate
from gateway.sip.library import (
    EVERYWHERE,
    LibraryLog,
    account_settings,
    library_settings,
    set_codecs,
    transport_settings,
)
from gateway.sip.media_port import CallMediaPort
from gateway.sip.message import SipRequest, parse_request, uri_user
from gateway.sip.native import RequestFilter, limit_transactions, quiet_library
from gateway.sip.outgoing import OutgoingGuard
from gateway.sip.strangers import HeldSlot, Strangers
from gateway.sip.trunk import Trunk, TrunkState
from gateway.sip.wakeup import BREATH_S, Wakeup
from gateway.threads import monotonic_ns

log = structlog.get_logger(__name__)

_LOOK_S = 0.045
"""A look takes 50 us; 45 ms and a bit is never in step with packets of 20 ms."""
_EVENTS_PER_PUMP = 64
_NEXT_PORT = re.compile(r"RTP socket bind\(\) .*Address already in use")
"""What it says when a call has the RTP port that it tries first; it takes the next."""


class CallSink(Protocol):
    """Who takes what the endpoint finds."""

    def on_incoming(self, line: SipLine) -> None:
        """A call was admitted; somebody must answer or refuse it."""

    def on_refused(self, facts: CallFacts, refusal: Refuse) -> None:
        """A call was refused before it got a slot."""

    def on_turned_away(self, rule: str, method: str, source: str) -> None:
        """Another request was refused, or any was dropped unread (`method` is empty then)."""

    def on_outgoing_refused(self, rule: str, target: str) -> None:
        """`[outgoing]` did not let a call or transfer go out."""

    def on_trunk(self, state: TrunkState) -> None:
        """A registration changed."""

    def new_call_id(self) -> str:
        """Make an id for a call."""


class SipEndpoint:
    """One pjsua2 library on one port.  Every method runs on the loop thread."""

    def __init__(
        self,
        config: SipConfig,
        trunks: Iterable[TrunkConfig],
        outgoing: OutgoingConfig,
        sink: CallSink,
        edge: EdgePeer | None = None,
    ) -> None:
        """Prepare; nothing listens yet.

        Args:
            config: with this worker's own ports.
            trunks: registered with from here, unless an edge does so.
            outgoing: who may be called.
            sink: who takes calls and news.
            edge: where all calls come from and go to.
        """
        trunks = tuple(trunks)
        self._config = config
        self._edge = edge
        self._edge_addresses: tuple[str, ...] = (edge.host,) if edge and edge.is_local else ()
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._lib = pj.Endpoint()
        self._log = LibraryLog()
        self._lines: set[SipLine] = set()
        self._address = ""
        """host:port that others reach us at."""
        self._free_ports: list[CallMediaPort] = []
        self._ports: list[CallMediaPort] = []
        self._trunks = {
            t.name: Trunk(t, self._loop, sink.on_trunk, registers=edge is None) for t in trunks
        }
        self._outgoing = OutgoingGuard(outgoing, trunks, sink.on_outgoing_refused)
        self._accounts: dict[str, _Account] = {}
        self._filter: RequestFilter | None = None
        self._gate = Gate(self._make_policy(), config.retry_after_s, self._loop.time)
        self._refused_messages: deque[tuple[CallFacts, Refuse]] = deque()
        self._admitted = Admit()
        """The last decision for a call: the library hands it over before it takes another."""
        self._muffler = Muffler()
        self._wakeup: Wakeup | None = None
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
        for account in self._accounts.values():
            account.shutdown()
        self._accounts.clear()
        deadline = self._loop.time() + 2.0
        while self._pump_once() or (self.dialogs() and self._loop.time() < deadline):
            await asyncio.sleep(BREATH_S)
        self._destroy()

    async def run(self) -> None:
        """Pump the library's events until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._edge is None:
                for trunk in self._trunks.values():
                    open_trunk = partial(self._open_trunk, trunk)
                    group.create_task(trunk.keep_addresses(open_trunk))
            elif not self._edge.is_local:
                group.create_task(self._keep_edge_addresses(self._edge))
            look_at_s = 0.0
            while True:
                handled = self._pump_once()
                if (now_s := self._loop.time()) >= look_at_s:
                    look_at_s = now_s + _LOOK_S
                    for line in self._lines:
                        line.watch_delay(now_s * 1000)
                if handled or self._wakeup is None:
                    await asyncio.sleep(BREATH_S)
                else:
                    await self._wakeup.wait(has_calls=bool(self._lines))

    # --- calls ---

    def place(self, target: str, trunk_name: str = "") -> SipLine:
        """Send an INVITE; the line tells what becomes of it.

        Args:
            target: SIP URI, or a number when a trunk is named.
            trunk_name: empty = straight to the URI.

        Raises:
            OutgoingRefused: `[outgoing]` does not allow it.
            NoCallSlot: all slots are taken.
            SipError: unknown trunk or bad target.
        """
        self._outgoing.check_destination(target, trunk_name)
        self._drop_ended_legs()
        if self.active_calls() >= self._config.max_calls:
            raise NoCallSlot(503, f"all {self._config.max_calls} call slots taken")
        if trunk_name and trunk_name not in self._trunks:
            raise SipError(404, f"no trunk named {trunk_name!r}")
        if trunk_name not in self._accounts:
            raise SipError(503, f"the server of trunk {trunk_name!r} cannot be found")
        uri = target
        if trunk_name and not target.startswith(("sip:", "sips:")):
            uri = self._trunks[trunk_name].uri(target)
        account = self._accounts[trunk_name]
        caller = uri_user(account.uri)
        facts = CallFacts(
            self._sink.new_call_id(), "out", uri_user(uri) or uri, caller, trunk_name, uri
        )
        self._outgoing.begin_call(facts.call_id, target, trunk_name)
        line = SipLine(facts, self._free_ports.pop(), self._loop, self._outgoing)
        leg = Leg(account, line)
        line.bind(leg)
        how = pj.CallOpParam(True)  # noqa: FBT003 (pjsua2's signature: use default call settings)
        how.opt.audioCount, how.opt.videoCount = 1, 0
        try:
            leg.makeCall(uri, how)
        except pj.Error as error:
            line.on_disconnected(500, error.reason)
            self._recycle(line)
            raise CallRejected(500, f"cannot call {uri}: {error.reason}") from error
        self._lines.add(line)
        return line

    def change_outgoing(self, outgoing: OutgoingConfig) -> None:
        """Judge by another `[outgoing]` from now on."""
        self._outgoing.change(outgoing)

    def release(self, line: SipLine) -> None:
        """Forget a call that is over; its slot is free."""
        self._lines.discard(line)
        self._recycle(line)

    # --- what can be seen ---

    def active_calls(self) -> int:
        """Slots in use; that of a call which is over is free while its last words are written."""
        if not self._free_ports:
            return self._config.max_calls
        counted = self._filter.active_calls() if self._filter else 0
        return max(counted, sum(line.ended is None for line in self._lines))

    def clock_late_s(self) -> float:
        """How long the media clock is overdue in calls that are up: others wait for nothing."""
        up = [line.port for line in self._lines if line.is_confirmed and line.ended is None]
        now_ns = monotonic_ns()
        return max((port.late_s(now_ns) for port in up if port is not None), default=0.0)

    def dialogs(self) -> int:
        """SIP dialogs alive."""
        return self._filter.dialogs() if self._filter else 0

    def trunks(self) -> list[TrunkState]:
        """State of every trunk."""
        return [trunk.state for trunk in self._trunks.values()]

    # --- start and end ---

    def _start(self) -> None:
        quiet_library()
        self._lib.libCreate()
        self._lib.libInit(library_settings(self._config, self._log))
        limit_transactions()
        kinds = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP}
        # Behind an edge UDP only: it knows workers by their ports.
        names = ("udp",) if self._edge else self._config.transports
        for name in names:
            settings = transport_settings(self._config, self._edge)
            number = self._lib.transportCreate(kinds[name], settings)
            self._address = self._lib.transportGetInfo(number).localName
        port = int(self._address.rpartition(":")[2])
        self._wakeup = Wakeup(port, is_udp_only=set(names) == {"udp"})
        set_codecs(self._lib, self._config.codecs)
        self._lib.libStart()
        self._lib.audDevManager().setNullDev()
        self._filter = RequestFilter(self._screen, self._judge, self._gate.may_pass)
        if self._edge or "udp" in self._config.transports:
            address = (self._edge.bind or EVERYWHERE) if self._edge else self._config.bind
            self._filter.self_test(address, self._config.port, self._pump_once)
        # Twice as many as calls: each may end and another begin before its last words are written.
        self._ports = [CallMediaPort(f"slot{i}") for i in range(2 * self._config.max_calls)]
        self._free_ports = list(self._ports)
        self._open_accounts()

    def _destroy(self) -> None:
        self._lines.clear()
        self._accounts.clear()
        self._filter = None
        self._wakeup = None
        self._free_ports.clear()
        self._ports.clear()
        self._lib.libDestroy()

    def _open_accounts(self) -> None:
        local = account_settings(self._config, self._edge)
        local.idUri = f"sip:voice-gateway@{self._address}"
        self._accounts[""] = _Account(self, "", local)
        if self._edge:  # it finds their servers
            for trunk in self._trunks.values():
                self._open_trunk(trunk)

    def _open_trunk(self, trunk: Trunk, address: str = "") -> None:
        """Make a trunk's account, or lead it to another address of its server."""
        name = trunk.config.name
        settings = trunk.account_settings(account_settings(self._config, self._edge), address)
        try:
            if name in self._accounts:
                self._accounts[name].modify(settings)
                return
            self._accounts[name] = _Account(self, name, settings)
        except pj.Error as error:
            trunk.on_registration(503, error.reason, 0)
        else:
            trunk.attach(self._accounts[name])

    # --- events ---

    def _pump_once(self) -> int:
        """Handle what is there; returns how many events that were."""
        handled = 0
        while handled < _EVENTS_PER_PUMP and self._lib.libHandleEvents(0) > 0:
            handled += 1
        for level, text in self._log.drain():
            self._log_library(level, text)
        while self._refused_messages:
            self._sink.on_refused(*self._refused_messages.popleft())
        return handled

    def _log_library(self, level: int, text: str) -> None:
        """Log what the library says; it has a warning for every broken message of a stranger."""
        if level > 2 or _NEXT_PORT.search(text):
            log.debug("sip_library", text=text)
        elif self._muffler.passes("library", self._loop.time()):
            log.warning("sip_library", text=text, not_logged=self._muffler.held_back("library"))

    def _screen(self, message: bytes, source: str, port: int) -> Decision:
        decision, request = self._gate.screen(message, source)
        self._tell(decision, request, source, port)
        return decision

    def _judge(self, message: bytes, source: str, port: int) -> Decision:
        self._drop_ended_legs()
        decision, request = self._gate.judge(message, source)
        self._tell(decision, request, source, port)
        return decision

    def _tell(self, decision: Decision, request: SipRequest, source: str, port: int) -> None:
        """Keep the decision over a call for `on_incoming`; tell of what was turned away."""
        is_call = request.is_initial and request.method == "INVITE"
        if isinstance(decision, Admit):
            self._admitted = decision if is_call else self._admitted
        elif isinstance(decision, Ignore):
            self._sink.on_turned_away(decision.rule or "sip.syntax", request.method, source)
        elif not decision.is_challenge:
            origin = self._origin(request, source, port)
            if is_call:
                self._refused_messages.append((self._facts(request, origin), decision))
            else:
                self._sink.on_turned_away(decision.rule, request.method, origin.address)

    def _drop_ended_legs(self) -> None:
        """Delete the library's objects of calls that are over, before their numbers are reused.

        A deleted `pj.Call` hangs up whatever call has its number by then.
        """
        for line in self._lines:
            line.drop_ended_leg()

    def on_incoming(self, call_number: int, trunk_name: str, rdata: pj.SipRxData) -> None:
        """Make a line of an admitted INVITE.  Called by the library's account callback."""
        request = parse_request(rdata.wholeMsg)
        source, _, port = rdata.srcAddress.rpartition(":")
        origin = self._origin(request, source, int(port))
        if self._edge is None:
            origin = replace(origin, trunk=trunk_name or self._trunk_of(source))
        account = self._accounts[trunk_name]
        if not self._free_ports:  # cannot be: the filter counts the same slots
            raise NoCallSlot(503, "no media port free")
        line = SipLine(
            self._facts(request, origin), self._free_ports.pop(), self._loop, self._outgoing
        )
        if self._admitted.is_stranger:
            line.is_strangers, line.ack_timeout_s = True, self._config.strangers.ack_timeout_s
        leg = Leg(account, line, call_number)
        line.bind(leg)
        self._lines.add(line)
        try:
            self._sink.on_incoming(line)
        except BaseException:
            self.release(line)
            raise

    def on_registration(self, trunk_name: str, status: int, reason: str, expires_s: int) -> None:
        """Pass a REGISTER's outcome to its trunk."""
        if trunk_name in self._trunks:
            self._trunks[trunk_name].on_registration(status, reason, expires_s)

    def _origin(self, request: SipRequest, source: str, port: int) -> Origin:
        if self._edge is None:
            return Origin(source, port)
        origin = self._edge.origin(request, source, port, self._edge_addresses)
        return origin if origin.trunk in self._trunks else replace(origin, trunk="")

    async def _keep_edge_addresses(self, edge: EdgePeer) -> None:
        while True:
            try:
                found = await self._loop.getaddrinfo(edge.host, edge.port, family=socket.AF_INET)
            except OSError as error:
                log.warning("edge_lookup_failed", edge=edge.host, error=str(error))
            else:
                self._edge_addresses = tuple({str(entry[4][0]) for entry in found})
            await asyncio.sleep(60 if self._edge_addresses else 2)

    def _facts(self, request: SipRequest, origin: Origin) -> CallFacts:
        return CallFacts(
            call_id=self._sink.new_call_id(),
            direction="in",
            called=uri_user(request.uri),
            caller=uri_user(request.header("from")),
            trunk=origin.trunk,
            source=str(origin),
            sip_call_id=request.header("call-id"),
            headers=request.first_headers(),
        )

    def _trunk_of(self, source: str) -> str:
        address = ipaddress.ip_address(source)
        for name, trunk in self._trunks.items():
            if any(address in network for network in trunk.networks):
                return name
        return ""

    def _recycle(self, line: SipLine) -> None:
        port = line.release()
        if line.facts.direction == "out":
            self._outgoing.end_call(line.facts.call_id)
        if port is not None:
            self._free_ports.append(port)

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
            trunk_networks=self._trunk_networks,
            realm=DigestRealm(config.realm, users, os.urandom(32)) if users else None,
            strangers=Strangers(config.strangers, self._strangers_slots),
            codecs=config.codecs,
            max_calls=config.max_calls,
            retry_after_s=config.retry_after_s,
            session_min_s=config.session_min_s,
            active_calls=self.active_calls,
            is_draining=lambda: self.draining,
        )

    def _strangers_slots(self) -> list[HeldSlot]:
        return [
            HeldSlot(line.facts.source.rpartition(":")[0], line.is_confirmed)
            for line in self._lines
            if line.is_strangers and line.ended is None
        ]

    def _trunk_networks(self) -> list[Network]:
        if self._edge:
            return [ipaddress.ip_network(address) for address in self._edge_addresses]
        return [network for trunk in self._trunks.values() for network in trunk.networks]


class _Account(pj.Account):
    """The library's account: forwards to the endpoint."""

    def __init__(self, endpoint: SipEndpoint, trunk_name: str, settings: pj.AccountConfig) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._trunk_name = trunk_name
        self.uri = settings.idUri
        self.create(settings)

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        """Pass on; whatever fails here is answered, never lost."""
        try:
            self._endpoint.on_incoming(prm.callId, self._trunk_name, prm.rdata)
        except Exception:
            log.exception("incoming_call_failed")  # a call without a leg: pjsua2 answers it 500

    def onRegState(self, prm: pj.OnRegStateParam) -> None:
        """Pass on."""
        self._endpoint.on_registration(self._trunk_name, prm.code, prm.reason, prm.expiration)


def _wall_s() -> float:
    return datetime.now(UTC).timestamp()
