"""What a load test is to do: how many calls at once, how long, of which kinds.  Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import GatewayError

MOST_CALLS = 2000
"""At once, by one load test; a typing error must not become an attack."""
_NUMBER = re.compile(r"[1-9]\d{0,5}")
_RANGE = re.compile(r"([1-9]\d{0,5})\.\.([1-9]\d{0,5})(?:\+([1-9]\d{0,5}))?")
_SHARE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*)(?:=([1-9]\d{0,3}))?")
_SAMPLES = 4
"""A step with fewer calls than this lasts longer, so that it has as many turns to judge by."""


class LoadError(GatewayError):
    """The load test cannot be carried out; says why and what to do."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """All of one load test."""

    steps: tuple[int, ...]
    """Calls at once, one after the other."""
    mix: Mapping[str, int]
    """Scenario -> weight."""
    rate_per_s: float
    """New calls per second while a step fills up, and at most afterwards."""
    hold_s: float
    """How long a step is measured once its calls are up (see `hold_s_of`)."""
    call_s: float = 0.0
    """Length of a talking call; 0 = as long as its step."""
    probes: int = 2
    """Number of calls made by measuring callers instead of SIPp."""
    total: int = 0
    """Number of SIPp calls after which a step ends; 0 = it ends after its time."""
    stop_at_saturation: bool = True
    tries: int = 2
    """How often a step that is only slow, without a failed call, is measured before it counts."""

    def hold_s_of(self, calls: int) -> float:
        """Return the measured length of a step: few calls need longer for as many turns."""
        return self.hold_s * max(1.0, _SAMPLES / calls)

    def ramp_s_of(self, calls: int) -> float:
        """Return the time in which a step's calls begin."""
        return calls / self.rate_per_s

    def probes_of(self, calls: int) -> int:
        """Return how many of a step's calls measure."""
        return min(self.probes, calls)

    def shares(self, calls: int) -> dict[str, int]:
        """Return how many calls at once each scenario has, without the measuring ones."""
        return share_out(self.mix, calls - self.probes_of(calls))


def parse_ramp(text: str) -> tuple[int, ...]:
    """Read numbers of calls: `8`, `1,2,4`, `1..16` (doubling), `4..32+4` (adding), or these mixed.

    Raises:
        LoadError: it is none of that, does not rise, or asks for too much.
    """
    steps = [calls for part in text.split(",") for calls in _part(part.strip(), text)]
    if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
        raise LoadError(f"the ramp must rise, {text} gives {', '.join(map(str, steps))}")
    if steps[-1] > MOST_CALLS:
        raise LoadError(f"{steps[-1]} calls at once are more than {MOST_CALLS}, the most")
    return tuple(steps)


def parse_mix(text: str) -> dict[str, int]:
    """Read scenarios with weights: `talk`, `talk=3,short-call=1`.

    Raises:
        LoadError: it is something else, or names one twice.
    """
    mix: dict[str, int] = {}
    for part in text.split(","):
        found = _SHARE.fullmatch(part.strip())
        if found is None:
            raise LoadError(f'not a mix: "{text}"; write it like talk=3,short-call=1')
        if found[1] in mix:
            raise LoadError(f"the mix names {found[1]} twice")
        mix[found[1]] = int(found[2] or 1)
    return mix


def share_out(mix: Mapping[str, int], calls: int) -> dict[str, int]:
    """Divide calls by weight (largest remainders first); scenarios without a call are left out."""
    total = sum(mix.values())
    shares = {name: calls * weight // total for name, weight in mix.items()}
    by_remainder = sorted(mix, key=lambda name: -(calls * mix[name] % total))
    for name in by_remainder[: calls - sum(shares.values())]:
        shares[name] += 1
    return {name: count for name, count in shares.items() if count}


def _part(part: str, whole: str) -> list[int]:
    if _NUMBER.fullmatch(part):
        return [int(part)]
    found = _RANGE.fullmatch(part)
    if found is None:
        raise LoadError(f'not a ramp: "{whole}"; write it like 8, 1,2,4, 1..16 or 4..32+4')
    first, last, add = int(found[1]), int(found[2]), int(found[3] or 0)
    if max(first, last) > MOST_CALLS:
        raise LoadError(f"{max(first, last)} calls at once are more than {MOST_CALLS}, the most")
    if last < first:
        raise LoadError(f"the ramp must rise, not {part}")
    steps = []
    while first < last:
        steps.append(first)
        first = first + add if add else first * 2
    return [*steps, last]
