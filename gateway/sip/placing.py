"""Calls that we place: their INVITE, and another one where the first met silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import structlog

from gateway.errors import SipError
from gateway.sip import pj
from gateway.sip.accounts import Account, Accounts
from gateway.sip.call import SipLine
from gateway.sip.credentials import Address, Credentials
from gateway.sip.dialing import Dialled
from gateway.sip.leg import Leg, sip_header
from gateway.sip.trunk import Trunk

log = structlog.get_logger(__name__)


class Placing:
    """Sends INVITEs by the account that a call is for.  Loop thread only."""

    def __init__(
        self,
        accounts: Accounts,
        trunks: Mapping[str, Trunk],
        credentials: Credentials,
        draw_ports: Callable[[], None],
        close_new: Callable[[], object],
    ) -> None:
        """Accept accounts, trunks by name, and callbacks around the library's call.

        Args:
            accounts: of the library.
            trunks: by name.
            credentials: told of each INVITE that may be challenged.
            draw_ports: chooses RTP ports.
            close_new: blocks senders at sockets that were just opened.
        """
        self._accounts = accounts
        self._trunks = trunks
        self._credentials = credentials
        self._draw_ports = draw_ports
        self._close_new = close_new

    def caller(self, dialled: Dialled) -> str:
        """Return the identity that a call shows.  Raises SipError: its trunk cannot be found."""
        account = self._account_of(dialled)
        return account.uri_of(dialled.caller) if dialled.caller else account.uri

    def begin(self, line: SipLine, dialled: Dialled) -> None:
        """Send the INVITE of a line's call.  Raises `pj.Error` and SipError."""
        self._invite(line, dialled)
        if dialled.trunk and (address := self._trunks[dialled.trunk].address):
            line.place_again = partial(self._place_again, line, dialled, [address])

    def _account_of(self, dialled: Dialled) -> Account:
        account = self._accounts.of_trunk(dialled.trunk) if dialled.trunk else self._accounts.direct
        if account is None:
            raise SipError(503, f"the server of trunk {dialled.trunk!r} cannot be found")
        return account

    def _invite(self, line: SipLine, dialled: Dialled) -> None:
        leg = Leg(self._account_of(dialled), line)
        line.bind(leg)
        self._draw_ports()
        how = pj.CallOpParam(True)  # noqa: FBT003 (pjsua2's signature: use default call settings)
        how.opt.audioCount, how.opt.videoCount = 1, 0
        how.txOption.localUri = self.caller(dialled)
        for name, value in dialled.headers:
            how.txOption.headers.append(sip_header(name, value))
        with self._credentials.placing(dialled.trunk):
            leg.makeCall(f"<{dialled.uri}>", how)  # strict peers want a name-addr in To
        line.facts = replace(line.facts, sip_call_id=leg.getInfo().callIdString)
        self._credentials.expect(line.facts.sip_call_id, dialled.trunk)
        self._close_new()

    def _place_again(self, line: SipLine, dialled: Dialled, tried: list[Address]) -> bool:
        """Place a call that met silence at the trunk's next server; return whether there is one."""
        trunk = self._trunks[dialled.trunk]
        if not trunk.leave_silent(tried) or trunk.address is None:
            return False
        tried.append(trunk.address)
        self._credentials.ended(line.facts.sip_call_id)
        line.unbind()
        try:
            self._invite(line, dialled)
        except (pj.Error, SipError) as error:
            log.warning("call_not_placed_again", call_id=line.facts.call_id, error=str(error))
            return False
        return True
