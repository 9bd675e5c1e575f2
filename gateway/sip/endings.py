"""Which SIP status a call is refused with.  Pure."""

from __future__ import annotations

from gateway.call.line import End
from gateway.records.model import EndReason

_STATUS: dict[EndReason, int] = {"shutdown": 503, "crashed": 500}


def status_of(end: End) -> int:
    """Return the final status for an INVITE that was not answered; 0 = the library's choice.

    That is 603 for an incoming call and a CANCEL for an outgoing one.
    """
    status = end.status or _STATUS.get(end.reason, 0)
    return status if status >= 300 else 0


def phrase_of(end: End) -> str:
    """Return the reason phrase; empty = as usual for the status.

    What crashed here is nothing that the other side should read.
    """
    return "" if end.reason == "crashed" else end.text
