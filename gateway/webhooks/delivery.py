"""Delivery: sends what waits for one receiver."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import httpx2
import structlog

import gateway
from gateway.config.models import WebhookConfig
from gateway.records.outbox import Outbox
from gateway.telemetry.metrics import Metrics
from gateway.threads import BlockingEngine
from gateway.webhooks.schedule import Schedule
from gateway.webhooks.signature import key_of, signed_headers
from gateway.webhooks.status import WebhookStatus

log = structlog.get_logger(__name__)

_TROUBLE = frozenset({408, 425, 429})
"""Beside 5xx: the receiver, not the event."""


class Delivery:
    """One receiver; loop thread only."""

    def __init__(self, config: WebhookConfig, outbox: Outbox, disk: BlockingEngine,
                 metrics: Metrics) -> None:  # fmt: skip
        """Prepare; `run` delivers.

        Args:
            config: of the receiver.
            outbox: what waits for it.
            disk: the thread that reads and writes outboxes.
            metrics: of this process.
        """
        self.config = config
        self.outbox = outbox
        self._disk = disk
        self._metrics = metrics
        self._key = key_of(config.secret.get_secret_value())
        self._schedule: Schedule[tuple[int, float]] = Schedule(config.parallel)
        self._changed = asyncio.Event()
        self._problem = ""
        self._delivered_at: datetime | None = None

    def add(self, call_id: str, number: int, since_s: float) -> None:
        """Send an event that is in the outbox.

        Args:
            call_id: of which call.
            number: in the outbox.
            since_s: when it was put there, seconds since 1970.
        """
        self._schedule.add(call_id, (number, since_s))
        self._has_changed()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with (
            httpx2.AsyncClient(timeout=self.config.timeout_s, follow_redirects=False) as client,
            asyncio.TaskGroup() as group,
        ):
            while True:
                self._changed.clear()
                while (taken := self._schedule.take(asyncio.get_running_loop().time())) is not None:
                    group.create_task(self._send(client, taken[0], *taken[1]))
                with suppress(TimeoutError):
                    async with asyncio.timeout(
                        self._schedule.wait_s(asyncio.get_running_loop().time())
                    ):
                        await self._changed.wait()

    async def settle(self) -> None:
        """Wait until nothing waits any more, or the receiver is in trouble."""
        while self._schedule.waiting and not self._schedule.failures:
            await self._changed.wait()

    def status(self) -> WebhookStatus:
        """Describe how the receiver is doing."""
        return WebhookStatus(
            name=self.config.name,
            waiting=self._schedule.waiting,
            failures=self._schedule.failures,
            problem=self._problem,
            delivered_at=self._delivered_at,
        )

    async def _send(
        self, client: httpx2.AsyncClient, call_id: str, number: int, since_s: float
    ) -> None:
        body = await self._disk.call(self.outbox.read, call_id, number)
        if body is None:  # the call was deleted meanwhile
            self._schedule.dropped(call_id)
        elif _now_s() - since_s > self.config.keep_h * 3600:
            await self._drop(call_id, number)
        else:
            await self._post(client, call_id, number, body)
        self._has_changed()

    async def _post(
        self, client: httpx2.AsyncClient, call_id: str, number: int, body: bytes
    ) -> None:
        config = self.config
        headers = {name: value.get_secret_value() for name, value in config.headers.items()}
        headers |= {"content-type": "application/json"}
        headers |= {"user-agent": f"voice-gateway/{gateway.__version__}"}
        headers |= signed_headers(self._key, _id_of(body), int(_now_s()), body)
        try:
            async with client.stream("POST", config.url, content=body, headers=headers) as answer:
                status, retry_after = answer.status_code, answer.headers.get("retry-after", "")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            self._failed(call_id, f"{type(error).__name__}: {error}".rstrip(": "))
            return
        if 200 <= status < 300:
            await self._disk.call(self.outbox.remove, call_id, number)
            self._delivered(call_id)
        elif status in _TROUBLE or status >= 500:
            self._failed(call_id, f"HTTP {status}", _seconds(retry_after))
        else:
            self._refused(call_id, f"HTTP {status}")

    def _delivered(self, call_id: str) -> None:
        if self._problem:
            log.info("webhook_works_again", receiver=self.config.name)
        self._problem = ""
        self._delivered_at = datetime.now(UTC)
        self._schedule.delivered(call_id)
        self._count("delivered")

    def _failed(self, call_id: str, problem: str, retry_after_s: float = 0.0) -> None:
        self._report(problem)
        self._schedule.failed(call_id, asyncio.get_running_loop().time(), retry_after_s)
        self._count("failed")

    def _refused(self, call_id: str, problem: str) -> None:
        self._report(problem)
        self._schedule.refused(call_id, asyncio.get_running_loop().time())
        self._count("refused")

    async def _drop(self, call_id: str, number: int) -> None:
        log.error("webhook_given_up", receiver=self.config.name, call_id=call_id,
                  problem=self._problem, after_h=self.config.keep_h)  # fmt: skip
        await self._disk.call(self.outbox.remove, call_id, number)
        self._schedule.dropped(call_id)
        self._count("given_up")

    def _report(self, problem: str) -> None:
        """Log the first failure in a row, not each."""
        if not self._problem:
            log.warning("webhook_not_delivered", receiver=self.config.name, problem=problem,
                        next="it is tried again; see GET /v1/webhooks")  # fmt: skip
        self._problem = problem

    def _count(self, outcome: str) -> None:
        self._metrics.webhook_requests.labels(self.config.name, outcome).inc()

    def _has_changed(self) -> None:
        self._metrics.webhook_waiting.labels(self.config.name).set(self._schedule.waiting)
        self._changed.set()


def _id_of(body: bytes) -> str:
    """Return the id that a body begins with (`body_of` writes it first)."""
    return body[len(b'{"id":"') : body.index(b'"', len(b'{"id":"'))].decode()


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdecimal() and len(retry_after) < 9 else 0.0


def _now_s() -> float:
    return datetime.now(UTC).timestamp()
