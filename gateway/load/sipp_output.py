"""What SIPp writes: statistics (-trace_stat), response times (-trace_rtt), errors.  Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_CAUSES = {
    "FailedCannotSendMessage": "SIPp could not send",
    "FailedMaxUDPRetrans": "no answer (SIPp gave up repeating)",
    "FailedTcpConnect": "TCP connection refused",
    "FailedTcpClosed": "TCP connection closed",
    "FailedUnexpectedMessage": "unexpected message",
    "FailedCallRejected": "refused by SIPp itself",
    "FailedCmdNotSent": "SIPp command not sent",
    "FailedRegexpDoesntMatch": "answer not as the scenario wants it",
    "FailedRegexpShouldntMatch": "answer not as the scenario wants it",
    "FailedRegexpHdrNotFound": "header missing",
    "FailedOutboundCongestion": "outbound congestion",
    "FailedTimeoutOnRecv": "message did not come in time",
    "FailedTimeoutOnSend": "could not be sent in time",
    "FailedTestDoesntMatch": "answer not as the scenario wants it",
    "FailedTestShouldntMatch": "answer not as the scenario wants it",
    "FailedStrcmpDoesntMatch": "answer not as the scenario wants it",
    "FailedStrcmpShouldntMatch": "answer not as the scenario wants it",
}
_UNEXPECTED = "unexpected message"
GOODBYE = "BYE in the middle of the scenario"
"""The other side ended an answered call: a failure, unless its agent had said goodbye."""
_RECEIVED = re.compile(
    r"unexpected message for Call-Id [^\n]*?received '(?:SIP/2\.0 (\d{3} [^\r\n]*)|([A-Z]+) )"
)
_ENDED = re.compile(r"on an unexpected (BYE|CANCEL) for call")
"""How SIPp tells of it while a call does nothing but wait."""


@dataclass(frozen=True, slots=True)
class SippCounts:
    """Where one SIPp stands, or all of them together."""

    running: int = 0
    started: int = 0
    done: int = 0
    failed: int = 0
    retransmissions: int = 0
    rate_per_s: float = 0.0
    """New calls in the last period."""
    causes: Mapping[str, int] = field(default_factory=dict)
    """Failed calls by what SIPp says of them."""


def parse_statistics(text: str) -> SippCounts:
    """Read the last whole line of a statistics file; all zero while there is none."""
    lines = text[: text.rfind("\n") + 1].splitlines()
    if len(lines) < 2:
        return SippCounts()
    row = dict(zip(lines[0].split(";"), lines[-1].split(";"), strict=False))

    def count(name: str) -> int:
        value = row.get(name, "0")
        return int(value) if value.isdecimal() else 0

    causes: Counter[str] = Counter()
    for name, words in _CAUSES.items():
        causes[words] += count(f"{name}(C)")
    return SippCounts(
        running=count("CurrentCall"),
        started=count("TotalCallCreated"),
        done=count("SuccessfulCall(C)"),
        failed=count("FailedCall(C)"),
        retransmissions=count("Retransmissions(C)"),
        rate_per_s=_number(row.get("CallRate(P)", "")),
        causes=dict(+causes),
    )


def total(counts: Iterable[SippCounts]) -> SippCounts:
    """Add up several SIPps."""
    every = list(counts)
    causes: Counter[str] = Counter()
    for one in every:
        causes.update(one.causes)
    return SippCounts(
        running=sum(one.running for one in every),
        started=sum(one.started for one in every),
        done=sum(one.done for one in every),
        failed=sum(one.failed for one in every),
        retransmissions=sum(one.retransmissions for one in every),
        rate_per_s=sum(one.rate_per_s for one in every),
        causes=dict(causes),
    )


def parse_response_times(text: str) -> list[tuple[float, float]]:
    """Read (milliseconds since SIPp's start, response time in whole milliseconds) pairs."""
    pairs = []
    for line in text[: text.rfind("\n") + 1].splitlines()[1:]:
        at, took, *_ = [*line.split(";"), "", ""]
        if took:
            pairs.append((_number(at), _number(took)))
    return pairs


def refine_causes(counts: SippCounts, errors: str) -> dict[str, int]:
    """Name what came instead of the expected message, from SIPp's error log.

    Where the log holds fewer than were counted (SIPp cuts it short), the rest stays nameless.
    """
    found: Counter[str] = Counter()
    for status, method in _RECEIVED.findall(errors):
        found[status or f"{method} in the middle of the scenario"] += 1
    for method in _ENDED.findall(errors):
        found[f"{method} in the middle of the scenario"] += 1
    causes = Counter(counts.causes)
    known = min(causes[_UNEXPECTED], found.total())
    causes[_UNEXPECTED] -= known
    for cause, times in found.most_common():
        causes[cause] += min(times, known)
        known -= min(times, known)
    return dict(+causes)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
