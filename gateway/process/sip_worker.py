"""What a worker with a SIP endpoint does besides."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import structlog

from gateway.allowance import LogLimiter
from gateway.call.line import CallFacts
from gateway.config.models import GatewayConfig
from gateway.errors import SipError
from gateway.process import messages as m
from gateway.process.agents import Service
from gateway.process.worker import Worker
from gateway.process.worker_calls import Parts, record_of
from gateway.sip.decision import Refuse
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.trunk import TrunkState
from gateway.sip.trunk_status import TrunkStatus
from gateway.telemetry.logging import masked
from gateway.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


class SipWorker(Worker):
    """Takes calls from the endpoint."""

    def __init__(self, parts: Parts, service: Service, group: asyncio.TaskGroup) -> None:
        super().__init__(parts, service, group)
        self._trunk_news: dict[str, dict[str, object]] = {}
        """Last state of each trunk: the same again is no news."""
        self._log_limiter = LogLimiter()

    def on_refused(self, facts: CallFacts, refusal: Refuse) -> None:
        """Record a refused call, within reason."""
        self._count_refused(
            "call_refused", refusal.rule, status=refusal.status, reason=refusal.reason,
            caller=masked(facts.caller), called=masked(facts.called), source=facts.source,
        )  # fmt: skip
        text = f"{refusal.reason} (rule {refusal.rule})"
        now = datetime.now(UTC)
        record = record_of(facts, now).ended(now, "refused", text, refusal.status)
        now_s = asyncio.get_running_loop().time()
        self._parts.records.record_refusal(record, now_s=now_s, rule=refusal.rule)

    def on_outgoing_refused(self, rule: str, target: str) -> None:
        """Count what `[outgoing]` kept from going out."""
        self._parts.metrics.outgoing_refused.labels(rule).inc()
        if self._log_limiter.passes(rule, asyncio.get_running_loop().time()):
            held_back = self._log_limiter.held_back(rule)
            log.warning("outgoing_refused", rule=rule, target=masked(target), not_logged=held_back)

    def on_turned_away(self, rule: str, method: str, source: str) -> None:
        """Count a request that was no call, or was not even read."""
        self._count_refused("request_refused", rule, method=method, source=source)

    def _count_refused(self, event: str, rule: str, **facts: object) -> None:
        """Count; log a few of each kind a minute: a flood must not fill the disk."""
        self._parts.metrics.refused.labels(rule).inc()
        kind = f"{event} {rule}"
        if self._log_limiter.passes(kind, asyncio.get_running_loop().time()):
            log.warning(event, rule=rule, **facts, not_logged=self._log_limiter.held_back(kind))

    def on_trunk(self, state: TrunkState) -> None:
        """Pass a registration's state on."""
        facts = {k: getattr(state, k) for k in ("name", "state", "status", "reason", "server")}
        is_news = self._trunk_news.get(state.name) != facts
        self._trunk_news[state.name] = facts
        level = logging.WARNING if state.state == "failed" else logging.INFO
        log.log(level if is_news else logging.DEBUG, "trunk", **facts)
        if state.state != "static":
            is_up = state.state == "registered"
            self._parts.metrics.trunk_registered.labels(state.name).set(1 if is_up else 0)
        if is_news:
            self._parts.control.publish(m.TrunkChanged(trunk=_trunk_status(state)))

    def trunks(self) -> tuple[TrunkStatus, ...]:
        """Return the state of every trunk."""
        return tuple(map(_trunk_status, self._endpoint.trunks()))

    def use(self, config: GatewayConfig) -> None:
        """Take over `[outgoing]`."""
        self._endpoint.change_outgoing(config.outgoing)

    def observe(self, metrics: Metrics) -> None:
        """Set figures of the endpoint."""
        metrics.sip_dialogs.set(self._endpoint.dialogs())

    @property
    def _endpoint(self) -> SipEndpoint:
        if not isinstance(self.transport, SipEndpoint):
            raise SipError(503, "starting")
        return self.transport


def _trunk_status(state: TrunkState) -> TrunkStatus:
    return TrunkStatus.model_validate(
        {
            "name": state.name,
            "state": state.state,
            "sip_status": state.status or None,
            "reason": state.reason,
            "expires_s": state.expires_s or None,
            "retry_s": state.retry_in_s or None,
            "server": state.server,
        }
    )
