"""Events of the call itself, its legs, recording, keys and transfers; and of its trunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from gateway.records.model import CallSummary


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call came in or was placed.  For the API only."""

    kind: ClassVar[str] = "call_started"
    call: CallSummary


@dataclass(frozen=True, slots=True)
class CallRefused:
    """The call was refused, by this rule."""

    kind: ClassVar[str] = "call_refused"
    reason: str = ""
    sip_status: int | None = None
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Listening:
    """Echo cancelling of this call, with its settings."""

    kind: ClassVar[str] = "listening"
    echo: dict[str, Any] | None = None
    """Settings of the echo canceller, where it is on."""


@dataclass(frozen=True, slots=True)
class Routed:
    """The dialplan rule that took the call."""

    kind: ClassVar[str] = "route"
    context: str
    rule: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The call was answered, with this codec."""

    kind: ClassVar[str] = "answered"
    codec: str


@dataclass(frozen=True, slots=True)
class MediaSourceChanged:
    """RTP comes from another address, and why it is accepted."""

    kind: ClassVar[str] = "rtp_source"
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class ListeningForTones:
    """No telephone-event was agreed on: tones in the audio are keys."""

    kind: ClassVar[str] = "listening_for_tones"


@dataclass(frozen=True, slots=True)
class Held:
    """The other side put the call on hold."""

    kind: ClassVar[str] = "held"


@dataclass(frozen=True, slots=True)
class Resumed:
    """The call is off hold."""

    kind: ClassVar[str] = "resumed"


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call ended; `reason` is `end_reason` of `call.json`."""

    kind: ClassVar[str] = "call_ended"
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class CallFinished:
    """The record of a call is complete.  For the API only."""

    kind: ClassVar[str] = "call_finished"
    call: CallSummary


@dataclass(frozen=True, slots=True)
class CallLost:
    """The worker that had a call ended in mid-call.  For the API only."""

    kind: ClassVar[str] = "call_lost"
    worker: str


@dataclass(frozen=True, slots=True)
class TrunkChanged:
    """A trunk was registered, has failed, or uses another server.  Of no call; for the API only."""

    kind: ClassVar[str] = "trunk_state"
    name: str
    state: str
    """As in `GET /v1/trunks`: `registered`, `registering`, `failed`, `unregistered`, `static`."""
    sip_status: int | None = None
    reason: str = ""
    expires_s: float | None = None
    retry_s: float | None = None
    server: str = ""
    """Address and port that requests go to now, where it is known."""


@dataclass(frozen=True, slots=True)
class RecordingPaused:
    """Sound and words are left out from here on."""

    kind: ClassVar[str] = "recording_paused"
    reason: str


@dataclass(frozen=True, slots=True)
class RecordingResumed:
    """Sound is kept again."""

    kind: ClassVar[str] = "recording_resumed"
    reason: str


@dataclass(frozen=True, slots=True)
class LineIsDead:
    """The watchdog found a silence that no setting explains. Please report it."""

    kind: ClassVar[str] = "line_is_dead"
    finding: str
    state: str


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """The caller pressed a key."""

    kind: ClassVar[str] = "digit"
    digit: str
    method: str = ""


@dataclass(frozen=True, slots=True)
class KeysCollected:
    """A `collect` step of the dialplan has ended, with the number of keys."""

    kind: ClassVar[str] = "collected"
    into: str
    count: int


@dataclass(frozen=True, slots=True)
class DigitsSent:
    """Keys were sent."""

    kind: ClassVar[str] = "digits_sent"
    digits: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class DigitsNotSent:
    """Keys could not be sent."""

    kind: ClassVar[str] = "digits_not_sent"
    digits: str
    problem: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """A REFER was sent."""

    kind: ClassVar[str] = "transfer_started"
    target: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class TransferFailed:
    """The transfer did not reach the other party."""

    kind: ClassVar[str] = "transfer_failed"
    target: str
    problem: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Transferred:
    """The other side confirmed the transfer."""

    kind: ClassVar[str] = "transferred"
    target: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class TransferOutcome:
    """What the other side reported of a transfer, at the end of the call."""

    kind: ClassVar[str] = "transfer_outcome"
    outcome: str
    sip_status: int | None = None
