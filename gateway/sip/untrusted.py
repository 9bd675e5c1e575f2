"""Limits for untrusted callers: a rate of requests and a share of the slots.  Pure.

A caller is untrusted if it is no trunk, is in no network of `sip.allow_sources` that names less
than everybody, and has not just authenticated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.allowance import Allowance, SourceAllowances
from gateway.config.models import UntrustedConfig

DIALOG_REQUESTS_PER_S = 60
"""More than any telephone sends within one call, keys as INFO and offers included."""
_BURST_S = 2.0
"""Length of a burst at the full rate: a call's messages come in groups."""
_DIALOGS = 64
"""Dialogs that are counted; more than there can be at once."""


@dataclass(frozen=True, slots=True)
class HeldSlot:
    """A slot that an untrusted call occupies."""

    source: str
    """IP address."""
    is_acknowledged: bool
    """The ACK has come: the address is not forged."""


class UntrustedLimits:
    """Counts untrusted requests; methods return the rule that was broken, or an empty string."""

    def __init__(self, limits: UntrustedConfig, slots: Callable[[], Iterable[HeldSlot]]) -> None:
        self._limits = limits
        self._slots = slots
        per_source = round(limits.requests_per_s * _BURST_S)
        self._requests = SourceAllowances(max(1, per_source), _BURST_S)
        self._all_requests = Allowance(round(limits.all_requests_per_s * _BURST_S), _BURST_S)
        self._within = SourceAllowances(DIALOG_REQUESTS_PER_S, 1.0, _DIALOGS)
        self._wrong = SourceAllowances(limits.wrong_passwords_per_minute, 60.0)

    def over_rate(self, source: str, now_s: float) -> str:
        """Count one request."""
        if not self._requests.spend(source, now_s):
            return "sip.untrusted.requests_per_s"
        return "" if self._all_requests.spend(now_s) else "sip.untrusted.all_requests_per_s"

    def over_dialog_rate(self, dialog: str, now_s: float) -> str:
        """Count one request within a call."""
        return "" if self._within.spend(dialog, now_s) else "sip.dialog_rate"

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
        return next((f"sip.untrusted.{name}" for name in broken), "")

    def may_try_password(self, source: str, now_s: float) -> bool:
        """Return whether credentials from that source are checked."""
        return self._wrong.has_one(source, now_s)

    def wrong_password(self, source: str, now_s: float) -> None:
        """Count wrong credentials."""
        self._wrong.spend(source, now_s)
