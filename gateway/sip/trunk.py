"""One trunk: registration with back-off and a state that can be seen."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from gateway.config.models import TrunkConfig
from gateway.sip import pj
from gateway.sip.admission import Network
from gateway.sip.credentials import Address
from gateway.sip.dialing import trunk_uri
from gateway.sip.lookups import Recent
from gateway.sip.message import parse_answer
from gateway.sip.srv import Locate, Target, choose, locate

log = structlog.get_logger(__name__)

_LOOK_AGAIN_S = 15.0
_LONGEST_WAIT_S = 3600
_REST_S = 1800.0
"""How long another server is preferred to one that did not answer: going back costs a call or two
where it is still not there."""
_NO_ANSWER = (408, 502, 503, 504)
"""Also what the library says where there was none; RFC 3263 section 4.3 has the next tried."""
_SECONDS = re.compile(r"\s*[0-9]{1,9}", re.ASCII)
_SRTP = {
    "off": pj.PJMEDIA_SRTP_DISABLED,
    "offer": pj.PJMEDIA_SRTP_OPTIONAL,
    "require": pj.PJMEDIA_SRTP_MANDATORY,
}


@dataclass(frozen=True, slots=True)
class TrunkState:
    """What `GET /v1/trunks` and the metrics show."""

    name: str
    state: str
    """`registered`, `registering`, `failed`, `unregistered`, or `static`: none is wanted."""
    status: int = 0
    """SIP status of the last answer."""
    reason: str = ""
    expires_s: int = 0
    failures: int = 0
    """Failed attempts in a row."""
    retry_in_s: float = 0.0
    server: str = ""
    """host:port that requests go to now; empty = not found yet, or an edge finds it."""


def retry_delay_s(config: TrunkConfig, failures: int, noise: float) -> float:
    """Back-off before the next REGISTER: doubling up to the limit, spread by `noise` in 0..1."""
    delay: float = min(config.retry_max_s, config.retry_min_s * 2.0 ** min(failures - 1, 20))
    return delay * (0.75 + 0.5 * noise)


def retry_after_s(answer: str) -> int:
    """Read how long a registrar wants to be left alone (RFC 3261 section 20.33); 0 = it is silent.

    Args:
        answer: the whole response, empty when there was none.
    """
    try:
        text = parse_answer(answer).header("retry-after")
    except ValueError:
        return 0
    found = _SECONDS.match(text)
    return min(int(found[0]), _LONGEST_WAIT_S) if found else 0


class Trunk:
    """Registration of one account.  Loop thread only."""

    def __init__(
        self,
        config: TrunkConfig,
        loop: asyncio.AbstractEventLoop,
        on_state: Callable[[TrunkState], None],
        *,
        registers: bool = True,
        look_up: Locate = locate,
    ) -> None:
        self.config = config
        self._look_up = look_up
        self._registers = registers
        """False: an edge does it."""
        self._loop = loop
        self._on_state = on_state
        self._retry: asyncio.TimerHandle | None = None
        self._account: pj.Account | None = None
        self.networks: tuple[Network, ...] = ()
        """All addresses of the server, from the look-ups of the last hour."""
        self._recent = Recent[Address]()
        self._targets: tuple[Target, ...] = ()
        self._used: Target | None = None
        self._rests_until_s: dict[Address, float] = {}
        self._on_address: Callable[[Address], None] = lambda _address: None
        self.state = TrunkState(config.name, "registering" if self.wants_registration else "static")

    @property
    def wants_registration(self) -> bool:
        """True when the trunk has an account and is to register it."""
        return self._registers and bool(self.config.user) and self.config.register_

    def is_at(self, address: str) -> bool:
        """Return whether the server has this IP address."""
        return any(ipaddress.ip_address(address) in network for network in self.networks)

    def account_settings(
        self, local: pj.AccountConfig, address: Address | None = None
    ) -> pj.AccountConfig:
        """Fill an account's settings.

        Args:
            local: media and timers come with it.
            address: of the server; without one an edge finds it.
        """
        config = self.config
        host = self._place.partition(":")[0]
        if address and (address[0] != host or config.outbound_proxy):
            way = f"{address[0]}:{address[1]};transport={config.transport};lr;hide"
            local.sipConfig.proxies.append(f"<sip:{way}>")
        domain = config.server
        local.idUri = f"<sip:{config.user or 'voice-gateway'}@{domain}>"
        local.regConfig.registrarUri = trunk_uri(config, "") if self.wants_registration else ""
        local.mediaConfig.srtpUse = _SRTP[config.srtp]
        local.regConfig.timeoutSec = config.expires_s
        local.regConfig.retryIntervalSec = 0  # our own back-off, see retry_delay_s
        local.regConfig.firstRetryIntervalSec = 0
        if config.user:
            # For the library to react to challenges; the password stays with `Credentials`.
            name = config.auth_user or config.user
            local.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", name, 0, "none"))
        return local

    def attach(self, account: pj.Account) -> None:
        """Remember the library's account, for retries."""
        self._account = account

    @property
    def _place(self) -> str:
        """Host or host:port that requests are sent to."""
        return self.config.outbound_proxy or self.config.server

    async def keep_addresses(
        self,
        on_address: Callable[[Address], None],
        on_servers: Callable[[Sequence[Address]], None] = lambda _servers: None,
    ) -> None:
        """Look up the server's addresses now and every five minutes; runs until cancelled.

        The library would look names up by itself, and stand still with all calls meanwhile.

        Args:
            on_address: told the address to use, and whenever another one is to be used.
            on_servers: told of all of them, also those of the last hour, before that.
        """
        self._on_address = on_address
        by_srv = False
        while True:
            try:
                found = await self._look_up(self._place, self.config.transport, needs_srv=by_srv)
            except (OSError, ValueError) as error:  # ValueError: no host name at all
                log.warning(
                    "trunk_lookup_failed",
                    trunk=self.config.name, server=self._place, error=str(error),
                )  # fmt: skip
                if not self._used and self.wants_registration:
                    self._not_found(f"cannot look up {self._place}: {error}")
            else:
                by_srv, self._targets = found.by_srv, found.targets
                answer = [target.address for target in found.targets]
                servers = self._recent.found(answer, self._loop.time())
                hosts = dict.fromkeys(host for host, _ in servers)
                self.networks = tuple(map(ipaddress.ip_network, hosts))
                on_servers(servers)
                self._move()
            await asyncio.sleep(300 if self.networks else _LOOK_AGAIN_S)

    @property
    def address(self) -> Address | None:
        """Where requests go now."""
        return self._used.address if self._used else None

    def leave_silent(self, tried: Sequence[Address]) -> bool:
        """Use another server: a call got no answer at all.  Not within a callback of the library.

        Args:
            tried: by this call so far; the last one was silent.

        Returns:
            The server in use now is one that the call has not tried.
        """
        self._let_rest(tried[-1], 0.0)
        target = self._next()
        if target is None or target.address in tried:
            return False
        self._move()
        return True

    def _let_rest(self, address: Address, wait_s: float) -> None:
        self._rests_until_s[address] = self._loop.time() + max(_REST_S, wait_s)

    def _next(self) -> Target | None:
        if not self._targets:
            return None
        return choose(self._targets, self._used, self._rests_until_s, self._loop.time())

    def _has_rested_next(self) -> bool:
        """Return whether there is another server that has not failed lately."""
        target = self._next()
        if target is None or target == self._used:
            return False
        return self._rests_until_s.get(target.address, 0.0) <= self._loop.time()

    def _move(self) -> bool:
        """Use the server that is to be used now; return whether that is another one."""
        target, before = self._next(), self._used
        if target is None or target == before:
            return False
        self._used = target
        if before and target.address == before.address:  # its priority has changed
            return False
        if before:
            log.warning(
                "trunk_server_changed",
                trunk=self.config.name, server=target.host, port=target.port, before=before.host,
            )  # fmt: skip
        self.state = replace(self.state, server=self._server)
        if not self.wants_registration:  # else the outcome of a REGISTER reports it
            self._on_state(self.state)
        self._on_address(target.address)
        return True

    def _not_found(self, reason: str) -> None:
        failures = self.state.failures + 1
        name = self.config.name
        self._publish(TrunkState(name, "failed", 503, reason, 0, failures, _LOOK_AGAIN_S))

    def on_registration(
        self, status: int, reason: str, expires_s: int, wait_s: float = 0.0
    ) -> None:
        """Accept the outcome of a REGISTER; schedules the next try after a failure.

        Args:
            status: of the response.
            reason: its phrase.
            expires_s: of the binding.
            wait_s: how long the registrar refuses another try.
        """
        self.stop()
        if status // 100 == 2:
            if self._used:
                self._rests_until_s.pop(self._used.address, None)
            state = "registered" if expires_s > 0 else "unregistered"
            self._publish(TrunkState(self.config.name, state, status, reason, expires_s))
            return
        failures = self.state.failures + 1
        noise = random.random()  # noqa: S311 (jitter)
        delay_s = max(retry_delay_s(self.config, failures, noise), wait_s)
        if status in _NO_ANSWER and self._used:
            self._let_rest(self._used.address, wait_s)
            if self._has_rested_next():
                delay_s = 0.0
        self._publish(
            TrunkState(self.config.name, "failed", status, reason, 0, failures, round(delay_s, 1))
        )
        self._retry = self._loop.call_later(delay_s, self._try_again)

    def stop(self) -> None:
        """Cancel a scheduled retry."""
        if self._retry:
            self._retry.cancel()
            self._retry = None

    def _try_again(self) -> None:
        self._retry = None
        if self._move():
            return  # an account that is led elsewhere registers anew
        if self._account is not None:
            try:
                self._account.setRegistration(True)
            except pj.Error as error:
                self.on_registration(503, error.reason, 0)

    @property
    def _server(self) -> str:
        return "{}:{}".format(*self._used.address) if self._used else ""

    def _publish(self, state: TrunkState) -> None:
        self.state = replace(state, server=self._server)
        self._on_state(self.state)
