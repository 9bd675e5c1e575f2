"""Addresses: what SDP and Contact offer, and whether audio can find the way back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from gateway.config.models import TrunkConfig
from gateway.doctor.deployment import Deployment
from gateway.doctor.finding import Finding, fail, ok, warn
from gateway.doctor.network import address_towards, local_addresses, resolve
from gateway.sip.srv import locate

ANY = "0.0.0.0"  # noqa: S104 - read, not bound
_OUTSIDE = "192.0.2.1"
"""TEST-NET-1 (RFC 5737): asked for the default route; nothing is sent there."""
_NOT_PUBLIC = [
    IPv4Network(text)
    for text in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
        "169.254.0.0/16",  # link local, RFC 3927
        "127.0.0.0/8",
    )
]


@dataclass(frozen=True, slots=True)
class Peer:
    """A trunk as the network sees it."""

    name: str
    server: str
    addresses: tuple[str, ...]
    """Empty: the name has no address."""
    own_address: str = ""
    """Ours on the way there; empty: no route."""


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """What is known of the addresses."""

    bind: str
    public_address: str = ""
    """As configured."""
    public_resolved: tuple[str, ...] = ()
    local: frozenset[str] = frozenset()
    default_address: str = ""
    """Own address on the default route."""
    peers: tuple[Peer, ...] = field(default=())

    @property
    def advertised(self) -> str:
        """IPv4 address that SDP offers; empty when unknown."""
        if self.public_address:
            return self.public_resolved[0] if self.public_resolved else ""
        return self.default_address if self.bind == ANY else self.bind


async def check_addresses(deployment: Deployment) -> AsyncIterator[Finding]:
    """Look at bind and public address, and at the way to each trunk."""
    sip = deployment.config.sip
    peers = []
    for trunk in deployment.config.trunks:
        addresses = await _addresses(trunk)
        own = address_towards(addresses[0]) if addresses else ""
        peers.append(Peer(trunk.name, trunk.server, addresses, own))
    facts = AddressFacts(
        bind=sip.bind,
        public_address=sip.public_address,
        public_resolved=await resolve(sip.public_address) if sip.public_address else (),
        local=local_addresses(),
        default_address=address_towards(_OUTSIDE),
        peers=tuple(peers),
    )
    for finding in judge_addresses(facts):
        yield finding


async def _addresses(trunk: TrunkConfig) -> tuple[str, ...]:
    try:
        found = await locate(trunk.server, trunk.transport)
    except (OSError, ValueError):
        return ()
    return tuple(dict.fromkeys(target.host for target in found.targets))


def judge_addresses(facts: AddressFacts) -> Iterator[Finding]:
    """Decide over the address in SDP, alone and towards every trunk."""
    yield _judge_advertised(facts)
    for peer in facts.peers:
        yield _judge_peer(facts, peer)


def _judge_advertised(facts: AddressFacts) -> Finding:
    name, own = "address in SDP", facts.advertised
    if facts.public_address and not facts.public_resolved:
        return fail(
            name,
            f'sip.public_address "{facts.public_address}" has no IPv4 address',
            "correct the name or its DNS entry, or write the IP address itself",
        )
    if not own:
        return warn(
            name,
            "this machine has no route to other networks: SDP can only offer 127.0.0.1",
            "connect it to a network, or set sip.public_address",
        )
    if _is_loopback(own):
        return ok(name, f"{own}: calls from this machine only")
    if facts.public_address and facts.local and own not in facts.local:
        return ok(
            name,
            f"{own}, which is no interface of this machine: behind NAT the router must forward"
            " sip.port (UDP and TCP) and sip.rtp_ports (UDP) to it, ports unchanged",
        )
    return ok(name, own)


def _judge_peer(facts: AddressFacts, peer: Peer) -> Finding:
    name = f"way to trunk {peer.name}"
    if not peer.addresses:
        return fail(
            name,
            f'"{peer.server}" has no IPv4 address',
            "correct the trunk's server, or this machine's DNS (/etc/resolv.conf)",
        )
    there = peer.addresses[0]
    if not peer.own_address:
        return fail(name, f"there is no route to {there}", f"look at: ip route get {there}")
    if _is_loopback(there):
        return ok(name, f"{there}, on this machine")
    if _is_loopback(facts.bind):
        return fail(
            name,
            f"sip.bind is {facts.bind}: {there} cannot be reached from there",
            'set sip.bind = "0.0.0.0"',
        )
    return _judge_offer(facts, peer, there)


def _judge_offer(facts: AddressFacts, peer: Peer, there: str) -> Finding:
    """Decide whether the audio of a trunk finds the address that SDP offers."""
    name, own = f"way to trunk {peer.name}", facts.advertised
    if own and is_public(there) and not is_public(own):
        return fail(
            name,
            f"{there} is on the Internet, but SDP offers it {own}, which is private:"
            " callers would not be heard",
            "set sip.public_address to the public address of your router, and forward sip.port"
            " and sip.rtp_ports (UDP) to this machine; where the provider does all of NAT itself,"
            " this may be left",
        )
    if own and is_public(own) and not is_public(there) and own not in facts.local:
        return warn(
            name,
            f"{there} is in your own network, but SDP sends its audio to {own} outside:"
            " most routers do not let it come back in",
            f'leave sip.public_address empty, or set it to "{peer.own_address}", when all'
            " trunks are inside",
        )
    return ok(name, f"{there} from {peer.own_address}")


def is_public(address: str) -> bool:
    """Return whether an IPv4 address can be reached over the Internet."""
    return not any(IPv4Address(address) in network for network in _NOT_PUBLIC)


def _is_loopback(address: str) -> bool:
    return IPv4Address(address).is_loopback
