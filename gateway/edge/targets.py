"""Where the edge may send calls: workers of this host and of others.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gateway.config.edge_hosts import read_host
from gateway.config.models import GatewayConfig
from gateway.sip.edge_peer import local_signalling_address

SET = 1
"""The dispatcher set of all workers."""
ASSIGNMENTS_PER_WORKER = 2
"""A worker that is being replaced keeps its port while its calls last."""

Use = Literal["open", "closed", "unknown"]
"""open: takes calls; closed: takes no new ones (it drains, starts, is stuck); unknown: only probes
can tell (other hosts)."""
# Kamailio's flags of a destination: 1 inactive, 4 disabled, 8 to be probed.
_FLAGS: dict[Use, int] = {"open": 8, "closed": 4, "unknown": 9}
_STATES: dict[Use, str] = {"open": "ap", "closed": "d", "unknown": "ip"}


@dataclass(frozen=True, slots=True)
class Target:
    """One worker."""

    host: str
    port: int
    slots: int
    """Calls that it takes at once."""
    life: str = "0"
    """Changes when another process takes the port: calls of the former one do not count for it."""
    use: Use = "open"

    @property
    def uri(self) -> str:
        """SIP URI to which its calls go."""
        return f"sip:{self.host}:{self.port};transport=udp"

    @property
    def address(self) -> str:
        """`host:port`, by which its calls are known."""
        return f"{self.host}:{self.port}"

    @property
    def attributes(self) -> str:
        """Attributes for the dispatcher: identity for counting, and the most calls."""
        return f"duid={self.address}/{self.life};maxload={self.slots}"

    @property
    def line(self) -> str:
        """Its line in `workers.list`."""
        return f"{SET} {self.uri} {_FLAGS[self.use]} 0 {self.attributes}"

    def reborn(self) -> Target:
        """The same port with another process behind it."""
        return replace(self, life=str(int(self.life) + 1))


@dataclass(frozen=True, slots=True)
class Command:
    """One remote procedure call."""

    method: str
    parameters: tuple[str | int, ...]


def workers_list(targets: Iterable[Target]) -> str:
    """Write `workers.list`."""
    lines = (target.line for target in sorted(targets, key=lambda t: (t.host, t.port)))
    return "".join(f"{line}\n" for line in lines)


def local_targets(config: GatewayConfig, workers: int) -> tuple[Target, ...]:
    """List every port that a worker of this host may have, where it is unknown which are used."""
    host = local_signalling_address(config.sip.bind)
    return tuple(
        Target(host, config.sip.port + assignment, config.sip.max_calls, use="unknown")
        for assignment in range(1, ASSIGNMENTS_PER_WORKER * workers + 1)
    )


def remote_targets(config: GatewayConfig, own_workers: int) -> tuple[Target, ...]:
    """List every port that a worker of `edge.hosts` may have.

    Raises:
        ValueError: an entry cannot be read.
    """
    found = []
    for entry in config.edge.hosts:
        host, port, workers = read_host(entry, config.sip.port, own_workers)
        found += [
            Target(host, port + assignment, config.sip.max_calls, use="unknown")
            for assignment in range(1, ASSIGNMENTS_PER_WORKER * workers + 1)
        ]
    return tuple(found)


def changes(old: Sequence[Target], new: Sequence[Target]) -> Iterator[Command]:
    """List the commands that change a running edge from `old` to `new`.

    Loads are kept: that is why the list is not simply reloaded.
    """
    before = {target.address: target for target in old}
    after = {target.address: target for target in new}
    for address, target in before.items():
        kept = after.get(address)
        if kept is None or replace(kept, use=target.use) != target:
            yield Command("dispatcher.remove", (SET, target.uri))
    for address, target in after.items():
        known = before.get(address)
        if known is None or replace(known, use=target.use) != target:
            flags = _FLAGS[target.use]
            yield Command("dispatcher.add", (SET, target.uri, flags, 0, target.attributes))
        elif known.use != target.use:
            yield Command("dispatcher.set_state", (_STATES[target.use], SET, target.uri))


def gone(old: Sequence[Target], new: Sequence[Target]) -> list[str]:
    """List the addresses whose process is no more: its calls are to be ended."""
    alive = {(target.address, target.life) for target in new}
    return [t.address for t in old if (t.address, t.life) not in alive]
