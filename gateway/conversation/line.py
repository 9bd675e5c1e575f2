"""CallLine: all that a conversation or a dialplan step may know of the call it speaks on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.threads import FrameInlet, FrameOutlet


@dataclass(frozen=True, slots=True)
class CallFacts:
    """Who calls whom; fixed for the life of a call."""

    call_id: str
    """Ours: sortable, unique, fit for a folder name."""
    direction: Literal["in", "out"]
    called: str
    """User part of the Request-URI (DID) or of the target."""
    caller: str
    """User part of From (CLI)."""
    trunk: str = ""
    """Name of the trunk, empty for a direct call."""
    source: str = ""
    """host:port of the SIP peer."""
    sip_call_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """SIP headers of the INVITE, lower-case names, first value of each."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The call is up: 200 and ACK have passed."""


@dataclass(frozen=True, slots=True)
class Digit:
    """The caller pressed a key."""

    digit: str
    method: Literal["rfc4733", "info"]


@dataclass(frozen=True, slots=True)
class Held:
    """The other side put the call on hold."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The other side took the call off hold."""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over."""

    by: Literal["caller", "gateway"]
    status: int
    """SIP status of the final response or 200 for a BYE."""
    reason: str


LineEvent = Answered | Digit | Held | Resumed | HungUp


class CallLine(Protocol):
    """One leg of a call, whatever carries it."""

    facts: CallFacts
    inlet: FrameInlet
    outlet: FrameOutlet

    @property
    def input_delay_ms(self) -> float:
        """How long the jitter buffer holds caller audio back, from its arrival to its tick."""

    def events(self) -> AsyncIterator[LineEvent]:
        """Yield what happens on the line; `HungUp` is the last."""

    async def answer(self) -> None:
        """Accept an incoming call.  Raises SipError."""

    async def hang_up(self, status: int = 0, reason: str = "") -> None:
        """End the call (BYE, CANCEL or a final response, whichever is due).  Idempotent."""

    async def transfer(self, target: str) -> None:
        """Blind transfer (REFER), followed to its end.  Raises TransferFailed, OutgoingRefused."""

    async def send_digits(self, digits: str) -> None:
        """Send DTMF by RFC 4733; returns when the last has been sent."""
