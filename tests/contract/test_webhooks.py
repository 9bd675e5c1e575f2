"""Receivers that are down, in trouble or refuse; a gateway that ends in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.config.models import WebhookConfig
from gateway.errors import CallNotFound
from gateway.http.event_feed import CallNotice
from gateway.records import outbox
from gateway.records.model import CallRecord, CallSummary
from gateway.telemetry.metrics import Metrics
from gateway.webhooks import dispatcher, schedule
from gateway.webhooks.dispatcher import Webhooks, open_webhooks
from tests.support.live_gateway import eventually
from tests.support.webhook_receiver import Receiver

CALLS = ("20261129-120000-0123abcd", "20261129-120001-0123abcd")
AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
WHOLE = ["call.started", "call.answered", "call.ended", "call.record_ready"]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(dispatcher, "_RETRY_S", 0.02)
    monkeypatch.setattr(dispatcher, "_SETTLE_S", 0.2)


def looped(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """Run a test on a loop of its own."""

    def run(tmp_path: Path) -> None:
        asyncio.run(test(tmp_path))

    return run


class Records:
    """The archive."""

    def __init__(self) -> None:
        self.finished: set[str] = set()
        self.deleted: set[str] = set()

    async def get(self, call_id: str) -> CallRecord:
        if call_id in self.deleted:
            raise CallNotFound(404, "no such call")
        record = CallRecord(call_id=call_id, direction="in", started_at=AT)
        return record.ended(AT, "worker_lost", "") if call_id in self.finished else record


@asynccontextmanager
async def running(
    folder: Path, records: Records, *receivers: Receiver, **config: Any
) -> AsyncIterator[Webhooks]:
    configs = [
        WebhookConfig(**(each.config(name=f"r{n}", **config))) for n, each in enumerate(receivers)
    ]
    async with (
        open_webhooks(configs, folder, records.get, Metrics()) as webhooks,
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(webhooks.run())
        yield webhooks
        await webhooks.settle()
        task.cancel()


def begin(webhooks: Webhooks, call_id: str) -> None:
    call = CallSummary(call_id=call_id, direction="in", started_at=AT)
    webhooks.publish(CallNotice(call_id, AT, 0, "call_started", {"call": call}))
    webhooks.publish(CallNotice(call_id, AT, 0, "answered", {"codec": "PCMU"}))


def finish(webhooks: Webhooks, records: Records, call_id: str) -> None:
    webhooks.publish(CallNotice(call_id, AT, 9, "call_ended", {"reason": "caller_hung_up"}))
    records.finished.add(call_id)
    webhooks.publish(CallNotice(call_id, AT, 9, "call_finished", {}))


def left(folder: Path) -> list[Path]:
    return [path for path in (folder / outbox.FOLDER).rglob("*") if path.is_file()]


@looped
async def test_two_receivers_get_every_event_of_each_call_in_order(tmp_path: Path) -> None:
    records = Records()
    async with Receiver().running() as one, Receiver([500, 429, 404, 503]).running() as other:
        async with running(tmp_path, records, one, other) as webhooks:
            for call_id in CALLS:
                begin(webhooks, call_id)
                finish(webhooks, records, call_id)
            for receiver in (one, other):
                await receiver.until("call.record_ready", 2)
        for receiver in (one, other):
            assert [receiver.of(call_id) for call_id in CALLS] == [WHOLE, WHOLE]
        ids = [event["id"] for event in one.events]
        assert len(set(ids)) == len(ids) == 8
        assert {event["id"] for event in other.events} == set(ids)
    assert not left(tmp_path)


@looped
async def test_only_the_events_that_are_wanted(tmp_path: Path) -> None:
    records = Records()
    async with Receiver().running() as receiver:
        wanted = {"events": ("call.ended",)}
        async with running(tmp_path, records, receiver, **wanted) as webhooks:
            begin(webhooks, CALLS[0])
            finish(webhooks, records, CALLS[0])
            await receiver.until("call.ended")
        assert receiver.of(CALLS[0]) == ["call.ended"]
    assert not left(tmp_path)


@looped
async def test_what_a_receiver_misses_is_delivered_by_the_next_run(tmp_path: Path) -> None:
    records = Records()
    receiver = Receiver()
    async with receiver.running():
        pass  # now its port is known, and nobody listens there
    async with running(tmp_path, records, receiver) as webhooks:
        begin(webhooks, CALLS[0])
        finish(webhooks, records, CALLS[0])
        begin(webhooks, CALLS[1])  # this gateway ends in mid-call
        await eventually(lambda: webhooks.status()[0].failures, 10, "a failure")
    assert webhooks.status()[0].problem
    records.finished.add(CALLS[1])  # by the repair at the next start
    async with receiver.running(), running(tmp_path, records, receiver):
        await receiver.until("call.record_ready", 2)
    assert [receiver.of(call_id) for call_id in CALLS] == [WHOLE, WHOLE]
    assert not left(tmp_path)


@looped
async def test_a_worker_that_dies_ends_its_call_when_the_record_is_repaired(
    tmp_path: Path,
) -> None:
    records = Records()
    async with Receiver().running() as receiver:
        async with running(tmp_path, records, receiver) as webhooks:
            begin(webhooks, CALLS[0])
            lost = {"worker": "worker-0"}
            webhooks.publish(CallNotice(CALLS[0], AT, 0, "call_lost", lost))
            await receiver.until("call.answered")
            records.finished.add(CALLS[0])
            await receiver.until("call.record_ready")
        assert receiver.of(CALLS[0]) == WHOLE
        assert receiver.events[-2]["data"]["end_reason"] == "worker_lost"


@looped
async def test_a_deleted_call_is_told_to_nobody(tmp_path: Path) -> None:
    records = Records()
    receiver = Receiver([503] * 10_000)
    async with receiver.running():
        async with running(tmp_path, records, receiver) as webhooks:
            begin(webhooks, CALLS[0])
            async with asyncio.timeout(10):
                while not receiver.attempts:
                    await receiver.news.wait()
            records.deleted.add(CALLS[0])
            await asyncio.to_thread(outbox.forget, tmp_path, CALLS[0])
            receiver.statuses.clear()
            begin(webhooks, CALLS[1])
            await receiver.until("call.answered")
        assert receiver.of(CALLS[0]) == []
        assert receiver.of(CALLS[1]) == ["call.started", "call.answered"]


@looped
async def test_an_event_too_old_to_deliver_is_given_up(tmp_path: Path) -> None:
    records = Records()
    receiver = Receiver([500] * 10_000)
    async with receiver.running():
        config = {"keep_h": 0.1 / 3600}
        async with running(tmp_path, records, receiver, **config) as webhooks:
            begin(webhooks, CALLS[0])
            finish(webhooks, records, CALLS[0])
            await eventually(lambda: not left(tmp_path), 20, "the end of the events")
        assert not receiver.events


@looped
async def test_a_receiver_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        receiver = Receiver(port=server.sockets[0].getsockname()[1])
        async with running(tmp_path, Records(), receiver) as webhooks:
            begin(webhooks, CALLS[0])
    assert len(left(tmp_path)) == 3  # two events, and that its end is missing
