"""What callers get whom nobody vouches for: a rate and a share of the slots.  Pure.

A stranger is whoever is neither a trunk, nor in a network of `sip.allow_sources` that names less
than everybody, nor has just proved a password.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.allowance import Allowance, SourceAllowances
from gateway.config.models import StrangersConfig

_BURST_S = 2.0
"""A source may send what it may in two seconds at once: a call's messages come in bunches."""


@dataclass(frozen=True, slots=True)
class HeldSlot:
    """A slot that a stranger's call has."""

    source: str
    """IP address."""
    is_acknowledged: bool
    """The ACK has come: somebody real is at that address."""


class Strangers:
    """Counts what strangers do; every answer is the rule that they broke, or empty."""

    def __init__(self, limits: StrangersConfig, slots: Callable[[], Iterable[HeldSlot]]) -> None:
        self._limits = limits
        self._slots = slots
        per_source = round(limits.requests_per_s * _BURST_S)
        self._requests = SourceAllowances(max(1, per_source), _BURST_S)
        self._all_requests = Allowance(round(limits.all_requests_per_s * _BURST_S), _BURST_S)
        self._wrong = SourceAllowances(limits.wrong_passwords_per_minute, 60.0)

    def over_rate(self, source: str, now_s: float) -> str:
        """Count one request."""
        if not self._requests.spend(source, now_s):
            return "sip.strangers.requests_per_s"
        return "" if self._all_requests.spend(now_s) else "sip.strangers.all_requests_per_s"

    def over_share(self, source: str) -> str:
        """Judge one more call."""
        limits, slots = self._limits, list(self._slots())
        waiting = [slot for slot in slots if not slot.is_acknowledged]
        found = {
            "calls": len(slots),
            "calls_per_source": sum(slot.source == source for slot in slots),
            "unacknowledged": len(waiting),
            "unacknowledged_per_source": sum(slot.source == source for slot in waiting),
        }
        broken = (name for name, used in found.items() if used >= getattr(limits, name))
        return next((f"sip.strangers.{name}" for name in broken), "")

    def may_try_password(self, source: str, now_s: float) -> bool:
        """Say whether credentials from there are looked at."""
        return self._wrong.has_one(source, now_s)

    def wrong_password(self, source: str, now_s: float) -> None:
        """Count wrong credentials."""
        self._wrong.spend(source, now_s)
