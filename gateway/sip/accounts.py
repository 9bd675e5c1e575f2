"""The library's accounts: one for calls in, one for calls straight to an address, one per trunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import structlog

from gateway.config.models import SipConfig
from gateway.sip import pj
from gateway.sip.credentials import Address
from gateway.sip.edge_peer import EdgePeer
from gateway.sip.library import account_settings
from gateway.sip.trunk import Trunk, retry_after_s

log = structlog.get_logger(__name__)


class AccountSink(Protocol):
    """Receives the library's reports about accounts."""

    def on_incoming(self, call_number: int) -> None:
        """Make a line of an admitted INVITE."""

    def on_registration(
        self, trunk_name: str, status: int, reason: str, expires_s: int, retry_after_s: int
    ) -> None:
        """Accept a REGISTER's outcome."""


class Account(pj.Account):
    """The library's account: forwards to its sink."""

    def __init__(self, sink: AccountSink, trunk_name: str, settings: pj.AccountConfig) -> None:
        super().__init__()
        self._sink = sink
        self._trunk_name = trunk_name
        self.uri = settings.idUri
        self.create(settings)

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        """Pass on; whatever fails here is answered, never lost."""
        try:
            self._sink.on_incoming(prm.callId)
        except Exception:
            log.exception("incoming_call_failed")  # a call without a leg: pjsua2 answers it 500

    def onRegState(self, prm: pj.OnRegStateParam) -> None:
        """Pass on."""
        wait_s = retry_after_s(prm.rdata.wholeMsg)
        self._sink.on_registration(self._trunk_name, prm.code, prm.reason, prm.expiration, wait_s)

    def uri_of(self, user: str) -> str:
        """Return the identity of another user of this account."""
        return f"<sip:{user}@{self.uri.rpartition('@')[2]}"


class Library(pj.Endpoint):
    """The library; every call that comes in is on one account, whatever its headers say.

    By itself it takes the account that To and Request-URI look like, which the caller writes.
    """

    def __init__(self, on_connection: Callable[[int, int], None]) -> None:
        """Accept a callback for TCP connections: address of the transport, its new state."""
        super().__init__()
        self.incoming_account = 0
        self._on_connection = on_connection

    def onTransportState(self, prm: pj.OnTransportStateParam) -> None:
        """Pass on."""
        if prm.type == "TCP":
            self._on_connection(int(prm.hnd), prm.state)

    def onSelectAccount(self, prm: pj.OnSelectAccountParam) -> None:
        """Choose the account of an incoming request."""
        prm.accountIndex = self.incoming_account


class Accounts:
    """Opens and closes them.  Loop thread only."""

    def __init__(
        self, library: Library, config: SipConfig, edge: EdgePeer | None, sink: AccountSink
    ) -> None:
        """Prepare; none is open yet."""
        self._library = library
        self._config = config
        self._edge = edge
        self._sink = sink
        self._trunks: dict[str, Account] = {}
        self.incoming: Account | None = None
        """Without a password, and it takes encrypted audio where the caller offers it."""
        self.direct: Account | None = None
        """Calls placed straight to an address: no password, and their offers have no keys."""

    def numbers(self) -> list[int]:
        """Return the library's numbers of those that are open."""
        known = (self.incoming, self.direct, *self._trunks.values())
        return [account.getId() for account in known if account is not None]

    def open(self, address: str) -> None:
        """Open those that are no trunk's.

        Args:
            address: host:port of ours.
        """
        self.incoming = Account(self._sink, "", self._settings(address, is_outgoing=False))
        self._library.incoming_account = self.incoming.getId()
        self.direct = Account(self._sink, "", self._settings(address, is_outgoing=True))

    def open_trunk(self, trunk: Trunk, address: Address | None = None) -> None:
        """Make a trunk's account, or lead it to another address of its server."""
        name = trunk.config.name
        settings = trunk.account_settings(account_settings(self._config, self._edge), address)
        try:
            if name in self._trunks:
                self._trunks[name].modify(settings)
                return
            self._trunks[name] = Account(self._sink, name, settings)
        except pj.Error as error:
            trunk.on_registration(503, error.reason, 0)
        else:
            trunk.attach(self._trunks[name])

    def of_trunk(self, name: str) -> Account | None:
        """Return a trunk's account; None = its server has not been found yet."""
        return self._trunks.get(name)

    def shut_down(self) -> None:
        """Close all: registrations are taken back."""
        for account in self._all():
            account.shutdown()
        self.forget()

    def forget(self) -> None:
        """Drop the library's objects."""
        self.incoming = self.direct = None
        self._trunks.clear()

    def _all(self) -> Iterator[Account]:
        yield from self._trunks.values()
        yield from (account for account in (self.direct, self.incoming) if account is not None)

    def _settings(self, address: str, *, is_outgoing: bool) -> pj.AccountConfig:
        settings = account_settings(self._config, self._edge, may_encrypt=not is_outgoing)
        settings.idUri = f"<sip:voice-gateway@{address}>"
        return settings
