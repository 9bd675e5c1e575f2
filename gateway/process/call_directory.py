"""CallDirectory: which worker has which call, and how far it is, by what the workers report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import structlog

from gateway.call import events
from gateway.call.events import OwnEvent, fields_of, parsed
from gateway.http.event_feed import CallNotice
from gateway.process import messages as m
from gateway.process.control_client import ControlClient
from gateway.records.model import CallSummary
from gateway.sip.trunk_status import TrunkStatus

log = structlog.get_logger(__name__)

CallState = Literal["ringing", "up", "held", "transferring", "ending"]
_STATES: dict[str, CallState] = {
    events.Answered.kind: "up",
    events.Held.kind: "held",
    events.Resumed.kind: "up",
    events.TransferStarted.kind: "transferring",
    events.TransferFailed.kind: "up",
    events.CallEnded.kind: "ending",
}
_OVER_KEPT = 1000


class CallOwner(Protocol):
    """A worker."""

    @property
    def name(self) -> str:
        """Such as `worker-3`."""

    @property
    def client(self) -> ControlClient | None:
        """The connection, once there is one."""


@dataclass(frozen=True, slots=True)
class LocatedCall:
    """A call in progress."""

    call: CallSummary
    """As it began."""
    worker: str
    state: CallState = "ringing"
    agent: str = ""
    turns: int = 0


def followed(call: LocatedCall, kind: str, data: dict[str, Any]) -> LocatedCall:
    """Return a call as it is after an event.  Pure."""
    if kind in _STATES:
        return replace(call, state=_STATES[kind])
    if kind == events.TurnFinished.kind:
        return replace(call, turns=call.turns + 1)
    if kind == events.AgentStarted.kind:
        event = parsed({"kind": kind, **data})
        return replace(call, agent=event.agent) if isinstance(event, events.AgentStarted) else call
    return call


class CallDirectory:
    """The calls in progress of one host.  Loop thread only."""

    def __init__(self) -> None:
        self._workers: dict[str, CallOwner] = {}
        self._calls: dict[str, LocatedCall] = {}
        self._over: dict[str, None] = {}
        """Calls that have ended lately: a late reply does not bring them back."""
        self._listeners: tuple[Callable[[CallNotice], None], ...] = ()

    def publish_to(self, *listeners: Callable[[CallNotice], None]) -> None:
        """Set the listeners for every event from now on."""
        self._listeners = listeners

    def worker_of(self, call_id: str) -> CallOwner | None:
        """Return the worker that has a call."""
        return self._workers.get(call_id)

    def in_progress(self) -> list[dict[str, Any]]:
        """Describe every call in progress, oldest first."""
        return [{"call_id": one, **asdict(call)} for one, call in self._calls.items()]

    def placed(self, worker: CallOwner, call_id: str) -> None:
        """Note that a worker has begun an outgoing call."""
        if call_id not in self._over:
            self._workers.setdefault(call_id, worker)

    def adopt(self, worker: CallOwner, calls: Iterable[CallSummary]) -> None:
        """Take the calls that a worker had before it was connected."""
        for call in calls:
            self._start(worker, call)

    def take(self, worker: CallOwner, event: m.Event) -> None:
        """Take an event of a worker."""
        match event:
            case m.CallStarted(call=call):
                self._start(worker, call)
            case m.CallProgress(call_id=call_id, kind=kind, data=data):
                known = self._calls.get(call_id)
                if known is not None:
                    self._calls[call_id] = followed(known, kind, data)
                at = event.at or datetime.now(UTC)
                self._publish(CallNotice(call_id, at, event.audio_s, kind, data))
            case m.CallEnded(call=call):
                self._remove(call.call_id)
                self._tell(call.call_id, events.CallFinished(call))
            case m.TrunkChanged(trunk=trunk):
                self.on_trunk(trunk)
            case m.WorkerReady():
                log.debug("worker_event", worker=worker.name, kind=event.event)

    def on_trunk(self, trunk: TrunkStatus) -> None:
        """Publish the new state of a trunk, which is of no call."""
        self._tell("", events.TrunkChanged(**trunk.model_dump()))

    def lose(self, worker: CallOwner) -> None:
        """Remove the calls of a worker that has ended."""
        for call_id in [one for one, owner in self._workers.items() if owner is worker]:
            self._remove(call_id)
            self._tell(call_id, events.CallLost(worker.name))

    def _start(self, worker: CallOwner, call: CallSummary) -> None:
        if call.call_id in self._calls or call.call_id in self._over:
            return
        self._workers[call.call_id] = worker
        self._calls[call.call_id] = LocatedCall(call, worker.name)
        self._tell(call.call_id, events.CallStarted(call))

    def _remove(self, call_id: str) -> None:
        self._workers.pop(call_id, None)
        self._calls.pop(call_id, None)
        self._over[call_id] = None
        while len(self._over) > _OVER_KEPT:
            del self._over[next(iter(self._over))]

    def _publish(self, notice: CallNotice) -> None:
        for listener in self._listeners:
            listener(notice)

    def _tell(self, call_id: str, event: OwnEvent) -> None:
        self._publish(CallNotice(call_id, datetime.now(UTC), 0.0, event.kind, fields_of(event)))
