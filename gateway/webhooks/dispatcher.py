"""Webhooks: writes events of calls into the outboxes of all receivers and has them delivered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from gateway.call import events
from gateway.config.models import WebhookConfig
from gateway.errors import CallNotFound, CommandError
from gateway.http.event_feed import CallNotice
from gateway.records.model import CallRecord
from gateway.records.outbox import Outbox
from gateway.telemetry.metrics import Metrics
from gateway.threads import BlockingEngine
from gateway.webhooks.delivery import Delivery
from gateway.webhooks.messages import Happening, Translator, body_of, ended, record_ready
from gateway.webhooks.status import WebhookStatus

log = structlog.get_logger(__name__)

GetRecord = Callable[[str], Awaitable[CallRecord]]

MOST_IN_MEMORY = 10_000
"""Events that wait for a disk that is full."""
_RETRY_S = 2.0
_SETTLE_S = 3.0


class Webhooks:
    """All receivers; loop thread only.  Made by `open_webhooks`."""

    def __init__(
        self,
        configs: Sequence[WebhookConfig],
        directory: Path,
        get_record: GetRecord,
        metrics: Metrics,
    ) -> None:
        self._disk = BlockingEngine("webhooks")
        self._deliveries = [
            Delivery(config, Outbox(directory, config.name), self._disk, metrics)
            for config in configs
        ]
        self._get_record = get_record
        self._translator = Translator()
        self._arrived: asyncio.Queue[CallNotice] = asyncio.Queue(MOST_IN_MEMORY)
        self._numbers: dict[str, int] = {}
        self._ended: set[str] = set()
        """Calls whose end receivers know of."""
        self._unfinished: set[str] = set()
        """Calls whose record is looked for: their worker or their gateway ended in mid-call."""
        self._finishing = asyncio.Lock()
        self._lost = 0

    def publish(self, notice: CallNotice) -> None:
        """Take an event of the feed."""
        if not self._deliveries or not notice.call_id:
            return
        try:
            self._arrived.put_nowait(notice)
        except asyncio.QueueFull:
            self._lost += 1
            if self._lost == 1:
                log.error(  # noqa: TRY400 - no bug, nothing to trace
                    "webhook_events_lost", reason="records.directory cannot be written"
                )

    def status(self) -> Sequence[WebhookStatus]:
        """Describe every receiver."""
        return [delivery.status() for delivery in self._deliveries]

    async def run(self) -> None:
        """Deliver until cancelled."""
        if not self._deliveries:
            return
        for delivery in self._deliveries:
            for call in await self._disk.call(lambda box: list(box.waiting()), delivery.outbox):
                for number, since_s in call.events:
                    delivery.add(call.call_id, number, since_s)
                    self._numbers[call.call_id] = max(self._numbers.get(call.call_id, 0), number)
                if call.is_open:
                    self._unfinished.add(call.call_id)
        async with asyncio.TaskGroup() as group:
            for delivery in self._deliveries:
                group.create_task(delivery.run())
            group.create_task(self._keep_finishing())
            while True:
                await self._take(await self._arrived.get())
                self._arrived.task_done()

    async def settle(self) -> None:
        """Give the last events a few seconds: they are on disk after it, or delivered."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await self._arrived.join()
                for delivery in self._deliveries:
                    await delivery.settle()

    def close(self) -> None:
        """End the thread; what waits stays on disk."""
        self._disk.close()

    async def _take(self, notice: CallNotice) -> None:
        call_id = notice.call_id
        if notice.kind == events.CallStarted.kind:
            for delivery in self._deliveries:
                await self._written(partial(delivery.outbox.begin, call_id))
        for happening in self._translator.told(notice):
            await self._put(call_id, happening)
            if happening.type == "call.ended":
                self._ended.add(call_id)
        if notice.kind == events.CallFinished.kind:
            self._unfinished.add(call_id)
            await self._finish(call_id)
        elif notice.kind == events.CallLost.kind:
            self._unfinished.add(call_id)

    async def _keep_finishing(self) -> None:
        """Complete calls whose worker, or whose gateway, has ended in mid-call."""
        while True:
            await asyncio.sleep(_RETRY_S)
            for call_id in tuple(self._unfinished):
                await self._finish(call_id)

    async def _finish(self, call_id: str) -> None:
        """Put the record of a call that is over into the outboxes, once."""
        async with self._finishing:
            if call_id not in self._unfinished:
                return
            try:
                record = await self._get_record(call_id)
            except CallNotFound:  # deleted meanwhile
                await self._forget(call_id)
            except CommandError as error:
                log.warning("webhook_record_not_read", call_id=call_id, problem=str(error))
            else:
                if record.state == "finished":
                    if call_id not in self._ended:
                        await self._put(call_id, ended(record))
                    await self._put(call_id, record_ready(record))
                    await self._forget(call_id)

    async def _forget(self, call_id: str) -> None:
        self._unfinished.discard(call_id)
        self._ended.discard(call_id)
        self._numbers.pop(call_id, None)
        self._translator.over(call_id)
        for delivery in self._deliveries:
            await self._written(partial(delivery.outbox.end, call_id))

    async def _put(self, call_id: str, happening: Happening) -> None:
        number = self._numbers.get(call_id, 0) + 1
        self._numbers[call_id] = number
        body = body_of(call_id, happening, number)
        for delivery in self._deliveries:
            if happening.type in delivery.config.events:
                await self._written(partial(delivery.outbox.put, call_id, number, body))
                delivery.add(call_id, number, datetime.now(UTC).timestamp())

    async def _written(self, work: Callable[[], None]) -> None:
        """Do something with the disk, again and again while it is full."""
        is_reported = False
        while True:
            try:
                await self._disk.call(work)
            except OSError as error:
                if not is_reported:
                    log.error("webhook_not_kept", problem=str(error), next="tried again")  # noqa: TRY400
                is_reported = True
                await asyncio.sleep(_RETRY_S)
            else:
                return


@asynccontextmanager
async def open_webhooks(
    configs: Sequence[WebhookConfig], directory: Path, get_record: GetRecord, metrics: Metrics
) -> AsyncIterator[Webhooks]:
    """Open the outboxes; `Webhooks.run` has to run beside.

    Args:
        configs: the receivers.
        directory: `records.directory`.
        get_record: returns the record of a call that is over; raises CallNotFound.
        metrics: of this process.
    """
    webhooks = Webhooks(configs, directory, get_record, metrics)
    try:
        yield webhooks
    finally:
        webhooks.close()
