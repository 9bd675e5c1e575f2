"""Line: the only way in which a call reaches what carries it, be it SIP or anything else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from gateway.audio.format import WIDEBAND, AudioFormat
from gateway.call.inlet import FrameInlet
from gateway.call.media import FrameOutlet
from gateway.records.model import EndReason

Capability = Literal["transfer", "digits"]
"""What a transport may be able to do besides audio.

transfer: connect the other side with another target;
digits: keys are signalled, both ways.  Without it they are tones in the audio.
"""


@dataclass(frozen=True, slots=True)
class CallFacts:
    """Caller, called number and direction; fixed for the life of a call."""

    call_id: str
    """Ours: sortable, unique, fit for a folder name."""
    direction: Literal["in", "out"]
    called: str
    """The number that was dialled: see a trunk's `called_from`; of a placed call the target's."""
    caller: str
    """The caller's number (CLI): see a trunk's `caller_from`."""
    trunk: str = ""
    """Name of the trunk, empty for a direct call."""
    source: str = ""
    """host:port of the peer."""
    sip_call_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """SIP headers of the INVITE, lower-case names, first value of each."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the request that placed it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The call is up: both sides have confirmed it."""


@dataclass(frozen=True, slots=True)
class Digit:
    """The caller pressed a key."""

    digit: str
    method: Literal["rfc4733", "info", "tones"]


@dataclass(frozen=True, slots=True)
class Held:
    """The other side put the call on hold."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The other side took the call off hold."""


@dataclass(frozen=True, slots=True)
class MediaSource:
    """The other side's audio comes from this address now."""

    address: str
    """host:port."""
    reason: str
    """`signalled`, `learned` or `moved`."""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over."""

    by: Literal["caller", "gateway"]
    status: int
    """SIP status of the final response or 200 for a BYE; other transports use the same numbers."""
    reason: str


LineEvent = Answered | Digit | Held | Resumed | MediaSource | HungUp


@dataclass(frozen=True, slots=True)
class End:
    """Why a call ends, as far as we end it."""

    reason: EndReason
    text: str = ""
    status: int = 0
    """SIP status that a call which is not up yet is to be refused with; 0 = as suits `reason`."""


@dataclass(frozen=True, slots=True)
class TransferOutcome:
    """How a transfer ended."""

    result: Literal["confirmed", "assumed", "failed", "unknown"]
    """assumed: the peer accepted it and hung up without reporting the target's answer.  That is how
    many carriers complete a transfer, and what a caller does who hangs up while it rings."""
    status: int = 0
    """SIP status that the peer reported for the target, or for the request itself."""
    text: str = ""

    @property
    def is_success(self) -> bool:
        """True when the caller is with the target, as far as the gateway can know."""
        return self.result in {"confirmed", "assumed"}


_COUNTS = (
    "received_packets", "received_bytes", "received_lost", "received_discarded",
    "received_duplicated", "received_reordered", "sent_packets", "sent_bytes", "sent_lost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MediaStatistics:
    """Counters of one call's packets, both ways."""

    codec: str = ""
    received_packets: int = 0
    received_bytes: int = 0
    """Of payload, without RTP headers."""
    received_lost: int = 0
    received_discarded: int = 0
    received_duplicated: int = 0
    received_reordered: int = 0
    received_jitter_ms: float = 0.0
    sent_packets: int = 0
    sent_bytes: int = 0
    sent_lost: int = 0
    sent_jitter_ms: float = 0.0
    round_trip_ms: float = 0.0
    jitter_buffer_ms: float = 0.0
    remote_address: str = ""
    """host:port that audio really came from; empty when none came."""
    signalled_address: str = ""
    """host:port of the other side's description."""
    source_changes: int = 0
    """How often audio came from another address than before."""
    foreign_packets: int = 0
    """Packets from elsewhere, which were not let in."""

    def after(self, earlier: MediaStatistics) -> MediaStatistics:
        """Return the same with the counts of earlier streams of the call added."""
        summed = {name: getattr(self, name) + getattr(earlier, name) for name in _COUNTS}
        return replace(self, **summed)


class Line(Protocol):
    """One leg of a call.  Loop thread only."""

    facts: CallFacts
    inlet: FrameInlet
    outlet: FrameOutlet
    expected_codec: str
    """Of an incoming call that is not answered yet, as far as its offer tells; may be empty."""

    # --- what is known of it ---

    @property
    def media_format(self) -> AudioFormat:
        """What it exchanges with inlet and outlet: `ANALYSIS`, or wider where the codec is.

        It may change with the other side's description.
        """

    @property
    def input_delay_ms(self) -> float:
        """How long ago what is heard now was sent, as far as this end can tell."""

    @property
    def output_delay_ms(self) -> float:
        """How long bot audio waits from its tick until its packet is full and sent."""

    @property
    def can(self) -> frozenset[Capability]:
        """What the transport can do in this call, as of now."""

    @property
    def ended(self) -> HungUp | None:
        """How the call ended; None while it is not over."""

    @property
    def on_hold(self) -> bool:
        """True while the other side keeps the call on hold."""

    @property
    def is_untrusted(self) -> bool:
        """True for a caller that nothing vouches for."""

    @property
    def transfer_outcome(self) -> TransferOutcome | None:
        """Outcome of the last transfer; None = there was none, or it is not known yet."""

    def statistics(self) -> MediaStatistics:
        """Return the counters of all the call's streams so far."""

    def signs_of_life(self) -> tuple[object, ...]:
        """Return what changes whenever anything of the other side arrives."""

    def events(self) -> AsyncIterator[LineEvent]:
        """Yield what happens on the line; `HungUp` is the last."""

    # --- what can be done to it ---

    def ring(self) -> None:
        """Let the caller hear that an incoming call arrived, until it is answered.  Idempotent."""

    async def answer(self) -> None:
        """Accept an incoming call.  Raises SipError."""

    async def wait_answered(self, timeout_s: float) -> None:
        """Wait until an outgoing call is answered; cancel one that rings longer.

        Raises:
            CallRejected: refused, busy, or not answered in time.
        """

    async def hang_up(self, end: End) -> None:
        """End the call, or refuse one that is not up yet; wait until it is over.  Idempotent."""

    def hang_up_nowait(self, end: End) -> None:
        """Do the same without waiting."""

    async def transfer(self, target: str, timeout_s: float) -> None:
        """Connect the other side with another target, followed to the outcome.

        Args:
            target: SIP URI.
            timeout_s: without any outcome after this time the transfer has failed.

        Raises:
            TransferFailed: refused, failed at the target, or without a known outcome.
            OutgoingRefused: the configuration does not allow it; nothing was sent.
        """

    async def send_digits(self, digits: str) -> None:
        """Send keys by signalling; return when the last has been sent.  Raises SipError."""


def coding_of(line: Line) -> AudioFormat:
    """Return how a line codes its audio: an engine that takes it needs no conversion."""
    codec = (line.statistics().codec or line.expected_codec).upper()
    if codec.startswith("PCMU"):
        return AudioFormat(8000, encoding="pcmu")
    if codec.startswith("PCMA"):
        return AudioFormat(8000, encoding="pcma")
    return WIDEBAND if codec.startswith("G722") else line.media_format
