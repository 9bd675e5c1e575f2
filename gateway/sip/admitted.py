"""The request that was admitted as a new call: without one, the library makes no call.  Pure.

The library handles one message to its end before the next, so there is at most one.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.sip.decision import Admit
from gateway.sip.message import SipRequest
from gateway.sip.received import Received


@dataclass(frozen=True, slots=True)
class AdmittedRequest:
    """A new call that was admitted, as it was judged."""

    received: Received
    request: SipRequest
    admit: Admit


class AdmittedRequests:
    """Added by admission, confirmed where no dialog has taken the request, taken by the call."""

    def __init__(self) -> None:
        self._added: AdmittedRequest | None = None
        self._confirmed: AdmittedRequest | None = None

    def forget(self) -> None:
        """Begin with another message: drop the request added before."""
        self._added = self._confirmed = None

    def add(self, admitted: AdmittedRequest) -> None:
        """Allow this very transaction to make a call."""
        self._added, self._confirmed = admitted, None

    def confirm(self, received: Received) -> bool:
        """Return whether the request that comes out of the dialog layer is the one judged."""
        admitted, self._added = self._added, None
        is_this = admitted is not None and admitted.received == received
        if is_this and received.method == "INVITE":
            self._confirmed = admitted
        return is_this

    def take(self) -> AdmittedRequest | None:
        """Return the request of the call that the library makes now; once."""
        admitted, self._confirmed = self._confirmed, None
        return admitted
