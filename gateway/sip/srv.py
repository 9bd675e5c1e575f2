"""Where a server is: its SRV and A records, in the order to try them (RFC 3263, RFC 2782).

The transport is the configuration's, so NAPTR records, which would choose one, are not asked for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver
from dns.rdtypes.IN.SRV import SRV

from gateway.sip.lookups import SERVERS
from gateway.sip.names import is_address

_SERVICES = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
_PORTS = {"tls": 5061}
_LONGEST_S = 5.0
_MOST_RECORDS = 8
"""More servers of one name are left out, those that would be tried last."""


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """One SRV record."""

    priority: int
    weight: int
    port: int
    host: str


@dataclass(frozen=True, slots=True)
class Target:
    """One address of a server."""

    host: str
    """IPv4 address."""
    port: int
    priority: int = 0
    """The least is tried first; equal ones share the load."""

    @property
    def address(self) -> tuple[str, int]:
        """Return it in the form of sockets."""
        return self.host, self.port


@dataclass(frozen=True, slots=True)
class Located:
    """What a look-up found."""

    targets: tuple[Target, ...]
    """At least one, in the order to try them."""
    by_srv: bool = False


class Locate(Protocol):
    """Looks a server up; `locate` does."""

    async def __call__(self, place: str, transport: str, *, needs_srv: bool = False) -> Located:
        """See `locate`."""


def in_order(records: Iterable[SrvRecord], draw: Callable[[int], int]) -> list[SrvRecord]:
    """Order records as RFC 2782 says: by priority, and among equals at random by weight.

    Args:
        records: in any order.
        draw: returns a random number between 0 and its argument, both included.
    """
    left = sorted(records, key=lambda record: (record.priority, record.weight))
    ordered: list[SrvRecord] = []
    while left:
        equals = [record for record in left if record.priority == left[0].priority]
        wanted = draw(sum(record.weight for record in equals))
        chosen = equals[-1]
        for record in equals:
            wanted -= record.weight
            if wanted <= 0:
                chosen = record
                break
        ordered.append(chosen)
        left.remove(chosen)
    return ordered


def choose(
    targets: Sequence[Target],
    used: Target | None,
    rests_until_s: Mapping[tuple[str, int], float],
    now_s: float,
) -> Target:
    """Choose where requests go.

    Args:
        targets: in order; at least one.
        used: so far; kept as long as nothing better is there: bindings are at one server.
        rests_until_s: address of a server that did not answer -> until when others are preferred.
        now_s: on the same clock.
    """
    awake = [target for target in targets if rests_until_s.get(target.address, now_s) <= now_s]
    if not awake:
        return min(targets, key=lambda target: rests_until_s[target.address])
    for target in awake:
        if used and target.address == used.address and target.priority == awake[0].priority:
            return target
    return awake[0]


async def locate(place: str, transport: str, *, needs_srv: bool = False) -> Located:
    """Look a server up, beside the loop.

    Args:
        place: host or host:port; a name without a port may have SRV records.
        transport: `udp`, `tcp` or `tls`.
        needs_srv: it had such records: a name server that is silent about them is no reason to
            believe that it has none now.

    Raises:
        OSError: it is not found.
        ValueError: no host name at all.
    """
    host, _, port = place.partition(":")
    if not port and not is_address(host) and "." in host.strip("."):
        try:
            records = await _srv_records(f"{_SERVICES[transport]}.{host}")
        except dns.exception.DNSException as error:
            if needs_srv:
                raise OSError(f"no answer about SRV records: {error}") from error
            records = []
        if records:
            return Located(await _targets(records), by_srv=True)
    default = _PORTS.get(transport, 5060)
    addresses = await _addresses(host)
    return Located(tuple(Target(address, int(port or default)) for address in addresses))


async def _srv_records(name: str) -> list[SrvRecord]:
    """Ask for SRV records; none where the name or the type does not exist.

    Raises:
        DNSException: no name server has an answer.
    """
    resolver = dns.asyncresolver.Resolver()  # made anew: it reads /etc/resolv.conf
    try:
        answer = await resolver.resolve(name, "SRV", search=False, lifetime=_LONGEST_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    found = [record for record in answer if isinstance(record, SRV)]
    return [
        SrvRecord(r.priority, r.weight, r.port, r.target.to_text(omit_final_dot=True))
        for r in found
    ]


async def _targets(records: Iterable[SrvRecord]) -> tuple[Target, ...]:
    ordered = in_order(records, lambda most: random.randint(0, most))  # noqa: S311 (load)
    # A lone root as the target: the service is not there (RFC 2782).
    wanted = [record for record in ordered if record.host not in {"", "."}][:_MOST_RECORDS]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_addresses_if_any(record.host)) for record in wanted]
    found: dict[tuple[str, int], Target] = {}
    for record, task in zip(wanted, tasks, strict=True):
        for address in task.result():
            target = Target(address, record.port, record.priority)
            found.setdefault(target.address, target)
    if not found:
        raise OSError("its SRV records lead to no address")
    return tuple(found.values())


async def _addresses_if_any(host: str) -> list[str]:
    try:
        return await _addresses(host)
    except (OSError, ValueError):
        return []


async def _addresses(host: str) -> list[str]:
    return await SERVERS.addresses(host)
