"""One trunk: registration with back-off and a state that can be seen."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.config.models import TrunkConfig
from gateway.sip import pj
from gateway.sip.admission import Network

log = structlog.get_logger(__name__)

_LOOK_AGAIN_S = 15.0


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


def retry_delay_s(config: TrunkConfig, failures: int, noise: float) -> float:
    """Back-off before the next REGISTER: doubling up to the limit, spread by `noise` in 0..1."""
    delay: float = min(config.retry_max_s, config.retry_min_s * 2.0 ** min(failures - 1, 20))
    return delay * (0.75 + 0.5 * noise)


class Trunk:
    """Registration of one account.  Loop thread only."""

    def __init__(
        self,
        config: TrunkConfig,
        loop: asyncio.AbstractEventLoop,
        on_state: Callable[[TrunkState], None],
        *,
        registers: bool = True,
    ) -> None:
        self.config = config
        self._registers = registers
        """False: an edge does it."""
        self._loop = loop
        self._on_state = on_state
        self._retry: asyncio.TimerHandle | None = None
        self._account: pj.Account | None = None
        self.networks: tuple[Network, ...] = ()
        """Addresses of the server, from the last look-up."""
        self.state = TrunkState(config.name, "registering" if self.wants_registration else "static")

    @property
    def wants_registration(self) -> bool:
        """True when the trunk has an account and is to register it."""
        return self._registers and bool(self.config.user) and self.config.register_

    def uri(self, user: str) -> str:
        """SIP URI of `user` at this trunk."""
        kind = self.config.transport
        suffix = "" if kind == "udp" else f";transport={kind}"
        return f"sip:{user}@{self.config.server}{suffix}"

    def account_settings(self, local: pj.AccountConfig, address: str = "") -> pj.AccountConfig:
        """Fill an account's settings.

        Args:
            local: media and timers come with it.
            address: of the server; without one the library finds it, or an edge does.
        """
        config = self.config
        host, _, port = config.server.partition(":")
        if address and address != host:
            way = f"{address}:{port or 5060};transport={config.transport};lr;hide"
            local.sipConfig.proxies.append(f"<sip:{way}>")
        domain = config.server
        local.idUri = f"sip:{config.user or 'voice-gateway'}@{domain}"
        local.regConfig.registrarUri = (
            self.uri("").replace("sip:@", "sip:") if self.wants_registration else ""
        )
        local.regConfig.timeoutSec = config.expires_s
        local.regConfig.retryIntervalSec = 0  # our own back-off, see retry_delay_s
        local.regConfig.firstRetryIntervalSec = 0
        if config.user:
            password = config.password.get_secret_value()
            name = config.auth_user or config.user
            local.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", name, 0, password))
        return local

    def attach(self, account: pj.Account) -> None:
        """Remember the library's account, for retries."""
        self._account = account

    async def keep_addresses(self, on_address: Callable[[str], None]) -> None:
        """Look up the server's addresses now and every five minutes; runs until cancelled.

        The library would look names up by itself, and stand still with all calls meanwhile.

        Args:
            on_address: told the address to use, and again when it is no longer one of the server's.
        """
        host, _, port = self.config.server.partition(":")
        used = ""
        while True:
            try:
                found = await self._loop.getaddrinfo(host, int(port or 5060), family=socket.AF_INET)
            except (OSError, ValueError) as error:  # ValueError: no host name at all
                log.warning(
                    "trunk_lookup_failed", trunk=self.config.name, server=host, error=str(error)
                )
                if not used and self.wants_registration:
                    self._not_found(f"cannot look up {host}: {error}")
            else:
                addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
                self.networks = tuple(map(ipaddress.ip_network, addresses))
                if used not in addresses:
                    used = addresses[0]
                    on_address(used)
            await asyncio.sleep(300 if self.networks else _LOOK_AGAIN_S)

    def _not_found(self, reason: str) -> None:
        failures = self.state.failures + 1
        name = self.config.name
        self._publish(TrunkState(name, "failed", 503, reason, 0, failures, _LOOK_AGAIN_S))

    def on_registration(self, status: int, reason: str, expires_s: int) -> None:
        """Take the outcome of a REGISTER; schedules the next try after a failure."""
        self.stop()
        if status // 100 == 2:
            state = "registered" if expires_s > 0 else "unregistered"
            self._publish(TrunkState(self.config.name, state, status, reason, expires_s))
            return
        failures = self.state.failures + 1
        delay_s = retry_delay_s(self.config, failures, random.random())  # noqa: S311 (jitter)
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
        if self._account is not None:
            try:
                self._account.setRegistration(True)
            except pj.Error as error:
                self.on_registration(503, error.reason, 0)

    def _publish(self, state: TrunkState) -> None:
        self.state = state
        self._on_state(state)
