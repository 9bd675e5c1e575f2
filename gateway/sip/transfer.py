"""One REFER of ours, from its response to its outcome (RFC 3515, as peers really send it).  Pure.

Peers end transfers in many ways: a final NOTIFY, a BYE instead of it, a 200 in a subscription that
stays active, a subscription that ends without a word.  What was not said is not invented: the
outcome is `unknown`, and known to be so within seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.call.line import TransferOutcome

_GRACE_S = 2.0
"""How long to wait for what may still follow: a BYE, the end of the reports, another REFER."""
_CHALLENGES = frozenset({401, 407})
_STATUS_LINE = re.compile(r"SIP/2\.0[ \t]+(\d{3})(?:[ \t]+([^\r\n]*))?", re.IGNORECASE)
_EXPIRES_NOW = re.compile(r";\s*expires\s*=\s*0\s*(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Notification:
    """What a NOTIFY of a REFER's subscription says."""

    is_last: bool
    """The subscription has ended: `terminated`, or `active` with nothing left of it."""
    status: int = 0
    """Of the sipfrag; 0 = it has none."""
    reason: str = ""

    @classmethod
    def of(cls, subscription: str, body: str) -> Notification:
        """Read the Subscription-State header and the body."""
        state = subscription.partition(";")[0].strip().lower()
        is_last = state == "terminated" or bool(_EXPIRES_NOW.search(subscription))
        found = _STATUS_LINE.match(body.lstrip())
        if found is None:
            return cls(is_last)
        return cls(is_last, int(found[1]), (found[2] or "").strip())


class TransferTracker:
    """Follows one REFER, on the clock of its caller."""

    def __init__(self, now_s: float, timeout_s: float) -> None:
        self._is_accepted = False
        self._timeout_s = timeout_s
        self._likely = TransferOutcome("unknown", 0, f"no outcome within {timeout_s:g} s")
        """What it comes to if nothing more is heard until `deadline_s`."""
        self.deadline_s = now_s + timeout_s
        self.outcome: TransferOutcome | None = None

    def responded(self, status: int, reason: str, now_s: float) -> None:
        """Accept the response to the REFER."""
        if self.outcome is not None or status < 200:
            return
        if status < 300:
            self._is_accepted = True
            return
        refused = TransferOutcome("failed", status, reason)
        if status in _CHALLENGES:  # it may be repeated with credentials
            self._expect(refused, now_s)
        else:
            self.outcome = refused

    def notified(self, news: Notification, now_s: float) -> None:
        """Accept a NOTIFY, also one that comes when the outcome was given as unknown."""
        if self.outcome is not None and self.outcome.result != "unknown":
            return
        self._is_accepted = True
        if news.status >= 300:
            self.outcome = TransferOutcome("failed", news.status, news.reason)
        elif news.status >= 200:
            done = TransferOutcome("confirmed", news.status, news.reason)
            if news.is_last or self.outcome is not None:
                self.outcome = done
            else:
                self._expect(done, now_s)
        elif news.is_last and self._likely.result != "confirmed":
            text = "the peer ended its reports without an outcome"
            self._expect(TransferOutcome("unknown", news.status, text), now_s)

    def call_ended(self, status: int) -> None:
        """The call with the caller is over: by his BYE (200), or for another cause."""
        if self.outcome is not None:
            return
        if self._likely.result in {"confirmed", "failed"}:
            self.outcome = self._likely
        elif self._is_accepted and status < 300:
            text = "hung up by the peer, which accepted the transfer and reported no outcome"
            self.outcome = TransferOutcome("assumed", self._likely.status, text)
        else:
            self.outcome = TransferOutcome("failed", 487, "the call ended")

    def expire(self) -> TransferOutcome:
        """Return the outcome, what it comes to by now if there was none.  Idempotent."""
        self.outcome = self.outcome or self._likely
        return self.outcome

    def _expect(self, outcome: TransferOutcome, now_s: float) -> None:
        self._likely = outcome
        self.deadline_s = min(self.deadline_s, now_s + _GRACE_S)
