"""Ports: SIP, HTTP and the RTP range, free or taken, and by which program."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.doctor.deployment import Deployment, Plan, plan_of
from gateway.doctor.finding import Finding, fail, ok, skip, warn
from gateway.doctor.network import PortUse, open_sockets, owners, port_use

PORTS_PER_CALL = 4
"""RTP and RTCP, twice: those of a call just ended may still be in use."""
_SYSTEM = Path("/proc/sys/net/ipv4")


@dataclass(frozen=True, slots=True)
class RtpFacts:
    """What is known of the RTP range."""

    low: int
    high: int
    slots: int
    """Calls of all workers together, those that end while others begin counted too."""
    ephemeral: tuple[int, int] = (0, 0)
    """Ports that the system assigns to any program."""
    reserved: tuple[tuple[int, int], ...] = ()
    """Ranges that it leaves alone."""
    taken: tuple[int, ...] = ()
    """Ports of the range that are in use."""
    owners: tuple[str, ...] = ()


async def check_ports(deployment: Deployment) -> AsyncIterator[Finding]:
    """Look at every port that the gateway listens on."""
    sip, http = deployment.config.sip, deployment.config.http
    is_running, plan = deployment.is_running, plan_of(deployment.config)
    if not plan.joins:
        for protocol in sip.transports:
            use = port_use(protocol, sip.bind, sip.port)
            yield judge_port("sip port", use, is_running=is_running)
    if deployment.config.workers.edge != "none":
        uses = [port_use("udp", sip.bind, assignment.sip_port) for assignment in plan.assignments]
        yield judge_assignments(uses, plan.workers, is_running=is_running)
    if ":" in http.bind:
        yield skip("http port", "only IPv4 addresses are looked at")
    else:
        use = port_use("tcp", http.bind, http.port)
        yield judge_port("http port", use, is_running=is_running)
    for finding in judge_rtp(_rtp_facts(deployment, plan), is_running=is_running):
        yield finding


def judge_port(name: str, use: PortUse, *, is_running: bool) -> Finding:
    """Decide over one port: a running gateway must have it, otherwise it must be free."""
    where = f"{use.protocol.upper()} {use.address}:{use.port}"
    key = "http.port" if name.startswith("http") else "sip.port"
    if use.state == "forbidden":
        return fail(name, f"{where} may not be bound by this user", f"choose {key} above 1023")
    if use.state == "not_here":
        bind = key.replace("port", "bind")
        return fail(
            name,
            f"{use.address} is no address of this machine",
            f'set {bind} to one of its own, or to "0.0.0.0" for all of them',
        )
    if is_running:
        return _judge_listening(name, where, use)
    if use.state == "free":
        return ok(name, f"{where} is free")
    who = use.owner or "a program of another user (look with: ss -lnptu)"
    return fail(
        name,
        f"{where} is taken by {who}, and no gateway answers at [http]",
        f"stop that program, or choose another {key}; a gateway may run with another configuration",
    )


def _judge_listening(name: str, where: str, use: PortUse) -> Finding:
    if use.state == "used":
        return ok(name, f"{where} is in use" + (f" by {use.owner}" if use.owner else ""))
    return fail(
        name,
        f"a gateway runs, but nothing listens on {where}",
        "does it run with this configuration? Look into its log, then restart it",
    )


def judge_assignments(uses: Sequence[PortUse], workers: int, *, is_running: bool) -> Finding:
    """Decide over the ports behind an edge: as many as there are workers must be in use."""
    name, used = "worker ports", [use for use in uses if use.state != "free"]
    span = f"UDP {uses[0].port}-{uses[-1].port}"
    if not is_running and used:
        first = used[0]
        who = first.owner or "another program"
        return fail(
            name,
            f"{first.port} of {span} is taken by {who}",
            "stop that program, or choose another sip.port: worker i has sip.port + i",
        )
    if is_running and len(used) < workers:
        return fail(
            name,
            f"{len(used)} of {workers} workers listen in {span}",
            "look for worker_died in the gateway's log",
        )
    return ok(name, f"{span}: {len(used)} in use, {workers} workers")


def judge_rtp(facts: RtpFacts, *, is_running: bool) -> Iterator[Finding]:
    """Decide over the RTP range: its size, and whether others reach into it."""
    size = facts.high - facts.low + 1
    needed = facts.slots * PORTS_PER_CALL
    span = f"{facts.low}-{facts.high}"
    if size < needed:
        yield fail(
            "rtp range",
            f"{span} has {size} ports, {facts.slots} calls need {needed}",
            f"set sip.rtp_ports = [{facts.low}, {facts.low + needed - 1}] or wider, and open it"
            " in the firewall (UDP)",
        )
    else:
        yield ok(
            "rtp range", f"{span} has room for {size // PORTS_PER_CALL} calls of {facts.slots}"
        )
    if overlap := _overlap(facts):
        yield warn(
            "rtp range",
            f"the system hands out ports {overlap[0]}-{overlap[1]} of it to other programs",
            f"sysctl -w net.ipv4.ip_local_reserved_ports={span} (and write it to /etc/sysctl.d),"
            f" or choose a range below {facts.ephemeral[0]}",
        )
    if facts.taken and not is_running:
        who = ", ".join(facts.owners) or "another program"
        shown = ", ".join(map(str, facts.taken[:5])) + (" ..." if len(facts.taken) > 5 else "")
        yield warn(
            "rtp range",
            f"{len(facts.taken)} of its ports are taken by {who}: {shown}",
            "choose a range of your own for sip.rtp_ports",
        )


def _overlap(facts: RtpFacts) -> tuple[int, int] | None:
    low, high = max(facts.low, facts.ephemeral[0]), min(facts.high, facts.ephemeral[1])
    if low > high or any(a <= low and high <= b for a, b in facts.reserved):
        return None
    return low, high


def _rtp_facts(deployment: Deployment, plan: Plan) -> RtpFacts:
    sip = deployment.config.sip
    low, high = sip.rtp_ports
    inside = [s for s in open_sockets("udp") if low <= s.port <= high]
    return RtpFacts(
        low,
        high,
        slots=len(plan.assignments) * sip.max_calls,
        ephemeral=_pair((_SYSTEM / "ip_local_port_range").read_text()),
        reserved=parse_ranges((_SYSTEM / "ip_local_reserved_ports").read_text()),
        taken=tuple(sorted({s.port for s in inside})),
        owners=tuple(sorted(owners(inside))) if inside else (),
    )


def parse_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Read `20000-20999,30000` as the system writes reserved ports.  Pure."""
    parts = [part.partition("-") for part in text.strip().split(",") if part.strip()]
    return tuple((int(low), int(high or low)) for low, _, high in parts)


def _pair(text: str) -> tuple[int, int]:
    low, high = text.split()
    return int(low), int(high)
