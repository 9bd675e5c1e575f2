"""Bundles and archives for tests of the records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.config.models import RecordsConfig
from gateway.records.archive import CallArchive, open_archive
from gateway.records.ids import new_call_id
from gateway.records.model import CallRecord, TurnRecord
from gateway.records.store import CallRecords
from gateway.telemetry.metrics import Metrics

START = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def make_call(
    directory: Path,
    *,
    host: str = "a",
    age: timedelta = timedelta(),
    is_over: bool = True,
    audio: bool = True,
    **facts: Any,
) -> str:
    """Leave the bundle of a call, as a worker does, and give its id."""
    started = facts.pop("started_at", datetime.now(UTC) - age)
    records = CallRecords(directory, host=host, audio=audio)
    record = CallRecord(
        call_id=new_call_id(started), direction="in", started_at=started,
        **({"caller": "200", "called": "100"} | facts),
    )  # fmt: skip
    bundle = records.open(record)
    for _ in range(60):
        bundle.write_audio(b"\x01\x02" * 160, bytes(320))
    turn = bundle.turn(TurnRecord(index=0, caller_text="Hello?", bot_text_heard="Hi."), 0.5)
    record = bundle.record.model_copy(update={"turns": (turn,)})
    if is_over:
        bundle.finish(record.ended(started + timedelta(seconds=9), "caller_hung_up"))
    return record.call_id


@asynccontextmanager
async def serving(metrics: Metrics | None = None, **settings: Any) -> AsyncIterator[CallArchive]:
    """Run the archive of a gateway as the supervisor does."""
    config = RecordsConfig(**settings)
    async with (
        open_archive(config, metrics or Metrics()) as archive,
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(archive.run(config))
        yield archive
        task.cancel()


async def until(condition: Callable[[], Awaitable[bool] | bool], timeout_s: float = 15.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)
