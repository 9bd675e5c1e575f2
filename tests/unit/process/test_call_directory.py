"""The directory follows every call from start to end, and loses those of a lost worker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.http.event_feed import CallNotice
from gateway.process import messages as m
from gateway.process.call_directory import CallDirectory, LocatedCall, followed
from gateway.records.model import CallSummary
from gateway.sip.trunk_status import TrunkStatus

ID = "20261129-020000-00000000"


class Worker:
    def __init__(self, name: str) -> None:
        self.name = name
        self.client = None


def summary(call_id: str = ID) -> CallSummary:
    return CallSummary(call_id=call_id, direction="in", started_at=datetime.now(UTC))


def progress(kind: str, **data: Any) -> m.CallProgress:
    return m.CallProgress(call_id=ID, kind=kind, data=data)


class Desk:
    def __init__(self) -> None:
        self.told: list[CallNotice] = []
        self.calls = CallDirectory()
        self.calls.publish_to(self.told.append)
        self.one, self.two = Worker("worker-1"), Worker("worker-2")

    @property
    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.told]


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ([], "ringing"),
        (["answered"], "up"),
        (["answered", "held"], "held"),
        (["answered", "held", "resumed"], "up"),
        (["answered", "transfer_started"], "transferring"),
        (["answered", "transfer_started", "transfer_failed"], "up"),
        (["answered", "transfer_started", "transferred", "call_ended"], "ending"),
        (["answered", "of_a_later_version"], "up"),
    ],
)
def test_states(kinds: list[str], state: str) -> None:
    call = LocatedCall(summary(), "worker-1")
    for kind in kinds:
        call = followed(call, kind, {})
    assert call.state == state


def test_agent_and_turns() -> None:
    call = followed(LocatedCall(summary(), "worker-1"), "agent_started", {"agent": "desk"})
    call = followed(call, "turn_finished", {"turn": {}})
    assert (call.agent, call.turns) == ("desk", 1)
    assert followed(call, "agent_started", {"agent": [1]}).agent == "desk"


def test_a_call_from_start_to_end() -> None:
    desk = Desk()
    desk.calls.take(desk.one, m.CallStarted(call=summary()))
    desk.calls.take(desk.one, progress("answered", codec="PCMU"))
    assert desk.calls.worker_of(ID) is desk.one
    (shown,) = desk.calls.in_progress()
    assert (shown["call_id"], shown["state"], shown["worker"]) == (ID, "up", "worker-1")
    desk.calls.take(desk.one, m.CallEnded(call=summary()))
    assert desk.calls.worker_of(ID) is None
    assert not desk.calls.in_progress()
    assert desk.kinds == ["call_started", "answered", "call_finished"]


def test_a_lost_worker_takes_its_calls_along() -> None:
    desk = Desk()
    desk.calls.take(desk.one, m.CallStarted(call=summary()))
    desk.calls.take(desk.two, m.CallStarted(call=summary("b")))
    desk.calls.lose(desk.one)
    assert desk.calls.worker_of(ID) is None
    assert desk.calls.worker_of("b") is desk.two
    assert desk.kinds[-1] == "call_lost"
    assert desk.told[-1].data == {"worker": "worker-1"}


def test_the_state_of_a_trunk_is_published_and_belongs_to_no_call() -> None:
    desk = Desk()
    failed = TrunkStatus(name="carrier", state="failed", sip_status=503, server="192.0.2.7:5060")
    desk.calls.take(desk.one, m.TrunkChanged(trunk=failed))
    (told,) = desk.told
    assert (told.call_id, told.kind) == ("", "trunk_state")
    assert told.data == failed.model_dump()


def test_a_placed_call_is_known_at_once_but_never_comes_back() -> None:
    desk = Desk()
    desk.calls.placed(desk.one, ID)
    assert desk.calls.worker_of(ID) is desk.one
    desk.calls.take(desk.one, m.CallStarted(call=summary()))
    desk.calls.take(desk.one, m.CallEnded(call=summary()))
    desk.calls.placed(desk.one, ID)  # the reply was read after the end
    assert desk.calls.worker_of(ID) is None


def test_calls_from_before_the_connection_are_adopted_once() -> None:
    desk = Desk()
    desk.calls.adopt(desk.one, [summary()])
    desk.calls.take(desk.one, m.CallStarted(call=summary()))
    assert desk.kinds == ["call_started"]
