"""The SIP library's life: its start with our filters, the event pump on the loop, its end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import structlog

from gateway.allowance import LogLimiter
from gateway.config.models import SipConfig
from gateway.sip import pj
from gateway.sip.accounts import Library
from gateway.sip.credential_filter import CredentialFilter, keep_udp
from gateway.sip.credentials import Credentials
from gateway.sip.decision import Decision
from gateway.sip.edge_peer import EdgePeer
from gateway.sip.incoming import IncomingRequests
from gateway.sip.library import (
    EVERYWHERE,
    LibraryLog,
    library_settings,
    set_codecs,
    transport_settings,
)
from gateway.sip.names import Names
from gateway.sip.native import RequestFilter, limit_transactions, quiet_library
from gateway.sip.oversize import OversizeAnswerer
from gateway.sip.received import Received
from gateway.sip.transports import TcpKeeper
from gateway.sip.wakeup import BATCH_INTERVAL_S, Wakeup

log = structlog.get_logger(__name__)

_EVENTS_PER_PUMP = 64
_NEXT_PORT = re.compile(r"RTP socket bind\(\) .*Address already in use")
"""What it says when a call has the RTP port that it tries first; it takes the next."""


class RunningLibrary:
    """One pjsua2 library on one port.  Every method runs on the loop thread."""

    def __init__(
        self,
        config: SipConfig,
        edge: EdgePeer | None,
        knows: Callable[[str], bool],
        on_thrown_away: Callable[[str, str], None],
    ) -> None:
        """Prepare; nothing listens yet.

        Args:
            config: with this worker's own ports.
            edge: where all calls come from and go to.
            knows: returns whether a source is a known one.
            on_thrown_away: is told of what is dropped unread: rule and source.
        """
        self._config = config
        self._edge = edge
        self._knows = knows
        self._on_thrown_away = on_thrown_away
        self._loop = asyncio.get_running_loop()
        self.tcp = TcpKeeper(knows, on_thrown_away, self._loop.time)
        self.lib = Library(self.tcp.on_transport)
        self.names = Names(self._loop)
        self._log = LibraryLog()
        self._log_limiter = LogLimiter()
        self._requests: IncomingRequests | None = None
        self._credential_filter: CredentialFilter | None = None
        self._filter: RequestFilter | None = None
        self._oversize: OversizeAnswerer | None = None
        self._wakeup: Wakeup | None = None

    def start(self, requests: IncomingRequests, credentials: Credentials) -> str:
        """Listen, with our filters in front; return the host:port that others reach us at.

        Raises:
            pj.Error: the library cannot start, or the port is taken.
            SipError: another build of pjsua2 than this code knows.
        """
        self._requests = requests
        quiet_library()
        self.lib.libCreate()
        self.lib.libInit(library_settings(self._config, self._log))
        limit_transactions()
        keep_udp()
        self.names.install()
        address = self._open_transports()
        set_codecs(self.lib, self._config.codecs)
        self.lib.libStart()
        self.lib.audDevManager().setNullDev()
        self._install_filters(requests, credentials)
        return address

    def _open_transports(self) -> str:
        kinds = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP}
        # Behind an edge UDP only: it knows workers by their ports.
        names = ("udp",) if self._edge else self._config.transports
        address = ""
        for name in names:
            settings = transport_settings(self._config, self._edge)
            number = self.lib.transportCreate(kinds[name], settings)
            address = self.lib.transportGetInfo(number).localName
        port = int(address.rpartition(":")[2])
        if "tcp" in names:
            self.tcp.watch(port)
        self._oversize = OversizeAnswerer(port, self._on_thrown_away, self._knows)
        self._wakeup = Wakeup(port, is_udp_only=set(names) == {"udp"})
        return address

    def _install_filters(self, requests: IncomingRequests, credentials: Credentials) -> None:
        word = self._edge.sign if self._edge and self._edge.key else None
        self._credential_filter = CredentialFilter(credentials, word)
        screen = requests.request_screen
        self._filter = RequestFilter(
            self._screen, requests.judge, requests.judge_outside, screen.passage, screen.knows
        )
        if self._edge or "udp" in self._config.transports:
            address = (self._edge.bind or EVERYWHERE) if self._edge else self._config.bind
            self._filter.self_test(address, self._config.port, self.pump_once)
            near = "127.0.0.1" if address == EVERYWHERE else address
            self._credential_filter.self_test(near, self._config.port, self.pump_once)

    def end(self, *, awaits_answers: bool) -> None:
        """End the library, which must hold no call of ours any more.

        Args:
            awaits_answers: registrations were taken back: it waits for a second for what their
                servers say, and blocks the loop for that time.
        """
        self.tcp.end()
        self.names.end()
        if self._wakeup:
            self._wakeup.close()
        self._wakeup = None
        self.lib.libDestroy(0 if awaits_answers else pj.PJSUA_DESTROY_NO_RX_MSG)
        self._filter = self._credential_filter = self._oversize = None  # it calls them to its end

    # --- events ---

    def pump_once(self) -> int:
        """Handle what is there; returns how many events that were."""
        handled = 0
        self.tcp.sweep()
        while handled < _EVENTS_PER_PUMP and self.lib.libHandleEvents(0) > 0:
            handled += 1
            self.tcp.sweep()
        for level, text in self._log.drain():
            self._log_library(level, text)
        if self._requests is not None:
            self._requests.tell_refused()
        return handled

    async def wait(self, handled: int, *, has_calls: bool, is_busy: bool) -> None:
        """Wait until the next pump is due.

        Args:
            handled: what the last one returned.
            has_calls: there are calls.
            is_busy: there are conversations.
        """
        if handled or self._wakeup is None:
            await asyncio.sleep(BATCH_INTERVAL_S)
        else:
            is_busy = is_busy or self.tcp.is_in_use
            await self._wakeup.wait(has_calls=has_calls, is_busy=is_busy)

    def _log_library(self, level: int, text: str) -> None:
        """Log the library's messages; it warns of every broken message."""
        if level > 2 or _NEXT_PORT.search(text):
            log.debug("sip_library", text=text)
        elif self._log_limiter.passes("library", self._loop.time()):
            log.warning("sip_library", text=text, not_logged=self._log_limiter.held_back("library"))

    def _screen(self, received: Received) -> Decision:
        assert self._requests is not None  # noqa: S101 - see `start`
        self.tcp.on_message(received.transport)
        return self._requests.screen(received)

    # --- what it knows of calls ---

    def active_calls(self) -> int:
        """Return how many calls it holds."""
        return self._filter.active_calls() if self._filter else 0

    def dialogs(self) -> int:
        """Return how many SIP dialogs are alive."""
        return self._filter.dialogs() if self._filter else 0

    def has_dialog(self, call_id: str, local_tag: str, remote_tag: str) -> bool:
        """Return whether a dialog is alive."""
        return self._filter is not None and self._filter.has_dialog(call_id, local_tag, remote_tag)
