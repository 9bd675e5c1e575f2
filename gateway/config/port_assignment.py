"""Port assignment: the SIP port and the share of RTP ports of one worker.  Pure.

Without an edge there is one assignment, number 0, with the ports of `[sip]` as they are.  With an
edge, which takes `sip.port` itself, N workers have 2 N assignments, numbered from 1: a worker that
ends its last calls keeps its ports while its successor already takes calls on others.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.models import GatewayConfig

WORKERS_PER_CORE = 2
WORKER_BYTES = 300_000_000
"""What a worker and its part of a recognizer take, calls included; rounded up."""
MAX_WORKERS = 64
DECODERS_PER_PROCESS = 4
_PORTS_PER_CALL = 4
"""RTP and RTCP, twice: ports of a call just ended may still be in use."""


@dataclass(frozen=True, slots=True)
class PortAssignment:
    """Where one worker listens."""

    number: int
    """The worker's number: in logs, metrics (`worker-3`), and added to `sip.port`."""
    sip_port: int
    rtp_ports: tuple[int, int]
    """First (even) and last."""


def automatic_count(cores: int, memory_bytes: int) -> int:
    """Return the number of workers that `workers.count = "auto"` means, at least one."""
    return max(1, min(cores * WORKERS_PER_CORE, memory_bytes // WORKER_BYTES, MAX_WORKERS))


def most_workers(config: GatewayConfig) -> int:
    """Return how many workers the ports suffice for, at least one."""
    count = 1
    while count < MAX_WORKERS and _fits(config, count + 1):
        count += 1
    return count


def automatic_recognizers(cores: int, workers: int) -> int:
    """Return what `workers.recognizers = "auto"` means: one per core, none without a worker."""
    return max(1, min(cores, workers))


def decoders_of(recognizers: int) -> list[int]:
    """Return how many callers each recognizer process hears at the same time.

    They share its model; more than a few would wait for each other's Python.
    """
    processes = -(-recognizers // DECODERS_PER_PROCESS)
    return [len(range(number, recognizers, processes)) for number in range(processes)]


def port_assignments(config: GatewayConfig, count: int) -> tuple[PortAssignment, ...]:
    """List the port assignments for `count` workers.

    Raises:
        ValueError: the ports do not suffice; the text says what is needed.
    """
    sip = config.sip
    if config.workers.edge == "none":
        return (PortAssignment(0, sip.port, sip.rtp_ports),)
    return tuple(
        PortAssignment(number, sip.port + number, share)
        for number, share in enumerate(rtp_shares(sip.rtp_ports, 2 * count, sip.max_calls), 1)
    )


def _fits(config: GatewayConfig, count: int) -> bool:
    last_port = config.sip.port + 2 * count
    low, high = config.sip.rtp_ports
    if last_port > 65535 or config.sip.port < low <= last_port or low <= last_port <= high:
        return False
    try:
        return bool(port_assignments(config, count))
    except ValueError:
        return False


def rtp_shares(ports: tuple[int, int], shares: int, calls: int) -> tuple[tuple[int, int], ...]:
    """Cut a range of ports into equal shares, each beginning with an even port.

    Args:
        ports: first and last.
        shares: how many.
        calls: what a share must suffice for.

    Raises:
        ValueError: there are too few ports.
    """
    low, high = ports
    low += low % 2
    size = (high - low + 1) // shares // 2 * 2
    needed = calls * _PORTS_PER_CALL
    if size < needed:
        raise ValueError(
            f"{shares} shares of {needed} ports need {shares * needed} ports,"
            f" this has {max(0, high - low + 1)}"
        )
    return tuple((low + size * n, low + size * (n + 1) - 1) for n in range(shares))
