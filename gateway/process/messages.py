"""What supervisor and worker say to each other: commands down, replies and events up."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from gateway.config.models import Eagerness
from gateway.records.model import CallRecord, CallSummary, Text
from gateway.sip.trunk_status import TrunkStatus


class ControlMessage(BaseModel):
    """Anything on the control socket: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reply(BaseModel):
    """What answers a command: frozen; a worker of the next version may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


# --- commands, each with the reply that answers it ---------------------------------------------


class PlaceCall(ControlMessage):
    """Send an INVITE -> `CallPlaced` at once; how it ends is an event."""

    op: Literal["place_call"] = "place_call"
    to: str
    agent: str = ""
    trunk: str = ""
    variables: dict[str, str] = {}
    caller_id: str = ""


class HangUp(ControlMessage):
    """End a call -> `Done`."""

    op: Literal["hang_up"] = "hang_up"
    call_id: str


class Transfer(ControlMessage):
    """Blind transfer -> `Done` when the final NOTIFY says so, TransferFailed otherwise."""

    op: Literal["transfer"] = "transfer"
    call_id: str
    target: str


class Say(ControlMessage):
    """Speak a text to the caller -> `Done` when it was taken."""

    op: Literal["say"] = "say"
    call_id: str
    text: str


class Dtmf(ControlMessage):
    """Send digits -> `Done` when the last was sent."""

    op: Literal["dtmf"] = "dtmf"
    call_id: str
    digits: str


class SetEagerness(ControlMessage):
    """Answer sooner or later from now on -> `Done` when it was taken."""

    op: Literal["set_eagerness"] = "set_eagerness"
    call_id: str
    eagerness: Eagerness


class ChangeAgent(ControlMessage):
    """Let another agent lead a call -> `Done` when it was taken."""

    op: Literal["change_agent"] = "change_agent"
    call_id: str
    agent: str
    cut: bool = False


class ChangeSettings(ControlMessage):
    """Go by other settings in a call -> `SettingsChanged` when they were taken."""

    op: Literal["change_settings"] = "change_settings"
    call_id: str
    settings: dict[str, Any]


class ChangeLanguage(ControlMessage):
    """Go on in another language -> `Done` when it was taken."""

    op: Literal["change_language"] = "change_language"
    call_id: str
    language: str
    cut: bool = False


class SetRecording(ControlMessage):
    """Leave out of the record what is said from now on, or record again -> `Done`."""

    op: Literal["set_recording"] = "set_recording"
    call_id: str
    paused: bool


class ListCalls(ControlMessage):
    """-> `CallList` of the calls in progress."""

    op: Literal["list_calls"] = "list_calls"


class GetCall(ControlMessage):
    """-> `CallDetail` of a call in progress, CallNotFound otherwise."""

    op: Literal["get_call"] = "get_call"
    call_id: str


class GetTrunks(ControlMessage):
    """-> `TrunkList`."""

    op: Literal["trunks"] = "trunks"


class GetMetrics(ControlMessage):
    """-> `MetricsText`."""

    op: Literal["metrics"] = "metrics"


class GetStatus(ControlMessage):
    """-> `WorkerStatus`."""

    op: Literal["status"] = "status"


class Drain(ControlMessage):
    """Accept no new calls -> `Done`; the worker ends when its calls have ended."""

    op: Literal["drain"] = "drain"


class Reload(ControlMessage):
    """Serve new calls by another configuration -> `Done`; a GatewayError changes nothing."""

    op: Literal["reload"] = "reload"
    setup: str
    """File that `Setup.keep` wrote."""


Command = Annotated[
    PlaceCall
    | HangUp
    | Transfer
    | Say
    | Dtmf
    | SetEagerness
    | ChangeAgent
    | ChangeSettings
    | ChangeLanguage
    | SetRecording
    | ListCalls
    | GetCall
    | GetTrunks
    | GetMetrics
    | GetStatus
    | Drain
    | Reload,
    Field(discriminator="op"),
]


# --- replies -----------------------------------------------------------------------------------


class Done(Reply):
    """It was done."""


class SettingsChanged(Reply):
    """They hold from the next turn on."""

    changed: tuple[str, ...] = ()


class CallPlaced(Reply):
    """The INVITE is on its way."""

    call_id: str


class CallList(Reply):
    """Calls in progress."""

    calls: tuple[CallSummary, ...] = ()


class CallDetail(Reply):
    """One call in progress, turns so far included."""

    call: CallRecord


class TrunkList(Reply):
    """All trunks."""

    trunks: tuple[TrunkStatus, ...] = ()


class MetricsText(Reply):
    """Prometheus text of the worker."""

    text: str


class WorkerStatus(Reply):
    """Whether calls are accepted."""

    ready: bool
    reason: Text = ""
    """Why not, when not ready."""
    slots: int
    slots_used: int = 0
    draining: bool = False
    pid: int = 0
    unwritten: int = 0
    """Final records that wait for the disk."""
    loop_late_s: float = 0.0
    """Longest delay of the event loop in the last seconds."""
    clock_late_s: float = 0.0
    """How long the media clock is overdue."""


# --- events ------------------------------------------------------------------------------------


class WorkerReady(ControlMessage):
    """Everything is warm; calls are accepted from now on."""

    event: Literal["ready"] = "ready"
    pid: int
    slots: int
    sip_port: int = 0


class CallStarted(ControlMessage):
    """A call came in or was placed."""

    event: Literal["call_started"] = "call_started"
    call: CallSummary


class CallProgress(ControlMessage):
    """Something happened in a call: what `events.jsonl` gets, for live displays."""

    event: Literal["call_progress"] = "call_progress"
    call_id: str
    at: AwareDatetime | None = None
    audio_s: float = 0.0
    kind: str
    data: dict[str, Any] = {}


class CallEnded(ControlMessage):
    """A call is over and its bundle complete."""

    event: Literal["call_ended"] = "call_ended"
    call: CallSummary


class TrunkChanged(ControlMessage):
    """The registration of a trunk changed."""

    event: Literal["trunk_state"] = "trunk_state"
    trunk: TrunkStatus


Event = Annotated[
    WorkerReady | CallStarted | CallProgress | CallEnded | TrunkChanged,
    Field(discriminator="event"),
]


# --- envelopes ---------------------------------------------------------------------------------


class Request(ControlMessage):
    """One line down."""

    id: int
    command: Command


class ErrorReply(ControlMessage):
    """Why a command was not done; `kind` is the class of the error."""

    kind: str
    status: int
    reason: Text


class Answer(ControlMessage):
    """One line up that answers the request with the same id."""

    id: int
    reply: dict[str, Any] | None = None
    error: ErrorReply | None = None


class Notice(ControlMessage):
    """One unrequested line from worker to supervisor."""

    notice: Event


UPWARD: TypeAdapter[Answer | Notice] = TypeAdapter(Answer | Notice)
